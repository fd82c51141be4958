#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# iperf3 in both directions: TCP, UDP, IPv6, reverse, four streams. Each test must end
# well and have moved the bytes it was asked to; speed is not judged here.
#
#	serving:    iperf3 -c (host) --> iperf3 -s (grafted, -p 5301:5201)
#	connecting: iperf3 -c (grafted) --> iperf3 -s (host)
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need iperf3 ip "$PYTHON"

# moved BYTES < JSON: the report is one of success and of at least so many bytes.
cat >"$T/moved.py" <<'END'
import json, sys
report = json.load(sys.stdin)
if "error" in report:
    sys.exit("iperf3: " + report["error"])
end = report["end"]
total = end.get("sum_received") or end["sum"]
print(int(total["bytes"]), "bytes", int(total["bits_per_second"] / 1e6), "Mbit/s")
if total["bytes"] < int(sys.argv[1]):
    sys.exit("fewer than " + sys.argv[1])
# How many datagrams a busy machine drops is no business of this test; that most of
# them get nowhere is.
if total.get("lost_percent", 0) > 90:
    sys.exit("lost %g %%" % total["lost_percent"])
END

moves() # BYTES COMMAND...
{
	local bytes=$1
	shift
	"$@" >"$T/report" 2>&1
	"$PYTHON" "$T/moved.py" "$bytes" <"$T/report" || {
		tail -n 20 "$T/report"
		return 1
	}
}

# matrix NAME PORT COMMAND...: the client is COMMAND.
matrix()
{
	local name=$1 port=$2
	shift 2
	check "$name: TCP" moves 30000000 "$@" -c "$HOST4" -p "$port" -n 64M
	check "$name: TCP reverse" moves 30000000 "$@" -c "$HOST4" -p "$port" -n 64M -R
	check "$name: TCP, four streams" moves 30000000 \
		"$@" -c "$HOST4" -p "$port" -n 64M -P 4
	check "$name: TCP, four streams reverse" moves 30000000 \
		"$@" -c "$HOST4" -p "$port" -n 64M -P 4 -R
	check "$name: TCP, IPv6" moves 30000000 "$@" -6 -c "$HOST6" -p "$port" -n 64M
	check "$name: TCP, IPv6 reverse" moves 30000000 \
		"$@" -6 -c "$HOST6" -p "$port" -n 64M -R
	check "$name: UDP" moves 1000000 \
		"$@" -c "$HOST4" -p "$port" -u -b 50M -t 1 -l 1400
	check "$name: UDP reverse" moves 1000000 \
		"$@" -c "$HOST4" -p "$port" -u -b 50M -t 1 -l 1400 -R
	check "$name: UDP, IPv6" moves 1000000 \
		"$@" -6 -c "$HOST6" -p "$port" -u -b 50M -t 1 -l 1400
	check "$name: UDP, four streams" moves 1000000 \
		"$@" -c "$HOST4" -p "$port" -u -b 10M -t 1 -l 1400 -P 4
}


test_iperf3()
{
	start server -p 5301:5201/tcp -p 5301:5201/udp -- \
		iperf3 -s -p "$(inside 5301 5201)" --forceflush
	if wait_for_listener server 5301; then
		matrix "serving, $WHO" 5301 host iperf3 -J
	fi
	stop server || not_ok "serving, $WHO: ends on SIGTERM"
	matrix "connecting, $WHO" 5400 \
		try -e 10.77.0.0/24=host -e fd77::/64=host -- iperf3 -J
}

spawn host_server iperf3 -s -p 5400
wait_for_listener host_server 5400 || finish
for WHO in $USERS; do
	test_iperf3
done
finish
