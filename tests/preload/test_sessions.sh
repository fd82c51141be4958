#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The sessions that the documentation of AF_GRAFT showed in 2018, word for word, on the
# programs of today. Where something is different, and it was a defect, it says so beside.
#
#	"the host" (ip, graft, graftd, iperf3 -c)
#	+-- container	stands for `docker run --cap-add=NET_ADMIN`
. "$(dirname "$0")/../lib_graftd.sh"
enter_host "$@"
need ip nsenter iperf3 curl nginx gcc "$PYTHON"
need_graftd
make_box container

# As they are installed: `ip` before the real one in PATH, the library where the loader
# looks for it.
mkdir -p "$T/shim" "$T/lib" "$T/include"
cp "$IP_SHIM" "$T/shim/ip"
cp "$GRAFT" "$T/shim/graft"
cp "$HIJACK" "$T/lib/"
chmod 755 "$T"/shim/*
export LD_LIBRARY_PATH=$T/lib
ip() { env PATH="$T/shim:$PATH" ip "$@"; }
in_container() # COMMAND: a shell's, as docker runs it
{
	in_box container env PATH="$T/shim:$PATH" LD_PRELOAD=libgraft-hijack.so bash -c "$1"
}

# The text that `ip graft help` had, without what came before `ip`.
cat >"$T/help" <<'END'
Usage: ip graft add NAME
          type { ipv4 | ipv6 } addr ADDR port PORT
          type unix path PATH
          [ netns { PID | NETNSNAME } ]

       ip graft del NAME

       ip graft show

Where: NAME := STRING
       ADDR := { IPv4_ADDRESS | IPv6_ADDRESS }
       PORT := { 0..65535 | dynamic }
       PATH := STRING
END

session_help()
{
	local line output status missing=
	output=$(ip graft help 2>&1)
	status=$?
	equal "ip graft help: the status it always had" 255 "$status"
	# Options of today stand between the lines of then.
	while IFS= read -r line; do
		grep -qxF -- "$line" <<<"$output" || missing+="$line
"
	done <"$T/help"
	equal "ip graft help: every line" "" "$missing"
	contains "anything else is ip's" 'lo: ' "$(ip link show lo 2>&1)"
}

session_endpoint()
{
	equal "ip graft add ep-test type ipv4 addr 127.0.0.1 port 8080" "" \
		"$(ip graft add ep-test type ipv4 addr 127.0.0.1 port 8080 2>&1)"
	# With the blank at the end.
	equal "ip graft show" "ep-test type ipv4 addr 127.0.0.1 port 8080 " \
		"$(ip graft show 2>&1)"
	equal "ip gr show" "$(ip graft show)" "$(ip gr show 2>&1)"
	equal "graft show: the same line" "$(ip graft show)" "$("$GRAFT" show)"
	check "a second time it is there already" \
		sh -c '! "$@"' - ip graft add ep-test type ipv4 addr 127.0.0.1 port 8080
}

# The program of the documentation: what stands between the lines is its own.
session_program()
{
	cat >"$T/program.c" <<'END'
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <linux/graft.h>

int main(void)
{
int sock;
struct sockaddr_gr sgr;

/* The original copied seven bytes into what was on the stack. */
memset(&sgr, 0, sizeof(sgr));

sock = socket(AF_GRAFT, SOCK_STREAM, 0);

sgr.sgr_family = AF_GRAFT;
strncpy(sgr.sgr_epname, "ep-test", 7);

bind(sock, (struct sockaddr *)&sgr, sizeof(sgr));

	/* Then, `sock` can be used as usual TCP sockets. */
	if (listen(sock, 5) < 0 || puts("listens") < 0 || fflush(stdout) < 0)
		return 1;
	int client = accept(sock, NULL, NULL);
	return write(client, "hello\n", 6) != 6;
}
END
	check "the program of the documentation is compiled" gcc -w -o "$T/program" \
		-I"$SOURCE_DIR/include/uapi" -idirafter /usr/include "$T/program.c"
	spawn program env LD_PRELOAD=libgraft-hijack.so "$T/program"
	await program grep -q listens "$T/program.log" || return
	equal "it is at the endpoint" hello "$(limited bash -c 'cat </dev/tcp/127.0.0.1/8080')"
	STATUS=
	status_of program
	equal "and ends well" 0 "$STATUS"
}

