#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A UNIX path as endpoint, on either side:
#
#	redis-cli (grafted, 127.0.0.1:6379) --> cache --> redis-server (host, redis.sock)
#	curl --unix-socket (host) --> web.sock <-- web <-- http server (grafted, 0.0.0.0:80)
. "$(dirname "$0")/../lib.sh"
need_engine # the same program cannot do it by itself
enter_host "$@"
need curl redis-server redis-cli ip "$PYTHON"

connecting()
{
	local cli=(try --policy "$T/policy.conf" -- redis-cli -p 6379)
	equal "connecting, $WHO: PING" PONG "$("${cli[@]}" PING 2>&1)"
	equal "connecting, $WHO: a thousand SETs" 1000 \
		"$(seq -f 'SET unix:%g v' 1000 | "${cli[@]}" 2>&1 | grep -c '^OK$')"
	equal "connecting, $WHO: the host's redis has them" v \
		"$(host redis-cli -s "$T/redis/redis.sock" GET unix:1000)"
	host redis-cli -s "$T/redis/redis.sock" FLUSHALL >/dev/null
	contains "connecting, $WHO: redis-benchmark" '"SET"' \
		"$(try --policy "$T/policy.conf" -- redis-benchmark -p 6379 -n 2000 -c 10 \
			-t set --csv 2>&1)"
	equal "connecting, $WHO: another port is the own side" "refused" \
		"$(try --policy "$T/policy.conf" -- redis-cli -p 6380 PING 2>&1 |
			grep -o refused)"
}

serving()
{
	local dir=$T/web.$WHO
	own_dir "$dir"
	echo "endpoint web unix $dir/web.sock
bind tcp 0.0.0.0:80 = web
connect tcp 10.1.1.1:80 = web" >"$T/web.conf"
	start web --policy "$T/web.conf" -- bash -c "umask 0
		exec $PYTHON $T/bin/http_server.py 0.0.0.0 80 'over unix' nagle"
	await web curl -s --unix-socket "$dir/web.sock" http://web/ || return
	equal "serving, $WHO: fifty requests" 50 "$(host curl -sS --unix-socket \
		"$dir/web.sock" "http://web/?[1-50]" | grep -c 'over unix')"
	equal "serving, $WHO: an upload" "$(sha256sum <"$T/upload" | cut -d ' ' -f 1)" \
		"$(host curl -sS --unix-socket "$dir/web.sock" -T "$T/upload" http://web/)"
	equal "serving, $WHO: a grafted client reaches it" "over unix" \
		"$(try --policy "$T/web.conf" -- curl -sS http://10.1.1.1/ 2>&1)"
	check "serving, $WHO: no TCP port is open" [ -z "$(ss -Hltn)" ]
	check "serving, $WHO: ends on SIGTERM" stop web
}

mkdir "$T/redis"
chmod 755 "$T/redis"
head -c 3000000 /dev/urandom >"$T/upload"
echo "endpoint cache unix $T/redis/redis.sock
connect tcp 127.0.0.1:6379 = cache" >"$T/policy.conf"
spawn redis redis-server --port 0 --unixsocket "$T/redis/redis.sock" \
	--unixsocketperm 777 --loglevel warning --save '' --dir "$T/redis"
await redis redis-cli -s "$T/redis/redis.sock" PING || finish
for WHO in $USERS; do
	connecting
	serving
done
finish
