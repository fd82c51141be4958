#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Where ports end up: -p in its forms, endpoints and GRAFT_CONV_PAIRS with iperf3, source
# addresses, denials, and the errno of a port in use or out of reach.
. "$(dirname "$0")/../lib.sh"
need_engine # the ports asked for are not the ones of the host
enter_host "$@"
need curl iperf3 ip "$PYTHON"

cat >"$T/bin/call.py" <<'END'
import errno, socket, sys
op, kind, address, port = sys.argv[1:5]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
sock = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
sock.settimeout(10)
try:
    getattr(sock, op)((address, int(port)))
    if op == "bind" and kind == "tcp":
        sock.listen()
    sys.stdout.write("ok\n" if len(sys.argv) < 6 else sock.recv(100).decode() + "\n")
except OSError as e:
    sys.stdout.write(errno.errorcode[e.errno] + "\n")
END
# Tells each client the address it comes from.
cat >"$T/bin/peer_server.py" <<'END'
import socket
listener = socket.create_server(("10.77.0.1", 8100))
while True:
    sock, peer = listener.accept()
    sock.sendall(peer[0].encode())
    sock.close()
END

call()
{
	try "${OPTIONS[@]}" -- "$PYTHON" "$T/bin/call.py" "$@" 2>"$T/err"
}

web() # NAME [RUN-OPTION...]: a server that asks for 0.0.0.0:80
{
	local name=$1
	shift
	start "$name" "$@" -- "$PYTHON" "$T/bin/http_server.py" 0.0.0.0 80 "$name"
}

published()
{
	web plain -p 8080:80
	wait_for_port plain "$HOST4" 8080 &&
		equal "$WHO: -p 8080:80" plain "$(host curl -sS "http://$HOST4:8080/")"
	stop plain
	web one -p 127.0.0.1:8080:80
	wait_for_port one 127.0.0.1 8080 && {
		equal "$WHO: -p 127.0.0.1:8080:80" one \
			"$(host curl -sS http://127.0.0.1:8080/)"
		check "$WHO: and on no other address" refused "$HOST4" 8080
	}
	stop one
	start six -p "[$HOST6]:8080:80" -- \
		"$PYTHON" "$T/bin/http_server.py" :: 80 six
	wait_for_port six "$HOST6" 8080 && {
		equal "$WHO: -p [IPv6]:8080:80" six \
			"$(host curl -sS "http://[$HOST6]:8080/")"
		check "$WHO: and not on ::1" refused ::1 8080
	}
	stop six
	web middle -p 9000-9002:79-81
	wait_for_port middle "$HOST4" 9001 &&
		equal "$WHO: -p 9000-9002:79-81" middle \
			"$(host curl -sS "http://$HOST4:9001/")"
	stop middle
	web tcp -p 8080:80/tcp
	wait_for_port tcp "$HOST4" 8080 &&
		equal "$WHO: -p 8080:80/tcp" tcp "$(host curl -sS "http://$HOST4:8080/")"
	stop tcp
	dynamic
	several
}

dynamic()
{
	local port
	web anywhere -p 80
	await anywhere listens_somewhere || return
	port=$(listens_somewhere)
	equal "$WHO: -p 80: a port of the system's choice ($port)" anywhere \
		"$(host curl -sS "http://$HOST4:$port/")"
	stop anywhere
}

listens_somewhere()
{
	ss -Hltn | awk '{ n = split($4, part, ":"); if (part[n] >= 30000) print part[n] }' |
		sort -u | grep -m 1 .
}

several()
{
	start several -p 8080:80 -p 8081:81 -- bash -c "
		$PYTHON $T/bin/http_server.py 0.0.0.0 80 first &
		exec $PYTHON $T/bin/http_server.py 0.0.0.0 81 second"
	wait_for_port several "$HOST4" 8080 && wait_for_port several "$HOST4" 8081 &&
		equal "$WHO: two ports of one run" "first second" \
			"$(host curl -sS "http://$HOST4:8080/" "http://$HOST4:8081/" | xargs)"
	stop several
}

refused()
{
	! can_connect "$1" "$2"
}

