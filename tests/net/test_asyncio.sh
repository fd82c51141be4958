#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# python3's asyncio in both directions and on the program's own side: streams and
# datagrams, IPv4 and IPv6. It registers its sockets in epoll before they connect.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need "$PYTHON" ip
PEER=("$PYTHON" "$T/bin/asyncio_peer.py")

test_asyncio()
{
	local wanted="$HOST4 ok
$HOST6 ok"
	start server -p 8500:8600/tcp -p 8500:8600/udp -- \
		"${PEER[@]}" server "$(inside 8500 8600)"
	if await server grep -q ready "$T/server.log"; then
		equal "serving, $WHO" "$wanted" \
			"$(host "${PEER[@]}" client 8500 "$HOST4" "$HOST6" 2>&1)"
	fi
	stop server
	equal "connecting, $WHO" "$wanted" \
		"$(try -e 10.77.0.0/24=host -e fd77::/64=host -- \
			"${PEER[@]}" client 8700 "$HOST4" "$HOST6" 2>&1)"
	equal "own side, $WHO" "127.0.0.1 ok
::1 ok" "$(try -e 10.77.0.0/24=host -- bash -c "
		exec 3< <(exec ${PEER[*]} server 8800)
		read -r line <&3
		${PEER[*]} client 8800 127.0.0.1 ::1 2>&1
		kill %% 2>/dev/null || kill \$!")"
}

spawn host_server "${PEER[@]}" server 8700
await host_server grep -q ready "$T/host_server.log" || finish
for WHO in $USERS; do
	test_asyncio
done
finish
