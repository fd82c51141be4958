#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# `graft run --engine notify` of root's, where the kernel judges: when that is so, how few
# calls are trapped, and who is reached by whom:
#
#	"far" (10.88.0.2) --veth-- "the host" (10.88.0.1)
#	                             +-- graft run one   127.0.0.1:6379, *:80, udp *:81
#	                             +-- graft run two   the same
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
[ "$(id -u)" = 0 ] && [ "$GRAFT_TEST_CAPABLE" = root ] || skip "needs root"
need "$PYTHON" ip nsenter setpriv
WHO=root
POLICY=(--rule 'loopback own' --rule 'connect any 0.0.0.0/0 = host'
	--rule 'connect any [::]/0 = host')

# probe.py serve NAME: says its name on each place, once with what it hears before.
# probe.py ask ADDRESS PORT: what a server of streams and one of datagrams say.
cat >"$T/bin/probe.py" <<'EOF'
import errno, select, socket, sys, time
STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM

def serve(name):
    made = []
    for kind, address in ((STREAM, ("127.0.0.1", 6379)), (STREAM, ("0.0.0.0", 80)),
                          (DGRAM, ("0.0.0.0", 81)), (STREAM, ("0.0.0.0", 8080)), (STREAM, None)):
        server = socket.socket(socket.AF_INET, kind)
        if address:
            server.bind(address)
        if kind == STREAM:
            server.listen()
        made.append(server)
    print("unbound", made[-1].getsockname()[1])
    print("ready", flush=True)
    while True:
        for server in select.select(made, [], [])[0]:
            if server.type == STREAM:
                peer, _ = server.accept()
                peer.sendall(name)
                peer.close()
            else:
                data, source = server.recvfrom(99)
                print("heard", data.decode(), flush=True)
                try:
                    server.sendto(name, source)
                except OSError as error:  # to a stranger
                    print("answered", say(error), flush=True)

def say(error):
    return errno.errorcode.get(error.errno, str(error))

def ask(kind, address, port):
    client = socket.socket(socket.AF_INET, kind)
    client.settimeout(20)
    try:
        client.connect((address, port))
        if kind == DGRAM:
            client.send(b"hello")
        return client.recv(9).decode()
    except OSError as error:
        return say(error)

def bind(kind, address):
    try:
        socket.socket(socket.AF_INET, kind).bind((address, 80))
        return "bound"
    except OSError as error:
        return say(error)

def storm(address, port, n):
    for _ in range(n):
        ask(STREAM, address, port)
    print("stormed", flush=True)
    time.sleep(1000)

command, *words = sys.argv[1:]
if command == "serve":
    serve(words[0].encode())
elif command == "bind":
    print(bind(STREAM, words[0]), bind(DGRAM, words[0]))
elif command == "storm":
    storm(words[0], int(words[1]), int(words[2]))
elif command == "send":
    client = socket.socket(socket.AF_INET, DGRAM)
    for port in words[2:]:
        client.sendto(words[0].encode(), (words[1], int(port)))
else:
    kind = DGRAM if command == "datagram" else STREAM
    print(ask(kind, words[0], int(words[1])))
EOF
PROBE=("$PYTHON" "$T/bin/probe.py")

judge_of() # OPTION... -- PROGRAM...: who judges, in the words of -v
{
	try -v "$@" 2>&1 | grep -E 'judges' | sed 's/^graft run: //'
}

KERNEL="the kernel judges the sockets; the supervisor makes them"
SUPERVISOR="the supervisor judges calls, not the kernel"

test_choice()
{
	local way
	equal "the kernel judges" "$KERNEL" "$(judge_of "${POLICY[@]}" -- true)"
	equal "not without the line" "$SUPERVISOR: the policy does not say 'loopback own'" \
		"$(judge_of --rule 'connect any 0.0.0.0/0 = host' -- true)"
	equal "not where addresses are left over" \
		"$SUPERVISOR: no rules connect to every address, tcp and udp, IPv4 and IPv6" \
		"$(judge_of --rule 'loopback own' --rule 'connect any 0.0.0.0/0 = host' -- true)"
	equal "nor where one is own" \
		"$SUPERVISOR: a rule connects to own addresses outside loopback" \
		"$(judge_of --rule 'connect tcp 10.0.0.0/8 = own' "${POLICY[@]}" -- true)"
	equal "nor with a UNIX endpoint" "$SUPERVISOR: a rule leads to a UNIX socket" \
		"$(judge_of --rule 'endpoint u unix /run/u' --rule 'connect tcp 10.0.0.1:1 = u' \
			"${POLICY[@]}" -- true)"
	equal "nor with a socket handed down" \
		"$SUPERVISOR: an open socket is handed to the program" \
		"$( (exec 9<>/dev/udp/127.0.0.1/9 && judge_of "${POLICY[@]}" -- true))"
	equal "nor as a user" "$SUPERVISOR: it takes root" \
		"$(WHO=user && judge_of "${POLICY[@]}" -- true)"
	way=$("$GRAFT" explain "${POLICY[@]}" connect tcp 10.0.0.1:80)
	contains "explained" \
		'as root: the kernel judges; traps socket listen sendto sendmsg sendmmsg$' "$way"
	way=$("$GRAFT" explain "${POLICY[@]//any/tcp}" "${POLICY[@]//any/udp}" \
		connect tcp 10.0.0.1:80)
	contains "fewer with rules for tcp and udp alone" \
		'as root: the kernel judges; traps socket listen sendmsg sendmmsg$' "$way"
}

