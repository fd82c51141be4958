#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Endpoints of the registry in policies of the cgroup engine: graftd says where they are and
# is not asked again; who binds under one policy is reached from others, from programs of the
# notify engine, and the other way round.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
# shellcheck source=tests/lib_graftd.sh
. "$LIB_DIR/lib_graftd.sh"
need_graftd
need "$PYTHON"

# server.py KIND NAME [PORT]: is bound to 0.0.0.0:PORT (3306) and says NAME; client.py KIND:
# whom 127.0.0.1:3306 is, or the error.
cat >"$T/bin/server.py" <<'EOF'
import socket, sys
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
server = socket.socket(socket.AF_INET6 if len(sys.argv) > 4 else socket.AF_INET, kind)
server.bind((sys.argv[4] if len(sys.argv) > 4 else "0.0.0.0",
             int(sys.argv[3]) if len(sys.argv) > 3 else 3306))
if kind == socket.SOCK_STREAM:
    server.listen()
print("ready", server.getsockname()[1], flush=True)
while True:
    if kind == socket.SOCK_STREAM:
        peer, _ = server.accept()
        peer.sendall(sys.argv[2].encode())
        peer.close()
    else:
        _, source = server.recvfrom(9)
        server.sendto(sys.argv[2].encode(), source)
EOF
cat >"$T/bin/client.py" <<'EOF'
import errno, socket, sys
made = socket.socket(socket.AF_INET, socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM)
made.settimeout(20)
try:
    made.connect(("127.0.0.1", 3306))
    if sys.argv[1] == "udp":
        made.send(b"?")
    print(made.recv(9).decode(), *made.getpeername())
except OSError as error:
    print(errno.errorcode.get(error.errno, error))
EOF
chmod 755 "$T/bin"/*.py

server() # PROCESS ENGINE KIND NAME
{
	spawn "$1" "$GRAFT" run --engine "$2" --rule 'bind any 0.0.0.0:3306 = db' \
		--rule 'bind any [::]:3306 = db' -- "$PYTHON" "$T/bin/server.py" "${@:3}"
	await "$1" grep -q ready "$T/$1.log" || die "no server: $(cat "$T/$1.log")"
}

client() # ENGINE KIND
{
	host "$GRAFT" run --engine "$1" --rule 'connect any 127.0.0.1:3306 = db' -- \
		"$PYTHON" "$T/bin/client.py" "$2" 2>"$T/client.err"
}

# --- graftd is not there, and knows nothing --------------------------------------------

equal "without graftd: as of an endpoint that is not there" ENOENT "$(client cgroup tcp)"
contains "which was said" "graftd cannot be reached" "$(cat "$T/client.err")"
start_graftd
equal "there is none of that name" ENOENT "$(client cgroup tcp)"
contains "which was said, too" "no endpoint 'db'" "$(cat "$T/client.err")"

# --- one noun for both sides ------------------------------------------------------------

check "add" "$GRAFT" add db type ipv4 addr 127.0.0.1 port dynamic
equal "nobody is bound" ECONNREFUSED "$(client cgroup tcp)"
server one cgroup tcp one
contains "the server sees its own port" "ready 3306" "$(cat "$T/one.log")"
equal "cgroup to cgroup" "one 127.0.0.1 3306" "$(client cgroup tcp)"
equal "notify to cgroup" one "$(client notify tcp | cut -d " " -f 1)"
equal "another protocol's" ECONNREFUSED "$(client cgroup udp)"
contains "show: bound" bound "$("$GRAFT" show db)"
server two cgroup udp two
equal "datagrams, cgroup to cgroup" "two 127.0.0.1 3306" "$(client cgroup udp)"
equal "datagrams, notify to cgroup" two "$(client notify udp | cut -d " " -f 1)"
stop one
equal "it has gone: cgroup" ECONNREFUSED "$(client cgroup tcp)"
equal "it has gone: notify" ECONNREFUSED "$(client notify tcp)"
stop two
server six cgroup tcp six 3306 ::
equal "bound by an AF_INET6 socket" "six 127.0.0.1 3306" "$(client cgroup tcp)"
stop six

# --- who has a socket of graftd's --------------------------------------------------------

for kind in tcp udp; do
	server granted notify "$kind" granted
	equal "$kind, cgroup to notify" "granted 127.0.0.1 3306" "$(client cgroup "$kind")"
	port=$(ss -Hlnp4 --"$kind" | sed -n 's/.*127\.0\.0\.1:\([0-9]*\) .*/\1/p' | head -n 1)
	stop granted
	equal "$kind: it has gone" ECONNREFUSED "$(client cgroup "$kind")"
	spawn stranger "$PYTHON" "$T/bin/server.py" "$kind" stranger "$port"
	await stranger grep -q ready "$T/stranger.log"
	equal "$kind: a stranger at its port is none" ECONNREFUSED "$(client cgroup "$kind")"
	stop stranger
