#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Behind `sudo make demo`: installs what it needs, builds, and in a network namespace that
# plays the host runs nginx and iperf3 by `graft run`, as uid 65534, checks them from
# outside and compares three places a program can be in:
#
#	"the host" 10.77.0.1 --+-- host-native: no namespace
#	                       +-- br0 -- veth -- namespace 10.88.0.2
#	                       '-- graft run: a namespace with a loopback alone
#
# Ends with one line of verdict; exit status 0 when every check passed.
. "$(dirname "$0")/../tests/lib.sh"
REPETITIONS=${REPETITIONS-5}
SECONDS_EACH=0.6 # rr and crr; iperf3 takes one second
# Round trips are between two programs on one CPU: across two, waking up the other one
# decides. All else runs where the kernel puts it.
ONE_CPU=(taskset -c 0)

prepare()
{
	if [ "$(id -u)" != 0 ]; then
		echo "demo: needs root, to install packages and make namespaces: sudo make demo" >&2
		exit 1
	fi
	"$SOURCE_DIR/tools/deps.sh" demo || exit 1
	echo "demo: building"
	local output
	output=$(make -C "$SOURCE_DIR" all 2>&1) || {
		tail -n 20 <<<"$output"
		echo "demo: FAILED: it does not build"
		exit 1
	}
}

[ -n "${GRAFT_TEST_INSIDE-}" ] || prepare
enter_host "$@"
WHO=user
LOAD=$T/bin/load
cp "$SOURCE_DIR/build/bench/load" "$LOAD" 2>/dev/null && chmod 755 "$LOAD"
BRIDGE4=10.88.0.1
VETH4=10.88.0.2
PASSED=0

# --- checks ----------------------------------------------------------------------------

expect() # WHAT COMMAND...
{
	local what=$1 output
	shift
	if output=$("$@" 2>&1); then
		PASSED=$((PASSED + 1))
		echo "demo: yes: $what"
	else
		FAILED=$((FAILED + 1))
		echo "demo: NO:  $what"
		tail -n 5 <<<"$output"
	fi
}

verdict()
{
	stop_all
	if [ "$FAILED" = 0 ] && [ "$PASSED" -gt 0 ]; then
		echo "demo: PASSED: nginx and iperf3 ran grafted, without privilege;" \
			"$PASSED of $PASSED checks"
		exit 0
	fi
	echo "demo: FAILED: $FAILED of $((PASSED + FAILED)) checks"
	exit 1
}

nginx_config() # DIRECTORY PORT
{
	cat <<END
daemon off;
pid $1/nginx.pid;
error_log stderr warn;
events { }
http {
	access_log off;
	client_body_temp_path $1/body;
	proxy_temp_path $1/proxy;
	fastcgi_temp_path $1/fastcgi;
	uwsgi_temp_path $1/uwsgi;
	scgi_temp_path $1/scgi;
	server {
		listen $2;
		listen [::]:$2 ipv6only=on;
		root $T/www;
	}
}
END
}

same_file() # COMMAND...: a download that must equal $T/www/file
{
	cmp "$T/www/file" <("$@")
}

moved() # COMMAND...: an iperf3 client with -J; prints bits per second
{
	"$@" | "$PYTHON" -c '
import json, sys
report = json.load(sys.stdin)
end = report["end"].get("sum_received")
if "error" in report or not end["bytes"]:
    sys.exit(report.get("error", "nothing moved"))
print(end["bits_per_second"])'
}

# No rule leads to the loopback of the host, whatever the rules for outside are.
loopback_is_closed()
{
	try -e 0.0.0.0/0=host -- curl -s --max-time 5 http://127.0.0.1:8090/
	[ $? = 7 ]
}

check_nginx()
{
	mkdir -p "$T/www" "$T/host_nginx"
	own_dir "$T/nginx"
	head -c 20000000 /dev/urandom >"$T/www/file"
	nginx_config "$T/nginx" 80 >"$T/nginx.conf"
	nginx_config "$T/host_nginx" 8090 >"$T/host_nginx.conf"
	echo "demo: graft run -p 8080:80 -- nginx"
	start nginx -p 8080:80 -- nginx -e stderr -c "$T/nginx.conf"
	spawn host_nginx nginx -e stderr -c "$T/host_nginx.conf"
	wait_for_port nginx "$HOST4" 8080 && wait_for_port host_nginx "$HOST4" 8090 ||
		verdict
	expect "curl gets 20 MB from nginx on port 80 of its own, 8080 outside" \
		same_file host curl -sS "http://$HOST4:8080/file"
	expect "the same over IPv6" same_file host curl -sS "http://[$HOST6]:8080/file"
	expect "a grafted curl gets it from a server of the host" \
		same_file try -e 10.77.0.0/24=host -- curl -sS "http://$HOST4:8090/file"
	expect "the host's loopback stays out of reach" loopback_is_closed
	stop nginx
	stop host_nginx
}

check_iperf3()
{
	expect "iperf3 from outside to the grafted iperf3" \
		moved host iperf3 -J -c "$HOST4" -p 5301 -n 200M
	expect "the same in reverse" moved host iperf3 -J -c "$HOST4" -p 5301 -n 200M -R
	expect "a grafted iperf3 to one of the host" moved \
		try -e 10.77.0.0/24=host -- iperf3 -J -c "$HOST4" -p 5201 -n 200M
}

