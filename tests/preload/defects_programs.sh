# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Shell cases of test_defects.sh that take other programs: other compilers, other C
# libraries, and the programs that users of AF_GRAFT tried.

HERE=$LIB_DIR/preload

# compile OUTPUT COMPILER... -- SOURCE: SKIPPED when the compiler is not there.
compile()
{
	local output=$T/bin/$1 command=()
	shift
	while [ "$1" != -- ]; do
		command+=("$1")
		shift
	done
	if ! command -v "${command[0]}" >/dev/null; then
		SKIPPED="${command[0]} is not installed"
		return 1
	fi
	if ! "${command[@]}" -O1 -D_GNU_SOURCE -I"$SOURCE_DIR/include/uapi" \
		-idirafter /usr/include -idirafter "/usr/include/$(uname -m)-linux-gnu" \
		-o "$output" "$HERE/$2" 2>"$T/compile.log"; then
		SKIPPED="cannot compile for this: $(tail -n 1 "$T/compile.log")"
		return 1
	fi
	chmod 755 "$output"
}

# where PROGRAM...: what the program of where.c says in the box with the library, and in
# $T/where.err what is said on stderr.
where()
{
	in_box box timeout -k 1 "$LIMIT" "${GRAFTED[@]}" "$@" </dev/null 2>"$T/where.err"
}

# A program that no preload can reach goes on as it did, and `graft run` grafts it.
runs_as_before() # NAME PROGRAM...
{
	local name=$1
	shift
	is "$name with the library" own "$(where "$@")"
	[ -p "$T/fifo" ] || mkfifo "$T/fifo"
	# Its input stays open: it is ended by a signal.
	# shellcheck disable=SC2016
	spawn "run" sh -c 'exec 3<>"$0"; exec "$@" <&3' "$T/fifo" \
		"$GRAFT" run --engine notify -p 17000:7000 -- "$@"
	if await run grep -q . "$T/run.log"; then
		is "$name with graft run" grafted "$(<"$T/run.log")"
		does "$name with graft run is reached" can_connect 127.0.0.1 17000
	else
		wrong "$name with graft run says nothing"
	fi
	stop run
}

case_program_32()
{
	compile where32 gcc -m32 -- where.c || return 0
	is "it runs" own "$(where where32)"
	has "and the loader says why" 'libgraft-hijack.so.*(cannot be preloaded|wrong ELF)' \
		"$(<"$T/where.err")"
}

case_header_32()
{
	compile layout32 gcc -m32 -- layout.c || return 0
	compile layout64 gcc -- layout.c
}

case_program_static()
{
	compile where_static gcc -static -- where.c || return 0
	runs_as_before "a static program" where_static
}

case_program_go()
{
	local cache=${MESON_BUILD_ROOT:-$SOURCE_DIR/build}/tests/preload/go
	command -v go >/dev/null || { SKIPPED="go is not installed" && return; }
	mkdir -p "$cache"
	cp "$HERE/where.go" "$cache/main.go"
	(cd "$cache" && GOCACHE=$cache/cache GOPATH=$cache/path GOTOOLCHAIN=local \
		GO111MODULE=off CGO_ENABLED=0 HOME=$cache go build -o "$T/bin/where_go" main.go) ||
		{ wrong "go build failed" && return; }
	runs_as_before "a Go program" where_go
}

case_program_setuid()
{
	compile where_setuid gcc -- where.c || return 0
	chown root "$T/bin/where_setuid"
	chmod 4755 "$T/bin/where_setuid"
	is "as the owner it is no setuid program" grafted "$(where where_setuid)"
	is "as a user" own "$(where setpriv --reuid=65534 --regid=65534 --clear-groups -- \
		where_setuid)"
}

case_program_musl()
{
	compile where_musl musl-gcc -- where.c || return 0
	has "it is a musl program" 'ld-musl' "$(readelf -l "$T/bin/where_musl" 2>/dev/null ||
		strings "$T/bin/where_musl")"
	has "it runs" '^(own|grafted)$' "$(where where_musl)"
	is "without a word from the loader" '' "$(<"$T/where.err")"
}

case_programs_without()
{
	local rules=(LD_PRELOAD="$HIJACK" GRAFT_SOCKET=/run/nobody.sock
		GRAFT_CONV_PAIRS="0.0.0.0:9999=nobody")
	spawn plain env "${rules[@]}" "$PYTHON" "$T/bin/http_server.py" 127.0.0.1 9960 hello
	await plain can_connect 127.0.0.1 9960 || wrong "no server"
	is "curl and python" hello "$(env "${rules[@]}" curl -sS http://127.0.0.1:9960/ 2>&1)"
	stop plain
	# shellcheck disable=SC2016
	is "bash, and nothing is said" "0" "$(env "${rules[@]}" bash -c 'echo $((1-1))' 2>&1)"
	is "ls" "$(ls /)" "$(env "${rules[@]}" ls / 2>&1)"
	is "a shell's redirections" "$(id)" "$(env "${rules[@]}" sh -c 'id 3>&1 >&3 3>&-' 2>&1)"
}