done

# --- changes while a program runs --------------------------------------------------------

# asks.py: a line in, who is there out.
cat >"$T/bin/asks.py" <<'EOF'
import subprocess, sys
print("ready", flush=True)
for _ in sys.stdin:
    print(subprocess.run([sys.executable, sys.argv[1], "tcp"], stdout=subprocess.PIPE,
                         text=True).stdout.strip(), flush=True)
EOF
mkfifo "$T/ask"
exec 8<>"$T/ask"
spawn asks sh -c "exec '$GRAFT' run --engine cgroup \
	--rule 'connect any 127.0.0.1:3306 = db' -- '$PYTHON' '$T/bin/asks.py' \
	'$T/bin/client.py' <'$T/ask'"
await asks grep -q ready "$T/asks.log"
ASKED=1
# What the program that was there all the time says now.
asked() # NAME WANTED
{
	ASKED=$((ASKED + 1))
	echo >&8
	await asks sh -c "[ \$(grep -c . '$T/asks.log') = $ASKED ]"
	equal "$1" "$2" "$(tail -n 1 "$T/asks.log")"
}

server one cgroup tcp one
asked "as it was" "one 127.0.0.1 3306"
check "del" "$GRAFT" del db
asked "taken away" ENOENT
check "add elsewhere" "$GRAFT" add db type ipv4 addr 127.0.0.2 port dynamic
asked "who was bound at the old place is not there" ECONNREFUSED
check "del again" "$GRAFT" del db
check "add a fixed one" "$GRAFT" add db type ipv4 addr 127.0.0.1 port 9100
spawn fixed "$PYTHON" "$T/bin/server.py" tcp fixed 9100
await fixed grep -q ready "$T/fixed.log"
asked "a fixed port" "fixed 127.0.0.1 3306"
check "del a fixed one" "$GRAFT" del db
check "add one that leads to a path" "$GRAFT" add db type unix path /run/db.sock
asked "no address leads there" EAFNOSUPPORT
check "del the path" "$GRAFT" del db
check "add as it was" "$GRAFT" add db type ipv4 addr 127.0.0.1 port dynamic
stop one
server one cgroup tcp again
asked "back" "again 127.0.0.1 3306"

# --- without graftd, and with the next one ------------------------------------------------

kill -KILL "${PID_OF[graftd]}"
{ wait "${PID_OF[graftd]}"; } 2>/dev/null
asked "graftd was killed" "again 127.0.0.1 3306"
start_graftd
asked "and is back" "again 127.0.0.1 3306"
equal "it knows who is bound" again "$(client notify tcp | cut -d " " -f 1)"
stop graftd
echo 'endpoint other ipv4 127.0.0.1:9100' >"$T/graftd.conf"
rm -f "$STATE"/journal*
start_graftd
asked "the next one does not know the endpoint" ENOENT
echo 'endpoint db ipv4 127.0.0.1:9100' >"$T/graftd.conf"
check "reload" "$GRAFT" reload
asked "defined by its file" "fixed 127.0.0.1 3306"

stop asks
finish