session_iperf3()
{
	spawn iperf env LD_PRELOAD=libgraft-hijack.so GRAFT_CONV_PAIRS="0.0.0.0:5201=ep-test" \
		iperf3 -s
	await iperf is_listening tcp 8080 || return
	check "iperf3 -c 127.0.0.1 -p 8080" limited iperf3 -c 127.0.0.1 -p 8080 -n 64M
	check "nobody listens on 5201" not_listening 5201
	# It listens anew for each client.
	await iperf is_listening tcp 8080
	contains "Server listening on 5201" 'Server listening on 5201' "$(<"$T/iperf.log")"
	# The original said three lines for each socket; now only who asks is told.
	equal "the library says nothing" 0 "$(grep -c 'libgraft-hijack' "$T/iperf.log")"
	stop iperf
	spawn iperf env LD_PRELOAD=libgraft-hijack.so GRAFT_CONV_PAIRS="0.0.0.0:5201=ep-test" \
		GRAFT_VERBOSE=1 iperf3 -s
	await iperf is_listening tcp 8080 || return
	# [::] without IPV6_V6ONLY is 0.0.0.0 too: the pair matches, and iperf3 need not be
	# told that the system has no IPv6.
	contains "with GRAFT_VERBOSE: convert bind ... to ep-test" \
		'^libgraft-hijack\.so: bind\(\): convert bind .*:5201 to ep-test$' \
		"$(<"$T/iperf.log")"
	equal "iperf3 has not lost IPv6" 0 \
		"$(grep -c 'does not seem to support IPv6' "$T/iperf.log")"
	stop iperf
}

not_listening()
{
	! is_listening tcp "$1"
}

listens_in_container()
{
	[ -n "$(in_box container ss -Hltn "sport = :$1")" ]
}

# In the container, with NET_ADMIN there, as documented. It used to put the server on the
# host; now what a container defines leads to the container, and what leads to the host is
# the host's to define, for that container.
session_container()
{
	spawn own in_box container env PATH="$T/shim:$PATH" LD_PRELOAD=libgraft-hijack.so \
		GRAFT_CONV_PAIRS="0.0.0.0:5201=ep-lo" bash -c \
		"ip gr add ep-lo type ipv4 addr 127.0.0.1 port 5201 && iperf3 -s"
	await own listens_in_container 5201 || return
	check "a container's own endpoint is in the container" \
		in_box container bash -c 'exec 3<>/dev/tcp/127.0.0.1/5201'
	check "and not on the host" not_listening 5201
	stop own
	in_container "ip gr del ep-lo" || not_ok "the container deletes its own"
	ip gr add ep-lo type ipv4 addr 127.0.0.1 port 5201 owner netns=container ||
		not_ok "the host defines it for the container"
	spawn docker in_box container env LD_PRELOAD=libgraft-hijack.so \
		GRAFT_CONV_PAIRS="0.0.0.0:5201=ep-lo" bash -c "iperf3 -s"
	await docker is_listening tcp 5201 || return
	check "the host's endpoint for it is on the host" \
		limited iperf3 -c 127.0.0.1 -p 5201 -n 64M
	check "and not in the container" \
		in_box container bash -c '! exec 3<>/dev/tcp/127.0.0.1/5201' 2>/dev/null
	stop docker
	make_box other
	equal "another container cannot have it" EACCES "$(in_box other env \
		LD_PRELOAD=libgraft-hijack.so GRAFT_CONV_PAIRS="0.0.0.0:5201=ep-lo" \
		"$PYTHON" -c 'import errno, socket
try:
    socket.socket().bind(("0.0.0.0", 5201))
    print("bound")
except OSError as e:
    print(errno.errorcode[e.errno])')"
	ip gr del ep-lo
}