case_resolver()
{
	echo "nameserver 127.0.0.1
options timeout:2 attempts:2" | replace_file /etc/resolv.conf
	echo "hosts: files dns" | replace_file /etc/nsswitch.conf
	spawn dns in_box box "$PYTHON" "$T/bin/dns_server.py" 127.0.0.1
	await dns in_box box "$PYTHON" -c 'import socket
s = socket.socket(); s.connect(("127.0.0.1", 53))' || wrong "no name server"
	is "an address" 10.77.0.1 "$(in_box box "${GRAFTED[@]}" "$PYTHON" -c '
import socket
print(socket.getaddrinfo("web.test", 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])' 2>&1)"
	is "an address, over TCP" 40 "$(in_box box "${GRAFTED[@]}" "$PYTHON" -c '
import socket
print(len(socket.getaddrinfo("big.test", 80, socket.AF_INET, socket.SOCK_STREAM)))' 2>&1)"
	is "no such name" 2 "$(in_box box "${GRAFTED[@]}" getent hosts no.test >/dev/null; echo $?)"
	stop dns
	umount "$(readlink -f /etc/resolv.conf)" "$(readlink -f /etc/nsswitch.conf)"
}

# --- programs users tried ------------------------------------------------------------

# with ENDPOINT...: adds them for anybody, and remembers to delete.
ADDED=()
with()
{
	ADDED+=("${1%% *}")
	# shellcheck disable=SC2086 # a line of words
	"$GRAFT" add $1 owner any || wrong "cannot add $1"
}

