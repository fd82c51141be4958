#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A program with the library and without a rule for what it does behaves as without the
# library: the same system calls, in the same order, with the same descriptor numbers, but
# for loading the library.
. "$(dirname "$0")/../lib_graftd.sh"
enter_host "$@"
need ip strace curl nginx "$PYTHON"
need_graftd
cp "$LIB_DIR/preload/traces.py" "$T/bin/"
mkdir -p "$T/nginx" "$T/traces"
TRIES=4
# A rule that nothing here matches.
WITH=(-E "LD_PRELOAD=$HIJACK" -E GRAFT_CONV_PAIRS=203.0.113.9:9=nobody)

traced() # OUTPUT WITH|WITHOUT PROGRAM...
{
	local output=$1 variables=()
	[ "$2" = without ] || variables=("${WITH[@]}")
	shift 2
	timeout -k 2 "$LIMIT" strace -f -s 200 -o "$output" "${variables[@]}" -- "$@" \
		</dev/null 2>&1 | sed 's/after [0-9]* ms/after N ms/' >"$output.out"
}

# same NAME PROGRAM...: some run with the library is some run without.
same()
{
	local name=$1 i difference
	shift
	rm -f "$T"/traces/*
	for ((i = 1; i <= TRIES; i++)); do
		traced "$T/traces/without.$i" without "$@"
		traced "$T/traces/with.$i" with "$@"
		if difference=$("$PYTHON" "$T/bin/traces.py" "$T"/traces/without.? -- \
			"$T"/traces/with.? 2>&1); then
			ok "$name: the same system calls ($difference)"
			break
		fi
	done
	[ "$i" -le $TRIES ] || not_ok "$name: the same system calls" "$difference"
	i=1
	equal "$name: the same output" "$(<"$T/traces/without.$i.out")" \
		"$(<"$T/traces/with.$i.out")"
}

cat >"$T/nginx.conf" <<END
daemon off;
worker_processes 1;
pid $T/nginx/pid;
error_log $T/nginx/log;
events { worker_connections 64; }
user root root;
http {
	access_log off;
	client_body_temp_path $T/nginx/body;
	proxy_temp_path $T/nginx/proxy;
	fastcgi_temp_path $T/nginx/fastcgi;
	uwsgi_temp_path $T/nginx/uwsgi;
	scgi_temp_path $T/nginx/scgi;
	server { listen 8011; listen [::]:8012; location / { return 200 "hello\n"; } }
}
END
# Ends nginx after one request, without being traced.
cat >"$T/bin/serve_once" <<'END'
#!/bin/sh
# serve_once PID-FILE URL COMMAND...
pid_file=$1 url=$2
shift 2
rm -f "$pid_file"
(
	for _ in $(seq 500); do
		[ "$(curl -s "$url")" = hello ] && break
		sleep 0.02
	done
	kill -QUIT "$(cat "$pid_file")"
) &
"$@"
wait
END
chmod 755 "$T/bin/serve_once"

same_server() # as same, for nginx: a client comes from outside
{
	local i difference
	for ((i = 1; i <= TRIES; i++)); do
		for way in without with; do
			local variables=()
			[ $way = without ] || variables=("${WITH[@]}")
			limited "$T/bin/serve_once" "$T/nginx/pid" http://127.0.0.1:8011/ \
				strace -f -s 200 -o "$T/traces/$way.$i" "${variables[@]}" -- \
				nginx -e stderr -c "$T/nginx.conf" \
				>"$T/traces/$way.$i.out" 2>&1
		done
		if difference=$("$PYTHON" "$T/bin/traces.py" "$T"/traces/without.? -- \
			"$T"/traces/with.? 2>&1); then
			ok "nginx: the same system calls ($difference)"
			return
		fi
	done
	not_ok "nginx: the same system calls" "$difference"
}

PY_SOCKETS='
import os, socket, subprocess
a = socket.create_server(("127.0.0.1", 8013))
b = socket.create_connection(("127.0.0.1", 8013))
c, peer = a.accept()
b.sendall(b"x" * 1000)
print(len(c.recv(1000, socket.MSG_WAITALL)), c.getsockname(), c.fileno())
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
u.bind(("::1", 8014))
u.sendto(b"x", ("::1", 8014))
print(u.recvfrom(10), u.fileno(), os.dup(u.fileno()))
os.close_range(20, 100) if hasattr(os, "close_range") else os.closerange(20, 100)
print(subprocess.run(["ls", "/proc/self/fd"], capture_output=True).stdout.split())
'

spawn web "$PYTHON" "$T/bin/http_server.py" 127.0.0.1 8010 hello
wait_for_port web 127.0.0.1 8010 || finish
same "true" true
same "bash with pipes and children" bash -c 'echo a | cat; (exit 3); echo $?; ls /proc/$$/fd'
same "bash over /dev/tcp" bash -c 'exec 3<>/dev/tcp/127.0.0.1/8010
printf "GET / HTTP/1.0\r\n\r\n" >&3; cat <&3 | tail -n 1'
same "curl" curl -sS http://127.0.0.1:8010/
same "curl, refused" curl -sS http://127.0.0.1:8019/
same "python" "$PYTHON" -S -c "$PY_SOCKETS"
same "a shell that closes everything" sh -c 'exec 3>&- 4>&- 5>&-; ls /proc/self/fd'
same_server
stop web

# The check notices what it is there to notice.
traced "$T/traces/a" without bash -c 'exec 3<>/dev/null; ls /proc/self/fd'
traced "$T/traces/b" without bash -c 'exec 4<>/dev/null; ls /proc/self/fd'
check "another descriptor number would be noticed" sh -c '! "$@" >/dev/null' - \
	"$PYTHON" "$T/bin/traces.py" "$T/traces/a" -- "$T/traces/b"
finish
