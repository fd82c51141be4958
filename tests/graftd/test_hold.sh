#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# hold, share and dynamic.
#
#	wrk (host) --> 127.0.0.1:8080 = web, hold <-- nginx (box), started and ended 50 times
#
# RESTARTS in the environment: another number of restarts.
. "$(dirname "$0")/../lib_graftd.sh"
RESTARTS=${RESTARTS-50}
enter_host "$@"
need ip nsenter curl wrk nginx "$PYTHON"
need_graftd
make_box box
mkdir -p "$T/nginx"

start_nginx()
{
	spawn nginx in_box box env LD_PRELOAD="$HIJACK" GRAFT_CONV_PAIRS="0.0.0.0:80=web" \
		nginx -e stderr -c "$T/nginx.conf"
}

# As its worker processes are there.
nginx_serves()
{
	[ -s "$T/nginx/pid" ] && [ "$(pgrep -c -P "$(<"$T/nginx/pid")")" -ge 2 ]
}

quit_nginx()
{
	kill -QUIT "${PID_OF[nginx]}"
	status_of nginx
	[ "$STATUS" = 0 ]
}

restart_nginx()
{
	local i
	for ((i = 0; i < RESTARTS; i++)); do
		quit_nginx || {
			echo "round $i: status $STATUS"
			return 1
		}
		start_nginx
		within 10 nginx_serves || {
			echo "round $i: $(<"$T/nginx.log")"
			return 1
		}
	done
}

# The same without hold: some are refused, or this would not notice.
test_without()
{
	"$GRAFT" add web ipv4 127.0.0.1:8080 owner any
	RESTARTS=5 under_load
	contains "without hold requests fail" 'Socket errors' "$(<"$T/wrk.log")"
	quit_nginx
	"$GRAFT" del web
}

# nginx ends and starts while wrk asks.
under_load()
{
	start_nginx
	await nginx can_connect 127.0.0.1 8080 || return
	spawn wrk wrk -t 1 -c 8 -d 600 --timeout 20s -H 'Connection: close' \
		http://127.0.0.1:8080/
	await wrk established 8080
	# Not in a subshell: what it starts is this shell's to wait for.
	if restart_nginx >"$T/restarts" 2>&1; then
		ok "nginx ends and starts $RESTARTS times under load"
	else
		not_ok "nginx ends and starts $RESTARTS times under load" "$(<"$T/restarts")"
	fi
	kill -INT "${PID_OF[wrk]}"
	status_of wrk
	comment "$(<"$T/wrk.log")"
}

test_restarts()
{
	local failed
	"$GRAFT" add web ipv4 127.0.0.1:8080 hold owner any
	under_load
	check "requests were served" [ "$(requests)" -gt "$RESTARTS" ]
	failed=$(grep -E 'Socket errors|Non-2xx' "$T/wrk.log")
	equal "no request failed" "" "$failed"
	has_state "while it serves" web 'bound|held'
	quit_nginx
	check "the port listens without a server" is_listening tcp 8080
	has_state "without a server" web held
	check "graft del lets it go" "$GRAFT" del web
	check "and then nobody listens" within 5 not_listening 8080
}

requests()
{
	sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' "$T/wrk.log"
}

established()
{
	[ -n "$(ss -Htn "sport = :$1")" ]
}

not_listening()
{
	! is_listening tcp "$1"
}

has_state() # NAME ENDPOINT PATTERN
{
	contains "$1: the state of $2" "\"state\": *\"($3)\"" \
		"$("$GRAFT" show --json "$2" 2>&1)"
}

# A connection made while there is no server waits for the next one.
test_backlog()
{
	local reply
	"$GRAFT" add py ipv4 127.0.0.1:8081 hold owner any
	for _ in 1 2 3; do
		spawn py in_box box env LD_PRELOAD="$HIJACK" \
			GRAFT_CONV_PAIRS="127.0.0.1:8000=py" \
			"$PYTHON" -m http.server -b 127.0.0.1 -d "$T/nginx" 8000
		await py is_listening tcp 8081 || return
		if [ -n "${PID_OF[client]-}" ]; then
			status_of client
			equal "who waited is served by the next server" "0 200" \
				"$STATUS $(<"$T/client.log")"
		fi
		equal "http.server serves" 200 "$(limited curl -s -o /dev/null -w '%{http_code}' \
			http://127.0.0.1:8081/)"
		stop py || not_ok "http.server ends on SIGTERM"
		spawn client curl -s -o /dev/null -w '%{http_code}' --max-time 20 \
			http://127.0.0.1:8081/
		check "a client connects to the held port" within 5 waits_in_backlog 8081
	done
	kill "${PID_OF[client]}"
	status_of client
	reply=$(PORT=8000 in_box box env LD_PRELOAD="$HIJACK" \
		GRAFT_CONV_PAIRS="0.0.0.0:8000=py" "$PYTHON" -c "$PY_TWICE" 2>&1)
	equal "a second binder while the first has it: EADDRINUSE" "ok EADDRINUSE ok" "$reply"
	"$GRAFT" del py
}

waits_in_backlog()
{
	[ "$(ss -Hltn "sport = :$1" | awk '{ print $2 }')" -ge 1 ]
}

PY_TWICE='import errno, os, socket
def bind(s):
    try:
        s.bind(("0.0.0.0", int(os.environ["PORT"])))
        s.listen()
        return "ok"
    except OSError as e:
        return errno.errorcode[e.errno]
