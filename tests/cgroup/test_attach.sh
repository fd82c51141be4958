#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# graft attach, detach and stat, on cgroups of the test's own.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
[ "$(id -u)" = 0 ] || skip "needs root"

# shellcheck source=tests/lib_cgroup.sh
. "$LIB_DIR/lib_cgroup.sh"

# Whom a connection to 10.9.9.9:80 reaches, or the error's name.
cat >"$T/bin/who.py" <<'EOF'
import errno, socket, sys
def who():
    made = socket.socket()
    made.settimeout(20)
    try:
        made.connect(("10.9.9.9", 80))
        return made.recv(9).decode()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    finally:
        made.close()
if __name__ == "__main__":
    print(who())
EOF
# Says NAME to whoever connects to 127.0.0.1:PORT.
cat >"$T/bin/name.py" <<'EOF'
import socket, sys
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", int(sys.argv[1])))
server.listen(4096)
print("ready", flush=True)
while True:
    peer, _ = server.accept()
    peer.sendall(sys.argv[2].encode())
    peer.close()
EOF
# Connects until it is ended, and says how often it reached whom, and how often neither.
cat >"$T/bin/load.py" <<'EOF'
import collections, signal, sys
sys.path.insert(0, sys.argv[1])
from who import who
met = collections.Counter()
def end(*_):
    print(met["a"] > 0 and met["b"] > 0, met.total() - met["a"] - met["b"], flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    met[who()] += 1
EOF
# A socket made before there was a policy.
cat >"$T/bin/early.py" <<'EOF'
import socket, sys
made = socket.socket()
print("ready", flush=True)
sys.stdin.readline()
try:
    made.connect(("10.9.9.9", 80))
    print("connected", flush=True)
except OSError as error:
    print(error.strerror, flush=True)
EOF

put_policy() # NAME PORT
{
	printf 'endpoint there ipv4 127.0.0.1:%s\nconnect tcp 10.9.9.9:80 = there\n' "$2" \
		>"$T/$1.conf"
}

put_policy a 9001
put_policy b 9002
echo 'connect tcp 10.9.9.9:80 = deny:ENETDOWN' >"$T/deny.conf"
for name in a:9001 b:9002; do
	spawn "server_${name%:*}" "$PYTHON" "$T/bin/name.py" "${name#*:}" "${name%:*}"
done
check "servers come up" within "$LIMIT" \
	sh -c "grep -q ready '$T/server_a.log' && grep -q ready '$T/server_b.log'"
WHO=("$PYTHON" "$T/bin/who.py")
APP=$TOP/app
mkdir -p "$APP/below" "$TOP/other"

equal "not judged before" ENETUNREACH "$(in_cgroup "$APP" "${WHO[@]}")"
check "attach" "$GRAFT" attach --policy "$T/a.conf" "$APP"
equal "judged" a "$(in_cgroup "$APP" "${WHO[@]}")"
equal "judged below it" a "$(in_cgroup "$APP/below" "${WHO[@]}")"
equal "not judged beside it" ENETUNREACH "$(in_cgroup "$TOP/other" "${WHO[@]}")"
check "replace, named as in /proc" "$GRAFT" attach --policy "$T/b.conf" "${APP#"$MOUNT"}"
equal "judged by the new one" b "$(in_cgroup "$APP" "${WHO[@]}")"
check "replace by a denial, and wait" "$GRAFT" attach --wait --policy "$T/deny.conf" "$APP"
equal "denied" ENETDOWN "$(in_cgroup "$APP" "${WHO[@]}")"
check "audit" "$GRAFT" attach --audit --policy "$T/deny.conf" "$APP"
equal "audit lets it pass" ENETUNREACH "$(in_cgroup "$APP" "${WHO[@]}")"
equal "and counts it" 1 "$("$GRAFT" stat --json "$APP" | "$PYTHON" -c \
	'import json, sys; print(json.load(sys.stdin)["rules"][0]["calls"])')"
contains "stat: the rule" "connect tcp 10.9.9.9:80 = deny:ENETDOWN" "$("$GRAFT" stat "$APP")"

# Below, another one as well: the inner one first, and both have a say.
check "attach below" "$GRAFT" attach --policy "$T/b.conf" "$APP/below"
check "attach above" "$GRAFT" attach --rule 'connect tcp 127.0.0.1:9002 = deny:EHOSTDOWN' "$APP"
equal "the outer one judges what the inner one gave" EHOSTDOWN \
	"$(in_cgroup "$APP/below" "${WHO[@]}")"
check "detach below" "$GRAFT" detach "$APP/below"

check "detach" "$GRAFT" detach "$APP"
equal "not judged after" ENETUNREACH "$(in_cgroup "$APP" "${WHO[@]}")"
fails "nothing to detach" 1 "has no policy" "$GRAFT" detach "$APP"
fails "nothing to count" 1 "has no policy" "$GRAFT" stat "$APP"

# Each connection reaches one or the other, while they take turns.
check "attach for the load" "$GRAFT" attach --policy "$T/a.conf" "$APP"
spawn load in_cgroup "$APP" "$PYTHON" "$T/bin/load.py" "$T/bin"
check "the load begins" within "$LIMIT" grep -q ready "$T/load.log"
turns()
{
	for _ in $(seq 25); do
		"$GRAFT" attach --policy "$T/b.conf" "$APP" &&
			"$GRAFT" attach --policy "$T/a.conf" "$APP" || return 1
	done
}
check "fifty replacements" turns
stop load
equal "both were reached, and nothing else" "True 0" "$(tail -n 1 "$T/load.log")"

# An endpoint of the same name, whose port is not known beforehand any more: who binds there
# from now on is found.
cat >"$T/bin/pair.py" <<'EOF'
import socket
server, client = socket.socket(), socket.socket()
server.bind(("127.0.0.1", 3306))
server.listen()
client.settimeout(20)
client.connect(("127.0.0.1", 3306))
print("reached", server.getsockname()[1])
EOF
for at in 127.0.0.1:9003 127.0.0.1:dynamic '127.0.0.1:9003 bound'; do
	check "attach with the endpoint at $at" "$GRAFT" attach --rule "endpoint db ipv4 $at" \
		--rule 'bind tcp 127.0.0.1:3306 = db' --rule 'connect tcp 127.0.0.1:3306 = db' \
		"$APP"
	equal "who is bound there is reached" "reached 3306" \
		"$(in_cgroup "$APP" "$PYTHON" "$T/bin/pair.py" 2>&1 | tail -n 1)"
done

# A socket is judged by where it was made, whenever.
check "detach again" "$GRAFT" detach "$APP"
mkfifo "$T/go"
spawn early in_cgroup "$APP" sh -c "exec '$PYTHON' '$T/bin/early.py' <'$T/go'"
exec 9>"$T/go"
check "a socket is made" within "$LIMIT" grep -q ready "$T/early.log"
check "attach after it" "$GRAFT" attach --policy "$T/deny.conf" "$APP"
echo >&9
check "it is judged" within "$LIMIT" grep -q "Network is down" "$T/early.log"
exec 9>&-

# What a cgroup had is free when it is gone.
slots()
{
	local n
	for n in $(seq 40); do
		mkdir "$TOP/slot" && "$GRAFT" attach --policy "$T/a.conf" "$TOP/slot" &&
			rmdir "$TOP/slot" || return 1
	done
}
check "forty cgroups come and go" slots

# Two runs with one number, in pid namespaces of their own.
FIRST=(unshare --pid --fork --kill-child --mount-proc "$GRAFT" run --engine cgroup --)
spawn held "${FIRST[@]}" sh -c 'echo ready; exec sleep 1000'
check "a run is on its way" within "$LIMIT" grep -q ready "$T/held.log"
contains "another of the same number has a cgroup too" graft-run-1- \
	"$("${FIRST[@]}" cat /proc/self/cgroup)"
stop held

fails "no cgroup" 1 "no cgroup" "$GRAFT" attach --policy "$T/a.conf" /tmp
fails "an empty name" 1 "the name of the cgroup is empty" "$GRAFT" attach --policy "$T/a.conf" ""
fails "an empty name to detach" 1 "is empty" "$GRAFT" detach ""
fails "no policy" 2 "name a policy" "$GRAFT" attach "$APP"
fails "no operand" 2 "CGROUP" "$GRAFT" attach --policy "$T/a.conf"
fails "a UNIX endpoint" 1 "a UNIX socket; use --engine notify" "$GRAFT" attach \
	--rule "endpoint u unix /run/u" --rule "connect tcp 10.0.0.1:80 = u" "$APP"
fails "an ordinary user" 1 "take root" setpriv --reuid 65534 --regid 65534 --clear-groups \
	"$GRAFT" attach --policy "$T/a.conf" "$APP"
finish
