#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Rules on UNIX paths: on a cgroup whose servers are outside, counted, traced, audited,
# replaced, revoked; of two policies, one below the other; for no other engine. What calls
# come to is unix_cases.py's.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
[ "$(id -u)" = 0 ] || skip "needs root"
grep -qw bpf_sock_addr_set_sun_path /proc/kallsyms ||
	skip "this kernel has no hooks for UNIX sockets"
# shellcheck source=tests/lib_cgroup.sh
. "$LIB_DIR/lib_cgroup.sh"

APP=$TOP/app
mkdir "$APP" "$APP/below"

# Says its name to whoever connects, or sends it a datagram, at each PATH, and the path that
# accept() and getpeername() show of him. Connections are kept: getpeername() shows what was
# asked for while the other end is open.
cat >"$T/bin/name.py" <<'EOF'
import selectors, socket, sys
waiting, kept = selectors.DefaultSelector(), []
for path in sys.argv[1:]:
    for kind, at in ((socket.SOCK_STREAM, path), (socket.SOCK_DGRAM, path + ".log")):
        made = socket.socket(socket.AF_UNIX, kind)
        made.bind(at)
        if kind == socket.SOCK_STREAM:
            made.listen()
        waiting.register(made, selectors.EVENT_READ, path)
print("ready", flush=True)
while True:
    for key, _ in waiting.select():
        name = key.data.rsplit("/", 1)[1].encode()
        if key.fileobj.type == socket.SOCK_DGRAM:
            _, source = key.fileobj.recvfrom(9)
            key.fileobj.sendto(name, source)
            continue
        peer, source = key.fileobj.accept()
        kept.append(peer)
        try:
            peer.sendall(name + b" " + (source or peer.getpeername() or "nameless").encode())
        except OSError:
            pass  # gone already
EOF
# calls.py OP PATH...: what each came to: whom it reached, as whom that shows, or the error.
cat >"$T/bin/calls.py" <<'EOF'
import errno, itertools, socket, sys
number = itertools.count()
def call(op, path):
    made = socket.socket(socket.AF_UNIX,
                         socket.SOCK_STREAM if op == "connect" else socket.SOCK_DGRAM)
    made.settimeout(20)
    if op == "connect":
        made.connect(path)
        shown = made.getpeername()
        told, source = made.recvfrom(99)
        return f"{told.decode()} at {shown}"
    made.bind("")
    made.sendto(b"?", path)
    told, source = made.recvfrom(99)
    return f"{told.decode()} at {source}"
words = sys.argv[1:]
for op, path in zip(words[::2], words[1::2]):
    try:
        print(call(op, "\0" + path[1:] if path[0] == "@" else path))
    except OSError as error:
        print(errno.errorcode.get(error.errno, error))
EOF
# sockets.py GIVER|TAKER PATH CONNECTED: hands a socket that it made to who connects to PATH;
# or takes one, and says what connect() of it comes to.
cat >"$T/bin/sockets.py" <<'EOF'
import array, errno, socket, sys
who, path, to = sys.argv[1:]
meet = socket.socket(socket.AF_UNIX)
meet.settimeout(20)
if who == "giver":
    made = socket.socket(socket.AF_UNIX)
    meet.bind(path)
    meet.listen()
    print("ready", flush=True)
    peer, _ = meet.accept()
    peer.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                           array.array("i", [made.fileno()]))])
    peer.recv(1)
else:
    meet.connect(path)
    _, control, _, _ = meet.recvmsg(1, 64)
    made = socket.socket(fileno=array.array("i", control[0][2])[0])
    try:
        made.connect(to)
        print("connected")
    except OSError as error:
        print(errno.errorcode.get(error.errno, error))
EOF

calls() # CGROUP OP PATH...
{
	local cgroup=$1
	shift
	(in_cgroup "$cgroup" "$PYTHON" "$T/bin/calls.py" "$@")
}

spawn servers "$PYTHON" "$T/bin/name.py" "$T/db" "$T/other"
await servers grep -q ready "$T/servers.log"

cat >"$T/policy" <<EOF
endpoint db unix $T/db
endpoint log unix $T/db.log
connect unix /run/mysqld.sock = db
connect unix /dev/log = log
connect unix $T/oth* = own
connect tcp 127.0.0.1:9 = deny
connect unix * = deny
EOF
ASK=(connect /run/mysqld.sock connect "$T/db" connect "$T/other" connect @x11
	sendto /dev/log sendto "$T/other.log" sendto "$T/db.log")
check "attach" "$GRAFT" attach --policy "$T/policy" "$APP"
spawn lines "$GRAFT" trace --cgroup "$APP"
spawn objects "$GRAFT" trace --cgroup "$APP" --json
# A call until both have seen one, from below.
traced_one()
{
	calls "$APP" connect "@none" >"$T/none"
	grep -q @none "$T/lines.log" && grep -q @none "$T/objects.log"
}
check "both trace" within "$LIMIT" traced_one
check "attach again, which counts anew" "$GRAFT" attach --policy "$T/policy" "$APP"
equal "calls to servers outside" "db nameless at /run/mysqld.sock
EACCES
other nameless at $T/other
EACCES
db at /dev/log
other.log at $T/other.log
EACCES" "$(calls "$APP" "${ASK[@]}" | sed 's/^other at /other.log at /')"
equal "from below it" "db nameless at /run/mysqld.sock" \
	"$(calls "$APP/below" connect /run/mysqld.sock)"
equal "beside it they are what they are" "ENOENT
db nameless at $T/db" "$(calls "$TOP" connect /run/mysqld.sock connect "$T/db")"

# --- counted, traced -------------------------------------------------------------------