without_all()
{
	[ ${#ADDED[@]} = 0 ] || "$GRAFT" del "${ADDED[@]}"
	ADDED=()
}

# in_box_as NAME POLICY-LINES PROGRAM...: in the background
in_box_as()
{
	local name=$1 policy=$T/$1.policy
	printf '%s\n' "$2" >"$policy"
	shift 2
	spawn "$name" in_box box env LD_PRELOAD="$HIJACK" GRAFT_POLICY="$policy" "$@"
}

case_iperf3()
{
	command -v iperf3 >/dev/null || { SKIPPED="no iperf3" && return; }
	with "i-srv ipv4 127.0.0.1:5301"
	in_box_as iperf "bind any 0.0.0.0:5201 = i-srv" iperf3 -s
	await iperf is_listening tcp 5301 || wrong "iperf3 -s does not listen on the host"
	does "TCP" limited iperf3 -c 127.0.0.1 -p 5301 -n 32M
	await iperf is_listening tcp 5301
	does "TCP, reverse, four streams" limited iperf3 -c 127.0.0.1 -p 5301 -n 32M -R -P 4
	await iperf is_listening tcp 5301
	does "UDP" limited iperf3 -c 127.0.0.1 -p 5301 -u -b 20M -t 1 -l 1400
	await iperf is_listening tcp 5301
	printf '%s\n' "connect any 192.0.2.50:5201 = i-srv" >"$T/client.policy"
	does "a grafted client, TCP" limited nsenter --net=/run/netns/box env \
		LD_PRELOAD="$HIJACK" GRAFT_POLICY="$T/client.policy" \
		iperf3 -c 192.0.2.50 -n 32M
	await iperf is_listening tcp 5301
	does "a grafted client, UDP" limited nsenter --net=/run/netns/box env \
		LD_PRELOAD="$HIJACK" GRAFT_POLICY="$T/client.policy" \
		iperf3 -c 192.0.2.50 -u -b 20M -t 1 -l 1400
	stop iperf
	without_all
}

haproxy_config() # BACKEND-ADDRESS BIND-OPTIONS
{
	cat <<END
global
	maxconn 200
defaults
	mode http
	timeout connect 5s
	timeout client 10s
	timeout server 10s
frontend web
	bind 0.0.0.0:80 $2
	default_backend web
frontend raw
	mode tcp
	bind 0.0.0.0:81 $2
	default_backend raw
backend web
	server a $1
backend raw
	mode tcp
	server a $1
END
}

haproxy_case() # BIND-OPTIONS
{
	command -v haproxy >/dev/null || { SKIPPED="no haproxy" && return; }
	with "h-web ipv4 127.0.0.1:8090"
	with "h-raw ipv4 127.0.0.1:8091"
	with "h-back ipv4 127.0.0.1:8092"
	haproxy_config 192.0.2.60:80 "$1" >"$T/haproxy.cfg"
	spawn back "$PYTHON" "$T/bin/http_server.py" 127.0.0.1 8092 back
	await back is_listening tcp 8092 || wrong "no server behind"
	in_box_as haproxy "bind tcp 0.0.0.0:80 = h-web
bind tcp 0.0.0.0:81 = h-raw
connect tcp 192.0.2.60:80 = h-back" haproxy -db -f "$T/haproxy.cfg"
	await haproxy is_listening tcp 8090 || wrong "it does not listen: $(<"$T/haproxy.log")"
	is "HTTP" 20 "$(limited curl -sS "http://127.0.0.1:8090/?[1-20]" | grep -c back)"
	is "plain TCP" 20 "$(limited curl -sS "http://127.0.0.1:8091/?[1-20]" | grep -c back)"
	stop haproxy
	stop back
	without_all
}

case_haproxy_maxseg() { haproxy_case "mss 1200"; }
case_haproxy_proxy() { haproxy_case ""; }

case_tcp_mapper()
{
	command -v socat >/dev/null || { SKIPPED="no socat" && return; }
	with "m-in ipv4 127.0.0.1:8093"
	with "m-out ipv4 127.0.0.1:8094"
	spawn back "$PYTHON" "$T/bin/http_server.py" 127.0.0.1 8094 mapped
	await back is_listening tcp 8094 || wrong "no server behind"
	in_box_as mapper "bind tcp 0.0.0.0:80 = m-in
connect tcp 192.0.2.61:80 = m-out" \
		socat TCP4-LISTEN:80,fork,reuseaddr TCP4:192.0.2.61:80
	await mapper is_listening tcp 8093 || wrong "it does not listen: $(<"$T/mapper.log")"
	# Natively too, socat loses one now and then, when its two ends close at once.
	is "twenty connections" 20 "$(for _ in {1..20}; do
		limited curl -sS --retry 3 --retry-all-errors http://127.0.0.1:8093/
	done | grep -c mapped)"
	stop mapper
	stop back
	without_all
}

case_dns2socks()
{
	with "n-in ipv4 127.0.0.1:5300"
	with "n-out ipv4 127.0.0.1:5301"
	spawn dns "$PYTHON" "$T/bin/dns_server.py" 127.0.0.1 5301
	await dns is_listening tcp 5301 || wrong "no name server"
	cp "$HERE/dns_to_tcp.py" "$T/bin/"
	in_box_as forwarder "bind udp 0.0.0.0:53 = n-in
connect tcp 192.0.2.62:53 = n-out" "$PYTHON" "$T/bin/dns_to_tcp.py" 0.0.0.0 53 192.0.2.62 53
	await forwarder grep -q ready "$T/forwarder.log" || wrong "$(<"$T/forwarder.log")"
	is "forty addresses" 40 "$("$PYTHON" -c '
import socket, struct
s = socket.socket(type=socket.SOCK_DGRAM)
s.settimeout(5)
s.sendto(struct.pack("!HHHHHH", 7, 256, 1, 0, 0, 0) + b"\3big\4test\0\0\1\0\1",
         ("127.0.0.1", 5300))
print(struct.unpack("!HHHH", s.recv(4096)[:8])[3])' 2>&1)"
	[ ${#WRONG[@]} = 0 ] || wrong "$(tail -n 5 "$T/forwarder.log" "$T/dns.log")"
	stop forwarder
	stop dns
	without_all
}

nginx_config()
{
	cat <<END
daemon off;
worker_processes 2;
pid $T/nginx/pid;
error_log stderr info;
events { worker_connections 256; }
user root root;
http {
	access_log off;
	$(nginx_paths)
	server {
		listen 80;
		root $T/www;
		location /back { proxy_pass http://192.0.2.63:80/; }
	}
}
END
}

case_nginx()
{
	command -v nginx >/dev/null || { SKIPPED="no nginx" && return; }
	mkdir -p "$T/nginx" "$T/www"
	head -c 3000000 /dev/urandom >"$T/www/big"
	with "x-in ipv4 0.0.0.0:8095"
	with "x-out ipv4 127.0.0.1:8096"
	nginx_config >"$T/nginx.conf"
	spawn back "$PYTHON" "$T/bin/http_server.py" 127.0.0.1 8096 behind
	await back is_listening tcp 8096 || wrong "no server behind"
	in_box_as nginx "bind tcp 0.0.0.0:80 = x-in
connect tcp 192.0.2.63:80 = x-out" nginx -e stderr -c "$T/nginx.conf"
	await back is_listening tcp 8096 || wrong "the back end does not listen"
	await nginx is_listening tcp 8095 || wrong "it does not listen: $(<"$T/nginx.log")"
	does "a file" cmp "$T/www/big" <(limited curl -sS "http://$HOST4:8095/big")
	is "the proxy" 20 "$(limited curl -sS "http://$HOST4:8095/back?[1-20]" | grep -c behind)"
	stop nginx || wrong "it does not end on SIGTERM"
	stop back
	without_all
}
