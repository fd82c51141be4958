#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A program with the library and without a rule for what it does behaves as without the
# library: the same system calls, in the same order, with the same descriptor numbers, but
# for loading the library. So it is, to the last call, without any rule; with rules that
# are for something else the library asks the kernel about sockets, and does nothing.
. "$(dirname "$0")/../lib_graftd.sh"
enter_host "$@"
need ip strace curl nginx "$PYTHON"
need_graftd
cp "$LIB_DIR/preload/traces.py" "$T/bin/"
mkdir -p "$T/nginx" "$T/traces"
TRIES=6
# without, with no rule, with a rule that nothing here matches
WAYS='without with other'
declare -A TITLE=([with]='no rule' [other]='other rules')
declare -A MAY=([with]='' [other]=--questions)

variables() # WAY -> VARIABLES
{
	VARIABLES=()
	[ "$1" = without ] || VARIABLES+=(-E "LD_PRELOAD=$HIJACK")
	[ "$1" != other ] || VARIABLES+=(-E GRAFT_CONV_PAIRS=203.0.113.9:9=nobody)
}

traced() # OUTPUT WAY PROGRAM...
{
	local output=$1
	variables "$2"
	shift 2
	timeout -k 2 "$LIMIT" strace -f -s 200 -o "$output" "${VARIABLES[@]}" -- "$@" \
		</dev/null 2>&1 | sed 's/after [0-9]* ms/after N ms/' >"$output.out"
}

# compared WAY -> DIFFERENCE
compared()
{
	# shellcheck disable=SC2086 # an option or none
	DIFFERENCE=$("$PYTHON" "$T/bin/traces.py" ${MAY[$1]} "$T"/traces/without.? -- \
		"$T/traces/$1".? 2>&1)
}

# same NAME FUNCTION...: some run with the library is some run without. FUNCTION gets an
# output and a way.
same_by()
{
	local name=$1 i way
	local -A good=()
	shift
	rm -f "$T"/traces/*
	for ((i = 1; i <= TRIES && ${#good[@]} < 2; i++)); do
		for way in $WAYS; do
			[ -n "${good[$way]-}" ] || "$1" "$T/traces/$way.$i" "$way" "${@:2}"
		done
		for way in with other; do
			compared "$way" && good[$way]=$DIFFERENCE
		done
	done
	for way in with other; do
		if [ -n "${good[$way]-}" ]; then
			ok "$name, ${TITLE[$way]}: the same system calls (${good[$way]})"
		else
			compared "$way"
			not_ok "$name, ${TITLE[$way]}: the same system calls" "$DIFFERENCE"
		fi
		equal "$name, ${TITLE[$way]}: the same output" "$(<"$T/traces/without.1.out")" \
			"$(<"$T/traces/$way.1.out")"
	done
}

same() # NAME PROGRAM...
{
	same_by "$1" traced "${@:2}"
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
	$(nginx_paths)
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

serve_traced() # OUTPUT WAY: nginx; a client comes from outside
{
	variables "$2"
	limited "$T/bin/serve_once" "$T/nginx/pid" http://127.0.0.1:8011/ \
		strace -f -s 200 -o "$1" "${VARIABLES[@]}" -- \
		nginx -e stderr -c "$T/nginx.conf" >"$1.out" 2>&1
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
# Once before, for what it makes in its directories.
serve_traced "$T/traces/first" without
same_by "nginx" serve_traced
stop web

# The check notices what it is there to notice.
traced "$T/traces/a" without bash -c 'exec 3<>/dev/null; ls /proc/self/fd'
traced "$T/traces/b" without bash -c 'exec 4<>/dev/null; ls /proc/self/fd'
check "another descriptor number would be noticed" sh -c '! "$@" >/dev/null' - \
	"$PYTHON" "$T/bin/traces.py" "$T/traces/a" -- "$T/traces/b"
finish