counts()
{
	"$GRAFT" stat --json "$APP" | "$PYTHON" -c 'import json, sys
told = json.load(sys.stdin)
print(*(rule["calls"] for rule in told["rules"]), told["undecided"])'
}
equal "counted by rule" "2 1 2 0 3 0" "$(counts)"
contains "stat shows rules" " 3 +connect unix \* = deny" "$("$GRAFT" stat "$APP")"
has_lines()
{
	[ "$(grep -c "$2" "$T/$1.log")" -ge "$3" ]
}
check "eight lines" within "$LIMIT" has_lines lines ' unix .*  /' 8
lines=$(grep -v @none "$T/lines.log")
line()
{
	sed -n "$1p" <<<"$lines"
}
contains "a line" "python3\[[0-9]+\] +connect +unix +/run/mysqld.sock +-> $T/db +rule 1 \"connect unix /run/mysqld.sock = db\"  ${APP#"$MOUNT"}\$" "$(line 1)"
contains "of one denied" "connect unix +$T/db +denied EACCES +rule 5 \"connect unix \* = deny\"" "$(line 2)"
contains "of one that goes on" "connect unix +$T/other +allowed +rule 3 " "$(line 3)"
contains "of an abstract name" "connect unix +@x11 +denied EACCES" "$(line 4)"
contains "of a datagram" "sendto +unix +/dev/log +-> $T/db.log +rule 2 " "$(line 5)"
check "as many objects" within "$LIMIT" has_lines objects '"unix"' 8
equal "objects say the same" "connect|unix|/run/mysqld.sock|endpoint|$T/db|None|1
connect|unix|$T/db|denied|None|EACCES|5
connect|unix|$T/other|allowed|None|None|3
connect|unix|@x11|denied|None|EACCES|5
sendto|unix|/dev/log|endpoint|$T/db.log|None|2" "$("$PYTHON" - "$T/objects.log" <<'EOF' | sed -n 1,5p
import json, sys
def path(value):
    return value["path"] if isinstance(value, dict) else value
for line in open(sys.argv[1]):
    told = json.loads(line)
    if path(told["asked"]) != "@none":
        print("|".join(str(path(told[key])) for key in (
            "op", "proto", "asked", "outcome", "given", "error", "number")))
EOF
)"
stop lines
stop objects

# --- who made the socket ---------------------------------------------------------------

spawn giver in_cgroup "$APP" "$PYTHON" "$T/bin/sockets.py" giver "$T/other-give" "$T/db"
await giver grep -q ready "$T/giver.log"
equal "one that was made there is judged in other hands" EACCES \
	"$("$PYTHON" "$T/bin/sockets.py" taker "$T/other-give" "$T/db")"
spawn outside "$PYTHON" "$T/bin/sockets.py" giver "$T/other-back" "$T/db"
await outside grep -q ready "$T/outside.log"
equal "one from outside is not judged" connected \
	"$(in_cgroup "$APP" "$PYTHON" "$T/bin/sockets.py" taker "$T/other-back" "$T/db")"

# --- one policy below another ----------------------------------------------------------

cat >"$T/below" <<EOF
endpoint other unix $T/other
endpoint led unix /run/mysqld.sock
connect unix /inner = other
connect unix /twice = led
endpoint led.log unix /dev/log
connect unix /twice.log = led.log
EOF
check "attach below" "$GRAFT" attach --policy "$T/below" "$APP/below"
equal "the outer one judges what the inner one made of it" "other nameless at /inner
EACCES" "$(calls "$APP/below" connect /inner connect /elsewhere)"
equal "and leads on; the program sees what it asked for" "db nameless at /twice
db at /twice.log" "$(calls "$APP/below" connect /twice sendto /twice.log)"
check "detach below" "$GRAFT" detach "$APP/below"

# --- audited, replaced, revoked --------------------------------------------------------

check "audit" "$GRAFT" attach --audit --policy "$T/policy" "$APP"
equal "what is denied goes on" "db nameless at $T/db
db nameless at /run/mysqld.sock" "$(calls "$APP" connect "$T/db" connect /run/mysqld.sock)"
equal "and is counted" "1 0 0 0 1 0" "$(counts)"

check "without the rules" "$GRAFT" attach --rule 'connect tcp 127.0.0.1:9 = deny' "$APP"
equal "no path is judged any more" "ENOENT
db nameless at $T/db" "$(calls "$APP" connect /run/mysqld.sock connect "$T/db")"
equal "nor counted" "0 0" "$(counts)"
check "with them" "$GRAFT" attach --policy "$T/policy" "$APP"
equal "again" "db nameless at /run/mysqld.sock" "$(calls "$APP" connect /run/mysqld.sock)"

equal "revoke" "1 rule revoked, 0 sockets destroyed" \
	"$("$GRAFT" revoke --endpoint db "$APP" 2>&1)"
equal "the rule denies" "EACCES
other nameless at $T/other" "$(calls "$APP" connect /run/mysqld.sock connect "$T/other")"
contains "which stat shows" "= db \(revoked\)" "$("$GRAFT" stat "$APP")"
check "detach" "$GRAFT" detach "$APP"
equal "nothing is judged" "db nameless at $T/db" "$(calls "$APP" connect "$T/db")"

# --- other engines ---------------------------------------------------------------------

WHY="UNIX paths are judged by the cgroup engine alone: --engine cgroup"
for engine in auto notify preload af_graft; do
	fails "engine $engine" 2 "^graft: $T/policy:3:1: $WHY" \
		"$GRAFT" run --engine "$engine" --policy "$T/policy" -- true
done
contains "the library says what it leaves out" "$T/policy:3:1: $WHY.*left out" \
	"$(GRAFT_POLICY=$T/policy LD_PRELOAD=$T/bin/libgraft-hijack.so /bin/true 2>&1)"
finish
