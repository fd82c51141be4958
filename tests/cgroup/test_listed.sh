#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# graft ps of what the kernel judges: a run of the cgroup engine, a cgroup with a policy, and
# beside them a process that is neither's.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
[ "$(id -u)" = 0 ] || skip "needs root"
# shellcheck source=tests/lib_cgroup.sh
. "$LIB_DIR/lib_cgroup.sh"

# A listener, a connection to it, what came of that, and a datagram socket that no rule is about.
cat >"$T/bin/hold.py" <<'EOF'
import signal, socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
client = socket.create_connection(server.getsockname())
peer, _ = server.accept()
other = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
other.bind(("::1", int(sys.argv[1])))
print("ready", flush=True)
signal.pause()
EOF
HOLD=("$PYTHON" "$T/bin/hold.py")
hold() # NAME COMMAND...
{
	spawn "$@"
	check "$1 holds sockets" await "$1" grep -q ready "$T/$1.log"
}

# The sockets of `graft ps --sockets --json`, a line each: whose, state, ports, rule; "any" is a
# port that the kernel picked.
rows()
{
	"$PYTHON" -c 'import json, sys
def port(at):
    return at["port"] if at and at["port"] < 1024 else at and "any"
for item in json.load(sys.stdin):
    for graft in item["grafts"]:
        print(item["run"]["name"], "nobody" if graft["pid"] is None else "somebody", graft["socket"],
              graft["state"], port(graft["local"]), port(graft["peer"]), graft["rule"], sep="|")' |
		LC_ALL=C sort
}

# Of `graft ps --json`, a line each: name, engine, calls judged, live sockets.
judged()
{
	"$PYTHON" -c 'import json, sys
for item in json.load(sys.stdin):
    print(item["name"], item["engine"], item["n_judged"], item["n_live"], sep="|")' | LC_ALL=C sort
}

none()
{
	"$@" ps --json | tr -d ' \n'
}

APP=${TOP#"$MOUNT"}/app
RULES=(--rule 'connect tcp 127.0.0.0/8 = host' --rule 'bind tcp 127.0.0.0/8:80 = host')
mkdir "$TOP/app"
equal "nothing yet" "[]" "$(none "$GRAFT")"
check "attach" "$GRAFT" attach "${RULES[@]}" "$TOP/app"
contains "the cgroup" "^- +$APP +root +cgroup +- +- +2 rules, 0 calls +-\$" "$("$GRAFT" ps)"
hold app in_cgroup "$TOP/app" "${HOLD[@]}" 80
hold nobody "${HOLD[@]}" 82
hold shop "$GRAFT" run --engine cgroup --name shop --rule 'connect tcp 127.0.0.0/8 = host' \
	--rule 'bind tcp 127.0.0.1:81 = host' -- "${HOLD[@]}" 81

equal "how many calls, and whose" "$APP|cgroup|3|None
shop|cgroup|3|4" "$("$GRAFT" ps --json | judged)"
OF_APP="$APP|nobody|tcp|established|80|any|bind tcp 127.0.0.0/8:80 = host
$APP|nobody|tcp|established|any|80|connect tcp 127.0.0.0/8 = host
$APP|nobody|tcp|listen|80|None|bind tcp 127.0.0.0/8:80 = host"
OF_SHOP="shop|somebody|tcp|established|81|any|bind tcp 127.0.0.1:81 = host
shop|somebody|tcp|established|any|81|connect tcp 127.0.0.0/8 = host
shop|somebody|tcp|listen|81|None|bind tcp 127.0.0.1:81 = host
shop|somebody|udp6|open|81|None|-"
equal "which sockets, by which rules" "$OF_APP
$OF_SHOP" "$("$GRAFT" ps --sockets --json | rows)"
equal "of the cgroup alone" "$OF_APP" "$("$GRAFT" ps --sockets --json "$APP" | rows)"
equal "of the run alone" "$OF_SHOP" "$("$GRAFT" ps --sockets --json shop | rows)"
contains "as a table" "^$APP +- +- +- +tcp +listen +127.0.0.1:80 +- +- +bind tcp" \
	"$("$GRAFT" ps --sockets)"
contains "the cgroup by its path" "2 rules, 3 calls" "$("$GRAFT" ps "$APP")"
fails "another path" 1 "no live run '/nobody'" "$GRAFT" ps /nobody
identity user
equal "an ordinary user sees none of it" "[]" "$(none host "${IDENTITY[@]}" "$GRAFT")"

# To look changes nothing. A policy that audits has sockets, too.
equal "again" "$OF_APP" "$("$GRAFT" ps --sockets --json "$APP" | rows)"
check "replace it" "$GRAFT" attach --audit "${RULES[@]}" --rule 'connect tcp 10.0.0.0/8 = deny' \
	"$TOP/app"
equal "they are by the rules there are now" "$OF_APP" "$("$GRAFT" ps --sockets --json "$APP" | rows)"
contains "it is said to audit" "3 rules, 0 calls, audit" "$("$GRAFT" ps "$APP")"

stop shop
stop app
check "detach" "$GRAFT" detach "$TOP/app"
equal "nothing is left" "[]" "$(none "$GRAFT")"
finish