# --- measurements ------------------------------------------------------------------------

make_bridge()
{
	ip netns add bridged && ip link add br0 type bridge &&
		ip addr add "$BRIDGE4/24" dev br0 && ip link set br0 up &&
		ip link add veth0 type veth peer name eth0 netns bridged &&
		ip link set veth0 master br0 up &&
		bridged ip addr add "$VETH4/24" dev eth0 && bridged ip link set eth0 up &&
		bridged ip link set lo up
}

bridged()
{
	nsenter --net=/run/netns/bridged "$@"
}

# In the namespaces of the demo alone. A namespace may not be allowed to change its
# default; congestion.sh then asks for it route by route.
use_cubic()
{
	local set=$SOURCE_DIR/bench/congestion.sh
	CONGESTION=cubic
	sh "$set" cubic >"$T/congestion.log" 2>&1 &&
		bridged sh "$set" cubic >>"$T/congestion.log" 2>&1 && return
	CONGESTION=$(cat /proc/sys/net/ipv4/tcp_congestion_control)
	echo "demo: cubic cannot be set here: $(tail -n 1 "$T/congestion.log")"
}

start_servers()
{
	identity user
	spawn native_iperf3 "${IDENTITY[@]}" iperf3 -s -p 5201
	spawn veth_iperf3 bridged "${IDENTITY[@]}" iperf3 -s -p 5201
	start graft_iperf3 -p 5301:5201 -- iperf3 -s -p 5201
	wait_for_listener native_iperf3 5201 && wait_for_port veth_iperf3 "$VETH4" 5201 &&
		wait_for_listener graft_iperf3 5301 || verdict
	[ -x "$LOAD" ] || return 0
	start_load_servers crr 5202 5302
	start_load_servers rr 5203 5303 "${ONE_CPU[@]}"
}

start_load_servers() # NAME PORT GRAFT-PORT [PREFIX...]
{
	local name=$1 port=$2 graft_port=$3 serve
	shift 3
	serve=("$@" "$LOAD" serve 0.0.0.0 "$port")
	spawn "native_$name" "${IDENTITY[@]}" "${serve[@]}"
	spawn "veth_$name" bridged "${IDENTITY[@]}" "${serve[@]}"
	start "graft_$name" -p "$graft_port:$port" -- "${serve[@]}"
	wait_for_port "native_$name" "$HOST4" "$port" &&
		wait_for_port "veth_$name" "$VETH4" "$port" &&
		wait_for_port "graft_$name" "$HOST4" "$graft_port" || verdict
}

# in_place WAY COMMAND...: a client that runs there.
in_place()
{
	local way=$1
	shift
	case $way in
	native) host "${IDENTITY[@]}" "$@" ;;
	veth) host nsenter --net=/run/netns/bridged "${IDENTITY[@]}" "$@" ;;
	graft) try -e 0.0.0.0/0=host -- "$@" ;;
	esac
}

record() # METRIC WAY VALUE
{
	[ -n "$3" ] && echo "$1 $2 $3" >>"$T/measured"
}

field() # NAME: of a line of JSON
{
	"$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1" \
		2>/dev/null
}

# Where the server of each way is, and where that of the host is for its clients. The
# ports of a way start at BASE: iperf3, connections, round trips.
measure() # WAY ADDRESS BASE HOST-ADDRESS
{
	local way=$1 address=$2 base=$3 home=$4 t=$SECONDS_EACH
	identity user
	record bulk-serving "$way" \
		"$(moved in_place native iperf3 -J -c "$address" -p "$base" -t 1)"
	record bulk-connecting "$way" \
		"$(moved in_place "$way" iperf3 -J -c "$home" -p 5201 -t 1)"
	[ -x "$LOAD" ] || return 0
	record rr-serving "$way" "$(in_place native "${ONE_CPU[@]}" "$LOAD" \
		rr "$address" $((base + 2)) "$t" | field p50_us)"
	record rr-connecting "$way" "$(in_place "$way" "${ONE_CPU[@]}" "$LOAD" \
		rr "$home" 5203 "$t" | field p50_us)"
	record crr-serving "$way" "$(in_place native "$LOAD" \
		crr "$address" $((base + 1)) "$t" | field per_second)"
	record crr-connecting "$way" "$(in_place "$way" "$LOAD" \
		crr "$home" 5202 "$t" | field per_second)"
}

compare()
{
	local i
	: >"$T/measured"
	for ((i = 1; i <= REPETITIONS; i++)); do
		echo "demo: measuring, $i of $REPETITIONS: host-native, veth+bridge, grafted"
		measure native "$HOST4" 5201 "$HOST4"
		measure veth "$VETH4" 5201 "$BRIDGE4"
		measure graft "$HOST4" 5301 "$HOST4"
	done
	echo
	echo "Congestion control $CONGESTION, $(nproc) CPUs, Linux $(uname -r). $REPETITIONS interleaved" \
		"repetitions:"
	echo "median, and median (range) of the ratio to host-native in the same repetition."
	[ -x "$LOAD" ] || echo "Round trips and connections need build/bench/load: left out."
	"$PYTHON" "$SOURCE_DIR/tools/demo_table.py" <"$T/measured"
	echo
}

check_nginx
make_bridge || { echo "demo: no bridge or veth on this kernel"; FAILED=$((FAILED + 1)); verdict; }
use_cubic
start_servers
check_iperf3
compare
verdict
