#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# graft trace: a line for each call, and none more; tracers beside one another, stopped,
# killed; what they leave behind.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
[ "$(id -u)" = 0 ] || skip "needs root"
# shellcheck source=tests/lib_cgroup.sh
. "$LIB_DIR/lib_cgroup.sh"
need bpftool

APP=$TOP/app
NAME=${APP#"$MOUNT"}
mkdir "$APP" "$APP/below" "$TOP/other"

# calls.py OP PROTO ADDRESS PORT...: makes these calls, and says what each returned.
cat >"$T/bin/calls.py" <<'EOP'
import errno, socket, sys
kept = []
def call(op, proto, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "raw": socket.SOCK_RAW}[proto]
    made = socket.socket(family, kind, 1 if proto == "raw" else 0)
    kept.append(made)
    made.settimeout(20)
    if op == "sendto":
        made.sendto(b"x", (address, int(port)))
    elif op != "socket":
        getattr(made, op)((address, int(port)))
words = sys.argv[1:]
for i in range(0, len(words), 4):
    try:
        call(*words[i:i + 4])
        print("done")
    except OSError as error:
        print(errno.errorcode.get(error.errno, error))
EOP
# flood.py N: so many datagrams that are refused.
cat >"$T/bin/flood.py" <<'EOP'
import socket, sys
made, refused = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0
for _ in range(int(sys.argv[1])):
    try:
        made.sendto(b"x", ("10.66.0.1", 53))
    except PermissionError:
        refused += 1
print(refused)
EOP
# field.py FILE KEY...: of each object these fields, a line each.
cat >"$T/bin/field.py" <<'EOP'
import json, sys
def spot(value):
    return f'{value["address"]}:{value["port"]}' if isinstance(value, dict) else value
for line in open(sys.argv[1]):
    told = json.loads(line)
    print("|".join(str(spot(told.get(key))) for key in sys.argv[2:]))
EOP

calls() # CGROUP OP PROTO ADDRESS PORT...
{
	local cgroup=$1
	shift
	(in_cgroup "$cgroup" "$PYTHON" "$T/bin/calls.py" "$@") >/dev/null
}

fields()
{
	"$PYTHON" "$T/bin/field.py" "$T/$1.log" "${@:2}"
}

# The mask of tracers.
tracing()
{
	bpftool -j map dump pinned /sys/fs/bpf/graft/*/graft_control | "$PYTHON" -c \
		'import json, sys; print(json.load(sys.stdin)[0]["formatted"]["value"]["tracing"])'
}

is_tracing() # MASK
{
	[ "$(tracing)" = "$1" ]
}

# tracer NAME MASK OPTION...: one more, which is on when the mask is that.
tracer()
{
	local name=$1 mask=$2
	shift 2
	spawn "$name" "$GRAFT" trace "$@"
	await "$name" is_tracing "$mask"
}

has_lines() # NAME N
{
	[ "$(wc -l <"$T/$1.log")" -ge "$2" ]
}

# ends NAME WHAT STATUS
ends()
{
	status_of "$1"
	equal "$2" "$3" "$STATUS"
}

cat >"$T/policy" <<'EOF2'
endpoint web ipv4 127.0.0.1:8080
endpoint six ipv6 [::1]:8081
endpoint any ipv4 127.0.0.1:dynamic
endpoint out ipv4 127.0.0.5:dynamic
bind tcp 0.0.0.0:80 = web
bind tcp [::1]:80 = six
bind tcp 0.0.0.0:81 = any
connect tcp 127.0.0.1:8080 = from out
connect tcp 10.1.0.0/16 = deny:EHOSTDOWN
connect udp 10.66.0.0/16 = deny
connect udp 10.67.0.0/16 = web
EOF2

check "attach" "$GRAFT" attach --policy "$T/policy" "$APP"
equal "nobody traces" 0 "$(tracing)"

# --- lines -------------------------------------------------------------------------------

tracer lines 1
tracer objects 3 --json
calls "$APP" bind tcp 0.0.0.0 80 bind tcp ::1 80 bind tcp :: 80 connect tcp 10.1.2.3 443 \
	sendto udp 10.66.0.1 53 sendto udp 10.67.0.1 53 sendto udp 127.0.0.1 9 \
	socket raw 127.0.0.1 0
check "eight lines" within "$LIMIT" has_lines lines 8
check "eight objects, beside them" within "$LIMIT" has_lines objects 8
line=$(sed -n 1p "$T/lines.log")
contains "a line" "^[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}  python3\[[0-9]+\] +bind +tcp +0\.0\.0\.0:80 +-> 127\.0\.0\.1:8080 +rule 1 \"bind tcp 0\.0\.0\.0:80 = web\"  $NAME\$" "$line"
contains "of a bind to an IPv6 endpoint" "bind +tcp +\[::1\]:80 +-> \[::1\]:8081 +rule 2 " "$(sed -n 2p "$T/lines.log")"
contains "of a connect that is denied" "connect tcp +10\.1\.2\.3:443 +denied EHOSTDOWN +rule 5 \"connect tcp 10\.1\.0\.0/16 = deny:EHOSTDOWN\"" "$(sed -n 4p "$T/lines.log")"
contains "of a datagram that is denied" "sendto +udp +10\.66\.0\.1:53 +denied EACCES +rule 6 " "$(sed -n 5p "$T/lines.log")"
contains "of a datagram to an endpoint" "sendto +udp +10\.67\.0\.1:53 +-> 127\.0\.0\.1:8080 +rule 7 " "$(sed -n 6p "$T/lines.log")"
contains "of one that no rule decides" "sendto +udp +127\.0\.0\.1:9 +allowed +no rule " "$(sed -n 7p "$T/lines.log")"
contains "of a raw socket" "socket +raw +- +denied EPERM +raw sockets" "$(sed -n 8p "$T/lines.log")"
equal "objects say the same" "bind|tcp|0.0.0.0:80|endpoint|127.0.0.1:8080|None|False|1|bind tcp 0.0.0.0:80 = web|$NAME
bind|tcp|::1:80|endpoint|::1:8081|None|False|2|bind tcp [::1]:80 = six|$NAME
bind|tcp|:::80|endpoint|127.0.0.1:8080|None|False|1|bind tcp 0.0.0.0:80 = web|$NAME
connect|tcp|10.1.2.3:443|denied|None|EHOSTDOWN|False|5|connect tcp 10.1.0.0/16 = deny:EHOSTDOWN|$NAME
sendto|udp|10.66.0.1:53|denied|None|EACCES|False|6|connect udp 10.66.0.0/16 = deny|$NAME
sendto|udp|10.67.0.1:53|endpoint|127.0.0.1:8080|None|False|7|connect udp 10.67.0.0/16 = web|$NAME
sendto|udp|127.0.0.1:9|allowed|None|None|False|None|None|$NAME
socket|raw|None|denied|None|EPERM|False|None|None|$NAME" \
	"$(fields objects op proto asked outcome given error audit number rule cgroup)"
equal "who, the same all along" 1 "$(fields objects command pid cgroup_id | sort -u | wc -l)"
equal "the cgroup's id is its inode" "$(stat -c %i "$APP")" \
	"$(fields objects cgroup_id | head -n 1)"
check "the time is now" "$PYTHON" -c 'import json, sys, time
told = json.loads(open(sys.argv[1]).readline())["time"]
sys.exit(not time.time() - 600 < told <= time.time())' "$T/objects.log"
kill -INT "${PID_OF[lines]}"
ends lines "SIGINT ends it well" 0
kill -TERM "${PID_OF[objects]}"
ends objects "so does SIGTERM" 0
equal "tracing is off" 0 "$(tracing)"

tracer from 1 --json
spawn server "$PYTHON" -c 'import socket
made = socket.create_server(("127.0.0.1", 8080))
print("ready", flush=True)
made.accept()[0].recv(1)'
check "a server comes up" within "$LIMIT" grep -q ready "$T/server.log"
calls "$APP/below" connect tcp 127.0.0.1 8080
check "from: a line" within "$LIMIT" has_lines from 1
equal "from, and the cgroup whose policy it is, not the caller's" \
	"connect|from|127.0.0.5:0|4|$NAME" "$(fields from op outcome given number cgroup)"
stop server
: >"$T/from.log"
mapfile -t many < <(for _ in $(seq 65); do printf '%s\n' bind tcp 0.0.0.0 81; done)
calls "$APP" "${many[@]}"
check "sixty-five binds to one endpoint" within "$LIMIT" has_lines from 66
equal "the last one: why it failed" "bind|0.0.0.0:81|failed|EPERM|64 sockets are bound there" \
	"$(fields from op asked outcome error reason | tail -n 1)"
stop from

# --- rules of every length, and the right one's -----------------------------------------------

"$PYTHON" - >"$T/long" <<'EOP'
names = ["n" * n for n in range(1, 64)]
for name in names:
    print(f"endpoint {name} ipv4 127.0.0.1:{9000 + len(name)}")
for name in names:
    print(f"connect udp 10.200.100.{len(name)}:{1000 + len(name)} = {name}")
EOP
check "attach rules of many lengths" "$GRAFT" attach --policy "$T/long" "$APP"
tracer long 1 --json
mapfile -t many < <(for n in $(seq 63); do printf '%s\n' sendto udp "10.200.100.$n" $((1000 + n)); done)
calls "$APP" "${many[@]}"
check "sixty-three lines" within "$LIMIT" has_lines long 63
equal "each has its rule's text" "$(grep ^connect "$T/long")" "$(fields long rule)"

# What is read later is of the policy that judged, and of a cgroup that may be gone.
: >"$T/long.log"
mkdir "$TOP/short"
check "attach one that goes" "$GRAFT" attach --rule 'connect udp 10.3.0.0/16 = deny' "$TOP/short"
kill -STOP "${PID_OF[long]}"
calls "$TOP/short" sendto udp 10.3.0.1 53
rmdir "$TOP/short"
for errno in ENETDOWN EHOSTDOWN ETIMEDOUT ENETUNREACH; do
	"$GRAFT" attach --rule "connect udp 10.2.0.0/16 = deny:$errno" "$APP" ||
		not_ok "replace by $errno"
	calls "$APP" sendto udp 10.2.0.1 53
done
check "replace what judged" "$GRAFT" attach --policy "$T/policy" "$APP"
kill -CONT "${PID_OF[long]}"
check "they are read" within "$LIMIT" has_lines long 5
equal "each has the rule of its own policy" "None|EACCES|connect udp 10.3.0.0/16 = deny
$NAME|ENETDOWN|connect udp 10.2.0.0/16 = deny:ENETDOWN
$NAME|EHOSTDOWN|connect udp 10.2.0.0/16 = deny:EHOSTDOWN
$NAME|ETIMEDOUT|connect udp 10.2.0.0/16 = deny:ETIMEDOUT
$NAME|ENETUNREACH|connect udp 10.2.0.0/16 = deny:ENETUNREACH" "$(fields long cgroup error rule)"
stop long

# --- audit --------------------------------------------------------------------------------

check "audit" "$GRAFT" attach --audit --policy "$T/policy" "$APP"
tracer audit 1
calls "$APP" sendto udp 10.66.0.1 53 socket raw 127.0.0.1 0
check "two lines" within "$LIMIT" has_lines audit 2
contains "audit: what would have been" "would be denied EACCES +rule 6 " "$(sed -n 1p "$T/audit.log")"
contains "audit: a raw socket" "would be denied EPERM +raw sockets" "$(sed -n 2p "$T/audit.log")"
stop audit
check "no audit" "$GRAFT" attach --policy "$T/policy" "$APP"
check "another cgroup" "$GRAFT" attach --policy "$T/policy" "$TOP/other"

# --- what is shown ------------------------------------------------------------------------

tracer all 1 --json
tracer denied 3 --json --denied
tracer other 7 --json --cgroup "$TOP/other"
tracer two 15 --json -n 2
mkfifo "$T/go"
spawn one in_cgroup "$APP" sh -c "'$PYTHON' -c 'import socket, sys
made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
made.sendto(b\"x\", (\"127.0.0.1\", 11))
sys.stdin.readline()
made.sendto(b\"x\", (\"127.0.0.1\", 12))
sys.stdin.readline()' <'$T/go'"
exec 9>"$T/go"
check "a process calls" within "$LIMIT" has_lines all 1
tracer pid 31 --json --pid "$(fields all pid)"
calls "$APP" sendto udp 10.66.0.1 13
calls "$TOP/other" sendto udp 127.0.0.1 14
echo >&9
check "four calls" within "$LIMIT" has_lines all 4
check "--pid has one of them" within "$LIMIT" has_lines pid 1
ends two "-n ends it" 0
exec 9>&-
for name in all denied other pid; do stop "$name"; done
equal "all" "11 13 14 12" "$(fields all asked | sed 's/.*://' | xargs)"
equal "--denied" 10.66.0.1:13 "$(fields denied asked)"
equal "--cgroup" 127.0.0.1:14 "$(fields other asked)"
equal "--pid" 127.0.0.1:12 "$(fields pid asked)"
equal "-n 2" "11 13" "$(fields two asked | sed 's/.*://' | xargs)"
equal "nobody traces any more" 0 "$(tracing)"

# --- calls that are lost ------------------------------------------------------------------

tracer slow 1 --json --denied --cgroup "$APP"
kill -STOP "${PID_OF[slow]}"
equal "a flood" 60000 "$(in_cgroup "$APP" "$PYTHON" "$T/bin/flood.py" 60000)"
kill -CONT "${PID_OF[slow]}"
check "lost ones are told" within "$LIMIT" grep -q '"lost"' "$T/slow.log"
stop slow
equal "read and lost ones are all there were" "60000 True" "$("$PYTHON" -c 'import json, sys
told = [json.loads(line) for line in open(sys.argv[1])]
lost = sum(one.get("lost", 0) for one in told)
print(lost + sum("op" in one for one in told), 0 < lost < 60000)' "$T/slow.log")"
comment "$(grep '"lost"' "$T/slow.log")"
tracer slow 1 --cgroup "$APP"
kill -STOP "${PID_OF[slow]}"
equal "another flood" 60000 "$(in_cgroup "$APP" "$PYTHON" "$T/bin/flood.py" 60000)"
kill -CONT "${PID_OF[slow]}"
check "lost ones in a line" within "$LIMIT" grep -qE '^[0-9:.]+  [0-9]+ calls lost$' "$T/slow.log"
stop slow

# --- ends ---------------------------------------------------------------------------------

tracer killed 1
kill -KILL "${PID_OF[killed]}"
status_of killed
calls "$APP" sendto udp 127.0.0.1 9
equal "one that was killed cannot end tracing" 1 "$(tracing)"
check "the next command does" "$GRAFT" stat "$APP"
equal "tracing is off after it" 0 "$(tracing)"
tracer killed 1
tracer beside 3 --json
kill -KILL "${PID_OF[killed]}"
status_of killed
tracer next 3 --json
calls "$APP" sendto udp 127.0.0.1 9
check "one beside it goes on" within "$LIMIT" has_lines beside 1
check "the next one has its place" within "$LIMIT" has_lines next 1
stop beside
stop next
equal "tracing is off" 0 "$(tracing)"

mask=0
for n in 0 1 2 3 4 5 6 7; do
	mask=$((mask | 1 << n))
	tracer "t$n" "$mask"
done
fails "a ninth" 1 "others trace already" "$GRAFT" trace
calls "$APP" sendto udp 127.0.0.1 9
for n in 0 1 2 3 4 5 6 7; do
	within "$LIMIT" has_lines "t$n" 1 || not_ok "tracer $n has a line"
done
stop t3
equal "one less" $((mask & ~8)) "$(tracing)"
tracer again "$mask"
stop again
for n in 0 1 2 4 5 6 7; do stop "t$n"; done

# Whom nobody reads ends, though nothing happens.
mkfifo "$T/pipe"
spawn reader sh -c "exec head -n 1 <'$T/pipe'"
spawn writer sh -c "exec '$GRAFT' trace >'$T/pipe' 2>'$T/pipe.err'"
check "one writes to a pipe" await writer is_tracing 1
calls "$APP" sendto udp 127.0.0.1 9
status_of reader
ends writer "a broken pipe ends it well" 0
equal "and without a word" "" "$(cat "$T/pipe.err")"

# One that is stopped by what it writes to.
spawn deaf sh -c "exec <'$T/pipe'; echo open; exec sleep 1000"
spawn writer sh -c "exec '$GRAFT' trace >'$T/pipe' 2>'$T/pipe.err'"
check "one writes to a pipe that nobody reads" await writer is_tracing 1
in_cgroup "$APP" "$PYTHON" "$T/bin/flood.py" 2000 >/dev/null &
wait $!
is_writing()
{
	grep -q pipe_write "/proc/$1/wchan"
}
check "it waits for that" within "$LIMIT" is_writing "${PID_OF[writer]}"
kill -TERM "${PID_OF[writer]}"
ends writer "a signal ends it" 0
stop deaf

fails "no count" 2 "no number" "$GRAFT" trace -n 0
fails "no pid" 2 "no number" "$GRAFT" trace --pid x
fails "an operand" 2 "no operand" "$GRAFT" trace "$APP"
fails "no cgroup" 1 "no cgroup" "$GRAFT" trace --cgroup /tmp
fails "an ordinary user" 1 "take root" setpriv --reuid 65534 --regid 65534 --clear-groups \
	"$GRAFT" trace
equal "tracing is off in the end" 0 "$(tracing)"
equal "nothing of a tracer is left" "" \
	"$(find /sys/fs/bpf/graft -name 'tracer[0-9]*')"
finish