# The nginx image: nginx -g 'daemon off;' with the configuration of the example, on port 80.
session_nginx()
{
	mkdir -p "$T/nginx"
	cat >"$T/nginx.conf" <<END
pid $T/nginx/pid;
error_log $T/nginx/log;
events { worker_connections 256; }
user root root;
http {
	access_log off;
	$(nginx_paths)
	server { listen 0.0.0.0:80; location / { return 200 "nginx\n"; } }
}
END
	ip gr add nx4 type ipv4 addr 0.0.0.0 port 8080 owner netns=container ||
		not_ok "nx4 is defined"
	spawn nginx in_box container env LD_PRELOAD=libgraft-hijack.so \
		GRAFT_CONV_PAIRS="0.0.0.0:80=nx4" bash -c \
		"exec nginx -e stderr -c $T/nginx.conf -g 'daemon off;'"
	await nginx is_listening tcp 8080 || return
	# "the same result as docker run -p 80:8080"
	equal "curl to the host's port 8080" nginx "$(limited curl -sS "http://$HOST4:8080/")"
	equal "a hundred times" 100 \
		"$(limited curl -sS "http://$HOST4:8080/?[1-100]" | grep -c nginx)"
	check "nginx ends on SIGTERM" stop nginx
	ip gr del nx4
}

# The words of today's manual.
session_today()
{
	local output
	check "graft add ... netns web" \
		"$GRAFT" add nx4 type ipv4 addr 0.0.0.0 port 8080 netns container
	check "graft add db type unix path" "$GRAFT" add db type unix path "$T/db.sock"
	check "graft add q ... dynamic owner uid=1000" \
		"$GRAFT" add q type ipv4 addr 0.0.0.0 port dynamic owner uid=1000
	output=$("$GRAFT" show | sort)
	equal "graft show: one line each" \
		"$(printf '%s \n' "db type unix path $T/db.sock" \
			"ep-test type ipv4 addr 127.0.0.1 port 8080" \
			"nx4 type ipv4 addr 0.0.0.0 port 8080 netns container" \
			"q type ipv4 addr 0.0.0.0 port dynamic owner uid=1000")" "$output"
	equal "graft show --json is JSON with four names" "db ep-test nx4 q" \
		"$("$GRAFT" show --json | "$PYTHON" -c 'import json, sys
print(*sorted(e["name"] for e in json.load(sys.stdin)))' 2>&1)"
	spawn monitor "$GRAFT" monitor
	check "graft monitor tells of add and del" within 10 told
	stop monitor
	"$GRAFT" del nx4 db q
	equal "del" "ep-test type ipv4 addr 127.0.0.1 port 8080 " "$("$GRAFT" show)"
	check "ip graft del ep-test" ip graft del ep-test
	equal "nothing is left" "" "$("$GRAFT" show)"
}

told() # by the monitor; it may not have been there yet
{
	"$GRAFT" add seen ipv4 127.0.0.1:8099 && "$GRAFT" del seen
	grep -q 'add.*seen\|seen.*add' "$T/monitor.log" &&
		grep -q 'del.*seen\|seen.*del' "$T/monitor.log"
}

session_run()
{
	"$GRAFT" add nx4 type ipv4 addr 0.0.0.0 port 8080 || not_ok "nx4 is defined"
	"$GRAFT" add out type ipv4 addr "$HOST4" port dynamic || not_ok "out is defined"
	spawn web "$PYTHON" "$T/bin/http_server.py" "$HOST4" 8000 upstream
	wait_for_port web "$HOST4" 8000
	spawn run "$GRAFT" run --engine preload -i 0.0.0.0:80=nx4 -e 10.0.0.0/8=out -- bash -c "
		curl -sS http://$HOST4:8000/
		exec $PYTHON $T/bin/http_server.py 0.0.0.0 80 'a run'"
	await run is_listening tcp 8080 || return
	equal "graft run --engine preload -i 0.0.0.0:80=nx4" "a run" \
		"$(limited curl -sS http://127.0.0.1:8080/)"
	contains "... -e 10.0.0.0/8=out" upstream "$(<"$T/run.log")"
	stop run || not_ok "the run ends on SIGTERM"
	stop web
	"$GRAFT" del nx4 out
}

start_graftd
session_help
session_endpoint
session_program
session_iperf3
session_container
session_nginx
session_today
session_run
finish
