#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The program's own side: its loopback is its own. Two programs of one run talk over it,
# the host's services on 127.0.0.1 and ::1 are out of reach until a rule opens one, and
# nobody outside sees what listens there.
. "$(dirname "$0")/../lib.sh"
need_engine # there is no own side on plain sockets
enter_host "$@"
need curl ip "$PYTHON"

ALL=(-e 0.0.0.0/0=host -e ::/0=host)

# What a client in the program's place says about ADDRESS PORT.
cat >"$T/bin/probe.py" <<'END'
import errno, socket, sys
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
sock = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
sock.settimeout(5)
try:
    if kind == "udp-unconnected":
        sock.settimeout(1)
        sock.sendto(b"?", (address, port))
    else:
        sock.connect((address, port))
        sock.send(b"GET / HTTP/1.0\r\n\r\n")
    read = sock.makefile("rb").read if kind == "tcp" else lambda: sock.recv(100)
    print(read().decode().split()[-1])
except socket.timeout:
    print("timeout")
except OSError as e:
    print(errno.errorcode[e.errno])
END
cat >"$T/bin/udp_server.py" <<'END'
import socket, sys
sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET,
                     socket.SOCK_DGRAM)
sock.bind((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
while True:
    data, peer = sock.recvfrom(100)
    print("asked", flush=True)
    sock.sendto(b"secret", peer)
END

probe()
{
	try "${OPTIONS[@]}" -- "$PYTHON" "$T/bin/probe.py" "$@" 2>&1
}

# Two programs in one run, the second started when the first listens.
pair()
{
	local address=$1 url=$1
	[[ $address != *:* ]] || url="[$address]"
	try "${OPTIONS[@]}" -- bash -c "
		$PYTHON $T/bin/http_server.py $address 7000 own-side &
		for i in {1..500}; do
			curl -sS http://$url:7000/ 2>/dev/null && exit
			sleep 0.02
		done
		exit 1" 2>&1
}

test_own_side()
{
	local address with
	for with in no-rule everything-to-host; do
		OPTIONS=()
		[ "$with" = no-rule ] || OPTIONS=("${ALL[@]}")
		for address in 127.0.0.1 ::1 127.5.6.7; do
			equal "$WHO, $with: two programs over $address" own-side \
				"$(pair "$address")"
		done
		for address in 127.0.0.1 ::1 0.0.0.0 ::ffff:127.0.0.1; do
			equal "$WHO, $with: the host's TCP service on $address" \
				ECONNREFUSED "$(probe tcp "$address" 8000)"
		done
		equal "$WHO, $with: the host's UDP service, connected" ECONNREFUSED \
			"$(probe udp 127.0.0.1 8001)"
		equal "$WHO, $with: the host's UDP service, unconnected" timeout \
			"$(probe udp-unconnected 127.0.0.1 8001)"
	done
	equal "$WHO: no datagram reached it" 0 "$(grep -c asked "$T/udp.log")"

	OPTIONS=(--rule 'connect tcp 127.0.0.1:8000 = host')
	equal "$WHO: a rule opens the TCP service" secret "$(probe tcp 127.0.0.1 8000)"
	equal "$WHO: and no other" ECONNREFUSED "$(probe tcp ::1 8000)"
	equal "$WHO: nor another port" ECONNREFUSED "$(probe tcp 127.0.0.1 8002)"
	OPTIONS=(--rule 'connect udp 127.0.0.1:8001 = host')
	equal "$WHO: a rule opens the UDP service, connected" secret \
		"$(probe udp 127.0.0.1 8001)"
	equal "$WHO: a rule opens the UDP service, unconnected" secret \
		"$(probe udp-unconnected 127.0.0.1 8001)"
	: >"$T/udp.log"
	seen_from_outside
}

seen_from_outside()
{
	start hidden -e 10.77.0.0/24=host -- bash -c "
		$PYTHON $T/bin/http_server.py 0.0.0.0 7100 own-side &
		for i in {1..500}; do
			curl -s http://127.0.0.1:7100/ && break
			sleep 0.02
		done
		echo up
		wait"
	await hidden grep -q up "$T/hidden.log" || return
	contains "$WHO: a listener without a rule is there" own-side "$(<"$T/hidden.log")"
	check "$WHO: but not on the host" refused "$HOST4" 7100
	check "$WHO: nor on its loopback" refused 127.0.0.1 7100
	OPTIONS=("${ALL[@]}")
	equal "$WHO: nor for another run" ECONNREFUSED "$(probe tcp 127.0.0.1 7100)"
	stop hidden
}

refused()
{
	! can_connect "$1" "$2"
}

spawn web "$PYTHON" "$T/bin/http_server.py" 127.0.0.1 8000 secret
spawn web6 "$PYTHON" "$T/bin/http_server.py" ::1 8000 secret
spawn web2 "$PYTHON" "$T/bin/http_server.py" 127.0.0.1 8002 secret
spawn udp "$PYTHON" "$T/bin/udp_server.py" 127.0.0.1 8001
wait_for_port web 127.0.0.1 8000 && wait_for_port web6 ::1 8000 &&
	wait_for_port web2 127.0.0.1 8002 && await udp grep -q ready "$T/udp.log" || finish
for WHO in $USERS; do
	test_own_side
done
finish