start_far()
{
	spawn far unshare -n sleep 1000
	# shellcheck disable=SC2016 # the inner shell's own
	await far sh -c '[ "$(readlink /proc/$0/ns/net)" != "$(readlink /proc/self/ns/net)" ]' \
		"${PID_OF[far]}"
	ip link add near0 type veth peer name far0 netns "${PID_OF[far]}"
	ip address add 10.88.0.1/24 dev near0
	ip link set near0 up
	FAR=(nsenter -n -t "${PID_OF[far]}")
	"${FAR[@]}" ip link set lo up
	"${FAR[@]}" ip address add 10.88.0.2/24 dev far0
	"${FAR[@]}" ip link set far0 up
}

serving() # NAME OPTION...
{
	local name=$1
	shift
	start "$name" "${POLICY[@]}" "$@" -- "${PROBE[@]}" serve "$name"
	check "$name serves" await "$name" grep -q ready "$T/$name.log"
}

# Ports of TCP that are kept to lo or on it, and those of datagrams.
kept_ports()
{
	ss -Hlnt | awk '{ n = split($4, at, ":"); if ($4 ~ /%lo:|^127\./) print at[n] }'
}

test_reach()
{
	local port
	serving one -p 10.88.0.1:7080:8080
	serving two
	check "everything of theirs is kept to lo, but for what is published" \
		test 10.88.0.1:7080 = "$(ss -Hlnt | awk '$4 !~ /%lo:|^127\./ { print $4 }')"
	equal "the published one is reached" one "$("${FAR[@]}" "${PROBE[@]}" ask 10.88.0.1 7080)"
	for port in $(kept_ports); do
		"${FAR[@]}" "${PROBE[@]}" ask 10.88.0.1 "$port"
	done | sort -u >"$T/reached"
	equal "nothing else from afar" ECONNREFUSED "$(cat "$T/reached")"
	# shellcheck disable=SC2046
	"${FAR[@]}" "${PROBE[@]}" send far 10.88.0.1 \
		$(ss -Hlnu | awk '{ n = split($4, at, ":"); print at[n] }')
	# The veth has delivered it when the next one is heard, which comes on lo.
	# shellcheck disable=SC2046
	"${PROBE[@]}" send near 127.0.0.1 \
		$(ss -Hlnu | awk '{ n = split($4, at, ":"); print at[n] }')
	check "a datagram of the host's is heard" within "$LIMIT" grep -q 'heard near' "$T/one.log"
	check "and by two" within "$LIMIT" grep -q 'heard near' "$T/two.log"
	equal "one from afar is not" "" "$(grep -h 'heard far' "$T/one.log" "$T/two.log")"
}

test_published()
{
	stop one
	stop two
	serving open -p 10.88.0.1:7081:81/udp
	equal "a published port of datagrams hears from afar" open \
		"$("${FAR[@]}" "${PROBE[@]}" datagram 10.88.0.1 7081)"
	stop open
}

