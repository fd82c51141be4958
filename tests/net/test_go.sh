#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A static Go program in both directions: HTTP with and without keep-alive over IPv4 and
# IPv6. It is built here without cgo; the build cache stays in the build tree.
. "$(dirname "$0")/../lib.sh"
need go
[ "$ENGINE" != preload ] || skip "the preload engine cannot reach static programs"
[ -n "${GO_PEER-}" ] || build_go_peer peer
enter_host "$@"
need ip ldd
cp "$GO_PEER" "$T/bin/peer" && chmod 755 "$T/bin/peer"
PEER=$T/bin/peer
# Sizes worker + 1, times four while they fit in 1 MB: 11 for the first worker, 10 for
# three, 9 for the other twelve.
POSTS="posts 149
posts 149"

test_go()
{
	start server -p 8080:80 -- "$PEER" server ":$(inside 8080 80)"
	if await server grep -q ready "$T/server.log"; then
		equal "serving, $WHO: IPv4" "$POSTS" \
			"$(host "$PEER" client "http://$HOST4:8080/" 2>&1)"
		equal "serving, $WHO: IPv6" "$POSTS" \
			"$(host "$PEER" client "http://[$HOST6]:8080/" 2>&1)"
	fi
	stop server
	equal "connecting, $WHO: IPv4" "$POSTS" \
		"$(try -e 10.77.0.0/24=host -- "$PEER" client "http://$HOST4:8700/" 2>&1)"
	equal "connecting, $WHO: IPv6" "$POSTS" \
		"$(try -e fd77::/64=host -- "$PEER" client "http://[$HOST6]:8700/" 2>&1)"
}

contains "the program is static" 'not a dynamic executable' "$(ldd "$PEER" 2>&1)"
spawn host_server "$PEER" server ":8700"
await host_server grep -q ready "$T/host_server.log" || finish
for WHO in $USERS; do
	test_go
done
finish
