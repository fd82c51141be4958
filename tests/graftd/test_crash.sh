#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# graftd is killed with SIGKILL 200 times, and started again, under a load of binds and
# connects by programs with the preload library:
#
#	crash		kills and starts graftd, asks for all endpoints after each start
#	load worker	six of them, in the container: bind, listen, connect, one byte;
#			and each keeps one connection from beginning to end
#	load server	in the container: a `hold` endpoint, bound and left in turns
#	load prober	in the host: connects to that port without pause
#	sleepers	ten `hold` endpoints that were bound once
#
# What may fail meanwhile is a call that needs graftd, with ENETDOWN. How long a start
# takes is printed; only ten times what is promised fails.
#
# KILLS in the environment: another number of kills.
. "$(dirname "$0")/../lib_graftd.sh"
KILLS=${KILLS-200}
WORKERS=6
READY_MS=100

enter_host "$@"
need ip nsenter
need_graftd
for program in load crash; do
	cp "$BUILT/$program" "$T/bin/" && chmod 755 "$T/bin/$program"
done
make_box box

# value NAME: of what crash printed
value()
{
	sed -n "s/^$1 //p" "$T/crash.log" | head -n 1
}

in_load() # NAME ROW KIND PORT
{
	spawn "$1" in_box box env LD_PRELOAD="$HIJACK" GRAFT_POLICY="$T/rules" \
		"$T/bin/load" "$T/load" "$2" "$3" "$4"
}

write_rules()
{
	local i
	echo "connect tcp 192.0.2.1:9000 = echo"
	echo "bind tcp 0.0.0.0:8100 = held"
	for ((i = 1; i <= WORKERS; i++)); do
		echo "bind tcp 0.0.0.0:$((8000 + i)) = b$i"
	done
	for i in {1..10}; do
		echo "bind tcp 0.0.0.0:$((8200 + i)) = sleeper$i"
	done
}

add_endpoints()
{
	local i
	{
		echo "echo ipv4 127.0.0.1:9000 owner any"
		echo "held ipv4 127.0.0.1:18100 hold owner any"
		for ((i = 1; i <= WORKERS; i++)); do
			echo "b$i ipv4 127.0.0.1:$((18000 + i)) owner any"
		done
		for i in {1..10}; do
			echo "sleeper$i ipv4 127.0.0.1:$((18200 + i)) hold owner any"
		done
	} >"$T/endpoints"
	check "endpoints are added" "$GRAFT" add --batch "$T/endpoints"
}

PY_SLEEPER='import socket, sys
for port in range(8201, 8211):
    s = socket.socket()
    s.bind(("0.0.0.0", port))
    s.listen(5)'

all_answer() # FIRST LAST: each port takes a connection
{
	local port
	for ((port = $1; port <= $2; port++)); do
		can_connect 127.0.0.1 "$port" || {
			echo "port $port refuses"
			return 1
		}
	done
}

all_there() # every name of $T/endpoints is shown
{
	"$GRAFT" show >"$T/shown" || return 1
	cut -d ' ' -f 1 "$T/endpoints" | while read -r name; do
		grep -q "^$name " "$T/shown" || {
			echo "$name is lost"
			return 1
		}
	done
}

write_rules >"$T/rules"
spawn echo "$T/bin/load" - 0 echo 9000
spawn crash "$T/bin/crash" "$T/load" "$KILLS" "$BROKER" \
	"$GRAFTD" --foreground --config "$T/graftd.conf"
await crash grep -q up "$T/crash.log" || finish
add_endpoints
check "ten endpoints are held" in_box box env LD_PRELOAD="$HIJACK" GRAFT_POLICY="$T/rules" \
	"$PYTHON" -c "$PY_SLEEPER"
in_load server 1 server 8100
await server is_listening tcp 18100 || finish
spawn prober "$T/bin/load" "$T/load" 2 prober 18100
for ((i = 1; i <= WORKERS; i++)); do
	in_load "worker$i" $((i + 2)) worker $((8000 + i))
done
check "$KILLS kills" within 200 grep -q '^end' "$T/crash.log"

comment "$(grep -v 'graftd: ready' "$T/crash.log")"
equal "as many starts" "$KILLS" "$(value kills)"
equal "each time graftd answered" 0 "$(value not_ready)"
equal "the load went on after each" 0 "$(value stuck)"
check "calls went well" [ "$(value calls)" -gt $((KILLS * 20)) ]
check "bytes went over established connections" [ "$(value exchanges)" -gt "$KILLS" ]
equal "no established connection is lost" 0 "$(value connections_lost)"
equal "a held port never refused" 0 "$(value held_refused)"
check "endpoints were added meanwhile" [ "$(value endpoints_added)" -gt $((KILLS / 2)) ]
equal "no endpoint that was acknowledged is lost" 0 "$(value endpoints_lost)"
check "nor any of those from before" all_there
equal "no other errno than ENETDOWN" "" \
	"$(sed -n 's/^errno //p' "$T/crash.log" | grep -v '^ENETDOWN ')"
check "ready again within $((READY_MS * 10)) ms, ten times of what is promised" \
	awk -v limit=$((READY_MS * 10)) -v median="$(value ready_ms_median)" \
	'BEGIN { exit !(median > 0 && median < limit) }'
if awk -v median="$(value ready_ms_median)" -v limit=$READY_MS \
	'BEGIN { exit !(median < limit) }'; then
	comment "the median is below $READY_MS ms"
else
	comment "the median is NOT below $READY_MS ms: another load on this machine?"
fi
check "ports that were held all the time" all_answer 18201 18210
finish