# Programs of one run reach one another. Another run's do not.
test_own()
{
	cat >"$T/bin/pair.sh" <<'EOF'
"$1" "$2" serve "$3" >"$4" &
while ! grep -q ready "$4"; do sleep 0.02; done
for place in 127.0.0.1:6379 127.0.0.1:80 127.1.2.3:80 127.0.0.1:8080; do
	"$1" "$2" ask "${place%:*}" "${place#*:}"
done
"$1" "$2" ask 127.0.0.1 "$(sed -n 's/unbound //p' "$4")"
"$1" "$2" datagram 127.0.0.1 81
kill %1
EOF
	equal "on its own loopback, each of them" "three three three three three three" \
		"$(try "${POLICY[@]}" -- bash "$T/bin/pair.sh" "${PROBE[@]}" three "$T/three.log" |
			paste -sd ' ')"
	equal "nobody else" ECONNREFUSED "$(try "${POLICY[@]}" -- "${PROBE[@]}" ask 127.0.0.1 80)"
	equal "an address of the host's is none of its own" "EADDRNOTAVAIL EADDRNOTAVAIL" \
		"$(try "${POLICY[@]}" -- "${PROBE[@]}" bind 10.88.0.1)"
	equal "denied is denied" EPERM "$(try --rule 'connect tcp 10.88.0.2 = deny:EPERM' \
		"${POLICY[@]}" -- "${PROBE[@]}" ask 10.88.0.2 80)"
}

test_names()
{
	echo "nameserver 127.0.0.53" | replace_file /etc/resolv.conf
	echo "hosts: files dns" | replace_file /etc/nsswitch.conf
	spawn dns "$PYTHON" "$T/bin/dns_server.py" 127.0.0.53
	wait_for_listener dns 53
	equal "a name server on the host's loopback answers" "10.77.0.1" \
		"$(try "${POLICY[@]}" -- getent ahostsv4 web.test | awk 'NR == 1 { print $1 }')"
	equal "not with --dns none" "" \
		"$(try --dns none "${POLICY[@]}" -- getent ahostsv4 web.test)"
}

# The cgroup of the sockets of a run, by the pid of `graft run`.
sockets_of()
{
	local mount path
	mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
	path=$mount$(sed -n 's/^0:://p' "/proc/$1/cgroup")/graft-run-$1/sockets
	[ -d "$path" ] || path=$T/no-sockets
	echo "$path"
}

# What `graft attach` puts there instead judges, and leaves the cgroup isolated.
test_replaced()
{
	local cgroup
	# shellcheck disable=SC2016 # the inner shell's own
	grafted "${POLICY[@]}" -- sh -c 'echo ready
		while [ ! -e "$0" ]; do sleep 0.02; done
		"$@" bind 10.88.0.1; exec "$@" ask 10.88.0.2 80' "$T/replaced" "${PROBE[@]}"
	spawn replaced "${CMD[@]}"
	await replaced grep -q ready "$T/replaced.log"
	cgroup=$(sockets_of "${PID_OF[replaced]}")
	check "another policy is put there" "$GRAFT" attach --rule 'loopback own' \
		--rule 'connect tcp 10.88.0.2 = deny:EPERM' "$cgroup"
	: >"$T/replaced"
	await replaced grep -q '^E[A-Z]*$' "$T/replaced.log"
	equal "it judges, and what is own is nowhere else still" \
		"EADDRNOTAVAIL EADDRNOTAVAIL EPERM" \
		"$(tail -n +2 "$T/replaced.log" | paste -sd ' ')"
	stop replaced
}

# What it is for: one trap for a connection.
test_traps()
{
	local traps
	spawn storm_server "$PYTHON" "$T/bin/http_server.py" 10.88.0.1 8000 hello
	wait_for_port storm_server 10.88.0.1 8000
	grafted --name storm "${POLICY[@]}" -- "${PROBE[@]}" storm 10.88.0.1 8001 200
	spawn storm "${CMD[@]}"
	await storm grep -q stormed "$T/storm.log"
	traps=$("$GRAFT" ps --json | "$PYTHON" -c '
import json, sys
print([run["n_traps"] for run in json.load(sys.stdin) if run["name"] == "storm"][0])')
	check "200 connects are 200 traps ($traps)" test "$traps" -eq 200
	stop storm
}

test_life()
{
	local left="$T/left"
	stop_all
	MOUNT=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
	# shellcheck disable=SC2016 # the inner shell's own
	grafted "${POLICY[@]}" -- sh -c 'echo "$PPID"; sleep 1000'
	spawn killed "${CMD[@]}"
	await killed grep -q . "$T/killed.log"
	find "$MOUNT" -path '*/graft-run-*/sockets' -newer "$T/bin/probe.py" >"$left"
	check "its cgroup is there" test -s "$left"
	kill -9 "$(cat "$T/killed.log")"
	stop killed
	try "${POLICY[@]}" -- true
	# shellcheck disable=SC2016
	check "and gone after the next run" sh -c \
		'while read -r path; do [ ! -e "$path" ] || exit 1; done' <"$left"
}

need_engine
ENGINE=notify
test_choice
start_far
test_reach
test_published
test_own
test_names
test_replaced
test_traps
test_life
finish