test_errors()
{
	OPTIONS=(-p 8000:80)
	equal "$WHO: a port in use" EADDRINUSE "$(call bind tcp 0.0.0.0 80)"
	OPTIONS=(-v -p 8000:80)
	call bind tcp 0.0.0.0 80 >/dev/null
	contains "$WHO: --verbose names the port in use" 8000 "$(<"$T/err")"
	OPTIONS=(-p 8001:80/udp)
	equal "$WHO: a UDP port in use" EADDRINUSE "$(call bind udp 0.0.0.0 80)"
	OPTIONS=(-p 10.99.0.1:8080:80)
	equal "$WHO: an address the host has not" EADDRNOTAVAIL \
		"$(call bind tcp 0.0.0.0 80)"
	OPTIONS=(-p 80:80 --verbose)
	if [ "$WHO" = user ]; then
		equal "$WHO: a privileged port" EACCES "$(call bind tcp 0.0.0.0 80)"
		contains "$WHO: --verbose says why" \
			'80.*(privileg|ermission|EACCES|ip_unprivileged_port_start)' \
			"$(<"$T/err")"
	else
		equal "$WHO: a privileged port" ok "$(call bind tcp 0.0.0.0 80)"
	fi
	OPTIONS=(-e 10.77.0.0/24=host)
	equal "$WHO: nobody listens there" ECONNREFUSED "$(call connect tcp "$HOST4" 9)"
	equal "$WHO: no rule, no way" ENETUNREACH "$(call connect tcp 10.88.0.1 80)"
	OPTIONS=(--rule 'connect tcp 10.77.0.1 = deny:ECONNREFUSED' -e 10.77.0.0/24=host)
	equal "$WHO: deny:ECONNREFUSED" ECONNREFUSED "$(call connect tcp "$HOST4" 8000)"
	OPTIONS=(--rule 'connect any 10.77.0.0/24:8000 = deny' -e 10.77.0.0/24=host)
	contains "$WHO: deny" '^(EACCES|EPERM)$' "$(call connect tcp "$HOST4" 8000)"
	equal "$WHO: deny leaves the next port alone" ok "$(call connect tcp "$HOST4" 8100)"
	OPTIONS=(--rule 'bind tcp 0.0.0.0:80 = deny')
	contains "$WHO: deny of bind" '^(EACCES|EPERM)$' "$(call bind tcp 0.0.0.0 80)"
	OPTIONS=(--rule 'bind any 0.0.0.0:7000-7010 = host')
	equal "$WHO: a range to the host" EADDRINUSE "$(call bind tcp 0.0.0.0 7007)"
	equal "$WHO: beyond the range is the own side" ok "$(call bind tcp 0.0.0.0 8000)"
}

test_source()
{
	echo "endpoint second ipv4 10.77.0.2:dynamic
connect tcp 10.77.0.0/24 = from second" >"$T/from.conf"
	OPTIONS=(--policy "$T/from.conf")
	equal "$WHO: from an endpoint's address" 10.77.0.2 \
		"$(call connect tcp "$HOST4" 8100 read)"
	OPTIONS=(-e 10.77.0.0/24=host)
	equal "$WHO: from the host's own choice" 10.77.0.1 \
		"$(call connect tcp "$HOST4" 8100 read)"
	echo "endpoint peer ipv4 $HOST4:8100
connect tcp 192.0.2.1:5432 = peer" >"$T/to.conf"
	OPTIONS=(--policy "$T/to.conf")
	equal "$WHO: an address that means an endpoint" 10.77.0.1 \
		"$(call connect tcp 192.0.2.1 5432 read)"
	OPTIONS=(--policy "$T/to.conf" -i 192.0.2.7:1-9999=host)
	equal "$WHO: another port of it does not" ENETUNREACH \
		"$(call connect tcp 192.0.2.1 5433)"
}

iperf3_ports()
{
	start direct -p 127.0.0.1:5201:5201/tcp -p 127.0.0.1:5201:5201/udp -- iperf3 -s
	wait_for_listener direct 5201 && {
		check "$WHO: -p 127.0.0.1:5201:5201, TCP" \
			host iperf3 -c 127.0.0.1 -n 16M
		check "$WHO: -p 127.0.0.1:5201:5201, UDP" \
			host iperf3 -c 127.0.0.1 -u -b 20M -t 1 -l 1400
		check "$WHO: and on no other address" refused "$HOST4" 5201
	}
	stop direct
	echo "endpoint ep-test ipv4 127.0.0.1:5301" >"$T/pairs.conf"
	export GRAFT_CONV_PAIRS="0.0.0.0:5201=ep-test"
	start pairs --policy "$T/pairs.conf" -- iperf3 -s
	wait_for_listener pairs 5301 && {
		check "$WHO: GRAFT_CONV_PAIRS, serving" \
			host iperf3 -c 127.0.0.1 -p 5301 -n 16M
		check "$WHO: GRAFT_CONV_PAIRS, and on no other address" \
			refused "$HOST4" 5301
		export GRAFT_CONV_PAIRS="10.9.8.7:5201=ep-test"
		check "$WHO: GRAFT_CONV_PAIRS, connecting" \
			try --policy "$T/pairs.conf" -- iperf3 -c 10.9.8.7 -n 16M
	}
	unset GRAFT_CONV_PAIRS
	stop pairs
}

ip addr add 10.77.0.2/24 dev "$OUTSIDE"
spawn busy "$PYTHON" "$T/bin/http_server.py" 0.0.0.0 8000 busy
spawn busy_range "$PYTHON" "$T/bin/http_server.py" 0.0.0.0 7007 busy
spawn busy_udp "$PYTHON" -c 'import socket
s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("0.0.0.0", 8001)); s.recv(1)'
spawn peer "$PYTHON" "$T/bin/peer_server.py"
wait_for_port busy "$HOST4" 8000 && wait_for_port busy_range "$HOST4" 7007 &&
	wait_for_listener busy_udp 8001 udp && wait_for_listener peer 8100 || finish
for WHO in $USERS; do
	published
	test_errors
	test_source
	iperf3_ports
done
finish
