#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# memcached in both directions: four thousand keys set, read back and compared.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need memcached "$PYTHON" ip

server_of() # PORT: it refuses to be root and changes user by itself
{
	SERVER=(memcached -l 0.0.0.0 -p "$1" -U 0 -m 64)
	if [ "$WHO" = root ]; then
		[ "$GRAFT_TEST_CAPABLE" = root ] && SERVER+=(-u nobody) || SERVER+=(-u root)
	fi
}

test_memcached()
{
	server_of "$(inside 12211 11211)"
	start server -p 12211:11211 -- "${SERVER[@]}"
	if wait_for_port server "$HOST4" 12211; then
		equal "serving, $WHO: every key comes back" 4000 \
			"$(host "$PYTHON" "$T/bin/memcache_client.py" "$HOST4" 12211 4000 2>&1)"
	fi
	check "serving, $WHO: ends on SIGTERM" stop server
	equal "connecting, $WHO: every key comes back" 4000 \
		"$(try -e 10.77.0.0/24=host -- \
			"$PYTHON" "$T/bin/memcache_client.py" "$HOST4" 12300 4000 2>&1)"
}

WHO=root
server_of 12300
spawn host_server "${SERVER[@]}"
wait_for_port host_server "$HOST4" 12300 || finish
for WHO in $USERS; do
	test_memcached
done
finish
