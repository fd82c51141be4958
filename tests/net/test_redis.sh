#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# redis in both directions: data written and read back, pipelined load by
# redis-benchmark, and a large value.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need redis-server redis-cli redis-benchmark ip

server_of() # DIRECTORY PORT
{
	SERVER=(redis-server --port "$2" --bind 0.0.0.0 --protected-mode no --save ''
		--appendonly no --dir "$1" --daemonize no)
}

# A thousand keys by mass insertion, one of 2 MB, and what comes back of them.
exchange() # NAME COMMAND...: a redis-cli with its address
{
	local name=$1
	shift
	"$@" FLUSHALL >/dev/null
	seq 1000 | sed 's/.*/SET key:& value-&/' | "$@" >"$T/replies" 2>&1
	equal "$name: a thousand SETs" 1000 "$(grep -c '^OK$' "$T/replies")"
	equal "$name: DBSIZE" 1000 "$("$@" DBSIZE)"
	equal "$name: a thousand GETs" "$(seq -f 'value-%g' 1000 | sha256sum)" \
		"$(seq -f 'GET key:%g' 1000 | "$@" | sha256sum)"
	"$@" -x SET big <"$T/big" >/dev/null
	equal "$name: a value of 2 MB" "$(sha256sum <"$T/big")" \
		"$("$@" --raw GET big | head -c 2000000 | sha256sum)"
}

load() # NAME COMMAND...: a redis-benchmark with its address
{
	local name=$1 output
	shift
	output=$("$@" -n 4000 -c 20 -t set,get,lpush --csv 2>&1)
	equal "$name: redis-benchmark, one request at a time" 3 \
		"$(grep -Ec '^"(SET|GET|LPUSH)","[0-9.]+"' <<<"$output")"
	output=$("$@" -n 20000 -c 10 -P 16 -t set,get --csv 2>&1)
	equal "$name: redis-benchmark, pipelined" 2 \
		"$(grep -Ec '^"(SET|GET)","[0-9.]+"' <<<"$output")"
}

test_redis()
{
	local dir=$T/redis.$WHO egress=(-e 10.77.0.0/24=host)
	own_dir "$dir"
	server_of "$dir" "$(inside 7379 6379)"
	start server -p 7379:6379 -- "${SERVER[@]}"
	if wait_for_port server "$HOST4" 7379; then
		exchange "serving, $WHO" host redis-cli -h "$HOST4" -p 7379
		load "serving, $WHO" host redis-benchmark -h "$HOST4" -p 7379
	fi
	check "serving, $WHO: ends on SIGTERM" stop server
	exchange "connecting, $WHO" \
		try "${egress[@]}" -- redis-cli -h "$HOST4" -p 7400
	load "connecting, $WHO" \
		try "${egress[@]}" -- redis-benchmark -h "$HOST4" -p 7400
}

head -c 1500000 /dev/urandom | base64 -w 0 | head -c 2000000 >"$T/big"
mkdir "$T/host_redis"
server_of "$T/host_redis" 7400
spawn host_server "${SERVER[@]}"
wait_for_port host_server "$HOST4" 7400 || finish
for WHO in $USERS; do
	test_redis
done
finish