a, b, c = socket.socket(), socket.socket(), socket.socket()
first, second = bind(a), bind(b)
a.close()
print(first, second, bind(c))'

# One server at a time has a held socket: not only the process that talked to graftd counts.
test_one_server()
{
	local way
	"$GRAFT" add one ipv4 127.0.0.1:8083 hold owner any
	"$GRAFT" add other ipv4 127.0.0.1:dynamic owner any
	printf '%s\n' 'bind tcp 0.0.0.0:8000 = one' 'bind tcp 0.0.0.0:8001 = other' \
		>"$T/one.policy"
	for way in forked preload notify; do
		serve_one "$way" first
		await first grep -q ^ok "$T/first.log" || return
		serve_one "$way" second
		status_of second
		equal "$way: a second one is refused, and not only at first" EADDRINUSE \
			"$(<"$T/second.log")"
		kill "${PID_OF[first]}"
		status_of first
		serve_one "$way" third
		await third grep -q . "$T/third.log" || return
		equal "$way: when it is gone the next one may" ok "$(<"$T/third.log")"
		kill "${PID_OF[third]}"
		status_of third
	done
	"$GRAFT" del one other
}

serve_one() # WAY NAME
{
	local -A prefix=(
		[forked]="in_box box env LD_PRELOAD=$HIJACK GRAFT_POLICY=$T/one.policy"
		[preload]="$GRAFT run --engine preload -i 0.0.0.0:8000=one --"
		[notify]="$GRAFT run --engine notify -i 0.0.0.0:8000=one --")
	# shellcheck disable=SC2086 # a command's words
	spawn "$2" ${prefix[$1]} "$PYTHON" -c "$PY_ONE" "$1" "$2"
}

# Binds and keeps it. The second tries for longer than a socket may be under way to
# its server. "forked": the parent has the connection to graftd, a child the socket.
PY_ONE='import errno, os, signal, socket, sys, time
way, name = sys.argv[1:]
def bind(port):
    s = socket.socket()
    try:
        s.bind(("0.0.0.0", port))
        s.listen()
        return s, "ok"
    except OSError as e:
        return s, errno.errorcode[e.errno]
if way == "forked":
    first = bind(8001)
    child = os.fork()
    if child:
        signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
        os.waitpid(child, 0)
        sys.exit()
until = time.monotonic() + (0.4 if name == "second" else 0)
while True:
    kept, outcome = bind(8000)
    if outcome == "ok" or time.monotonic() >= until:
        break
print(outcome, flush=True)
if outcome == "ok":
    signal.pause()'

test_share()
{
	local i
	"$GRAFT" add shared ipv4 127.0.0.1:8082 share owner any
	for i in 1 2 3; do
		spawn "share$i" in_box box env LD_PRELOAD="$HIJACK" \
			GRAFT_CONV_PAIRS="0.0.0.0:80=shared" \
			"$PYTHON" "$T/bin/http_server.py" 0.0.0.0 80 "server $i" nagle
	done
	check "three binders share a port" within 10 listeners 8082 3
	for i in {1..60}; do
		curl -s http://127.0.0.1:8082/
	done | sort | uniq -c >"$T/shares"
	equal "all sixty requests are answered" 60 "$(awk '{ n += $1 } END { print n }' "$T/shares")"
	comment "$(<"$T/shares")"
	# 60 coin throws for one of three servers: never two without the third by chance.
	equal "by all three" 3 "$(wc -l <"$T/shares")"
	for i in 1 2 3; do
		stop "share$i"
	done
	"$GRAFT" del shared
}

listeners() # PORT N
{
	[ "$(ss -Hltn "sport = :$1" | wc -l)" = "$2" ]
}

test_dynamic()
{
	local port
	"$GRAFT" add dyn ipv4 127.0.0.1:dynamic owner any
	equal "nobody is bound: refused" ECONNREFUSED "$(connect_dyn)"
	spawn dyn in_box box env LD_PRELOAD="$HIJACK" GRAFT_CONV_PAIRS="0.0.0.0:80=dyn" \
		"$PYTHON" "$T/bin/http_server.py" 0.0.0.0 80 dynamic
	await dyn has_port || return
	port=$(dynamic_port)
	equal "the port that is shown ($port) is the one" dynamic \
		"$(limited curl -s "http://127.0.0.1:$port/")"
	equal "and a client reaches it by name" ok "$(connect_dyn)"
	stop dyn
	equal "the server ended: refused" ECONNREFUSED "$(connect_dyn)"
	"$GRAFT" del dyn
}

dynamic_port()
{
	"$GRAFT" show --json dyn | sed -n 's/.*"bound": *\([0-9]*\).*/\1/p'
}

has_port()
{
	[ -n "$(dynamic_port)" ] && [ "$(dynamic_port)" != 0 ] &&
		is_listening tcp "$(dynamic_port)"
}

connect_dyn() # as a program of another container
{
	in_box box env LD_PRELOAD="$HIJACK" GRAFT_CONV_PAIRS="192.0.2.1:80=dyn" \
		"$PYTHON" -c 'import errno, socket
s = socket.socket()
try:
    s.connect(("192.0.2.1", 80))
    s.sendall(b"GET / HTTP/1.0\r\n\r\n")
    print("ok" if b"dynamic" in s.recv(4096) + s.recv(4096) else "nothing")
except OSError as e:
    print(errno.errorcode[e.errno])' 2>&1
}

hello_config >"$T/nginx.conf"
start_graftd
test_without
test_restarts
test_backlog
test_one_server
test_share
test_dynamic
finish
