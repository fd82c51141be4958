#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The commands for the endpoints that graftd keeps, and `ip graft`:
#
#	"the host"   graftd; root and an ordinary user add, list, watch and remove
#	+-- "box"    a namespace of a container, with a table of its own
#
# Environment: GRAFTD and IP, graftd and the ip that answers `ip graft`, beside GRAFT.
. "$(dirname "$0")/../lib.sh"
need_engine # it is about graft's own commands
enter_host "$@"
need ip "$PYTHON"
[ "$GRAFT_TEST_CAPABLE" = root ] || skip "graftd needs root here"

REAL_IP=$(command -v ip)
GRAFTD=${GRAFTD-$SOURCE_DIR/build/src/broker/graftd}
IP=${IP-$SOURCE_DIR/build/src/ctl/ip}
SOCKET=/run/graft/graftd.sock

prepare()
{
	local file
	for file in "$GRAFTD" "$IP"; do
		[ -x "$file" ] || die "no $file; build it"
		cp "$file" "$T/bin/" && chmod 755 "$T/bin/${file##*/}"
	done
	file=${GRAFTD%/*}/graft-holder
	[ ! -x "$file" ] || cp "$file" "$T/bin/"
	: >"$T/graftd.conf"
	PATH=$T/bin:$PATH
	"$REAL_IP" netns add box || die "cannot make a namespace"
}

start_graftd()
{
	spawn graftd "$T/bin/graftd" --foreground --config "$T/graftd.conf"
	await graftd answers || die "graftd does not come up"
}

answers()
{
	"$GRAFT" show
}

as() # root|user COMMAND...
{
	identity "$1"
	shift
	host "${IDENTITY[@]}" "$@"
}

# --- what is written down ------------------------------------------------------------

# session NAME: a session as in a document: "$ COMMAND", then what it prints. Blanks at
# the end of lines do not count, since documents lose them.
session()
{
	local name=$1 line command='' wanted=''
	while IFS= read -r line || [ -n "$line" ]; do
		if [ "${line#\$ }" = "$line" ]; then
			wanted+=$line$'\n'
			continue
		fi
		[ -z "$command" ] || replay "$name" "$command" "$wanted"
		command=${line#\$ } wanted=''
	done
	replay "$name" "$command" "$wanted"
}

replay() # NAME COMMAND WANTED
{
	equal "$1: $2" "$3" "$(bash -c "$2" 2>&1 | sed 's/[[:blank:]]*$//')${3:+$'\n'}"
}

the_older_sessions()
{
	session 'as ever' <<'END'
$ ip graft help
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
$ ip graft add ep-test type ipv4 addr 127.0.0.1 port 8080
$ ip graft show
ep-test type ipv4 addr 127.0.0.1 port 8080
$ ip gr add ep-lo type ipv4 addr 127.0.0.1 port 5201 && echo iperf3 -s
iperf3 -s
$ ip gr add nx4 type ipv4 addr 0.0.0.0 port 8080 && echo nginx -g 'daemon off;'
nginx -g daemon off;
$ ip gr add out4 type ipv4 netns 1
$ ip gr add ep-out type ipv4 addr 127.0.0.1 port dynamic
$ ip gr add ep-u type unix path /run/x.sock netns box
$ ip gr s
ep-test type ipv4 addr 127.0.0.1 port 8080
ep-lo type ipv4 addr 127.0.0.1 port 5201
nx4 type ipv4 addr 0.0.0.0 port 8080
out4 type ipv4 addr 0.0.0.0 port dynamic netns 1
ep-out type ipv4 addr 127.0.0.1 port dynamic
ep-u type unix path /run/x.sock netns box
$ ip graft del ep-test
$ ip g d ep-lo; ip graft delete nx4; ip gr del out4; ip gr del ep-out
$ ip graft show
ep-u type unix path /run/x.sock netns box
$ ip graft del ep-u
$ ip graft show
END
	ip graft help 2>/dev/null
	equal 'ip graft help: status' 255 $?
	ip graft 2>/dev/null
	equal 'ip graft: status' 255 $?
	equal 'ip graft: nothing on stdout' '' "$(ip graft 2>/dev/null)"
	equal 'ip g h: help too' "$(ip graft 2>&1)" "$(ip g h 2>&1)"
	ip graft add t4 type ipv4 addr 127.0.0.1 port 1
	equal 'a line ends in a blank' 't4 type ipv4 addr 127.0.0.1 port 1 $' \
		"$(ip graft show | cat -E)"
	ip graft del t4
	equal 'ip graft: an unknown command' \
		'Command "foo" is unknown, try "ip graft help". 255' \
		"$(ip graft foo 2>&1) $(ip graft foo 2>/dev/null; echo $?)"
}

# A container adds to its own table, for its own network.
within_a_namespace()
{
	ip -netns box gr add ep-lo type ipv4 addr 127.0.0.1 port 5201
	equal 'ip -netns NAME graft add: status' 0 $?
	equal 'and show, there' 'ep-lo type ipv4 addr 127.0.0.1 port 5201 ' \
		"$(ip -n box graft show | grep -v netns)"
	equal 'it is not a name of the host' 1 "$(as user "$GRAFT" show ep-lo \
		>/dev/null 2>&1; echo $?)"
	check 'and del, there' ip -n box -4 graft del ep-lo
	equal 'ip -netns NOSUCH graft' \
		'Cannot open network namespace "nosuch": No such file or directory 255' \
		"$(ip -n nosuch graft show 2>&1) $(ip -n nosuch graft show 2>/dev/null; echo $?)"
}

# --- everything else is the real ip's ---------------------------------------------------

outcome() # COMMAND...: both outputs and the status
{
	"$@" >"$T/out" 2>"$T/err" </dev/null
	echo "status $?"
	cat "$T/out" "$T/err"
}

same_as_real() # ARGUMENT...
{
	equal "ip $*" "$(outcome "$REAL_IP" "$@")" "$(outcome "$T/bin/ip" "$@")"
}

# Each option, cut down to each length: takes it a value? The real ip knows.
same_options()
{
	local option n differ='' real ours
	for option in loops family 4 6 0 M B human-readable iec stats statistics details \
		resolve oneline timestamp tshort force brief json pretty rcvbuf color \
		color=never netns Numeric all; do
		n=1
		[ "${option%=*}" = "$option" ] || n=${#option} # a value is not cut down
		for (( ; n <= ${#option}; n++)); do
			real=$("$REAL_IP" "-${option:0:n}" graft help 2>&1 | head -n 1)
			ours=$("$T/bin/ip" "-${option:0:n}" graft help 2>&1 | head -n 1)
			case $real in
			'Object "graft" is unknown'*) real='Usage: ip graft add NAME' ;;
			esac
			[ "$real" = "$ours" ] || differ+=" -${option:0:n}"
		done
	done
	equal 'options before graft are read as the real ip reads them' '' "$differ"
}

passes_on()
{
	local dir
	same_as_real -V
	same_as_real
	same_as_real help
	same_as_real ''
	same_as_real link show lo
	same_as_real -br addr show dev lo
	same_as_real -json -6 addr show dev lo
	same_as_real -n box link show lo
	same_as_real graftx
	same_as_real nosuch graft
	same_as_real -nosuch graft show
	same_as_real -netns
	same_as_real -- link show lo
	same_options
	equal 'ip -- graft' "$(ip graft 2>&1)" "$(ip -- graft 2>&1)"

	mkdir "$T/a" "$T/b" "$T/c" "$T/graft-less"
	cat >"$T/c/ip" <<'END'
#!/bin/sh
printf '<%s>' "${0##*/}" "$@"
END
	chmod 755 "$T/c/ip"
	for dir in a b; do cp "$T/bin/ip" "$T/$dir/ip"; done
	equal 'arguments are untouched' '<ip><-4><a  b><><x*>' \
		"$(PATH=$T/a:$T/c "$T/a/ip" -4 'a  b' '' 'x*')"
	equal 'several of ours are passed in turn' '<ip><x>' \
		"$(host env PATH="$T/a:$T/b:$T/a:$T/nosuch:$T/b:$T/c" "$T/a/ip" x)"
	ln -s "$T/a/ip" "$T/graft-less/ip"
	equal 'a link to ours is ours' '<ip><x>' \
		"$(host env PATH="$T/graft-less:$T/a:$T/c" "$T/graft-less/ip" x)"
	equal 'outside of PATH, the usual places' "$("$REAL_IP" -V)" \
		"$(host env PATH="$T/a:$T/b" "$T/b/ip" -V)"
	# shellcheck disable=SC2016 # for the inner shell
	equal 'no ip but ours anywhere' '127 ip: no ip but graft' \
		"$(host unshare --mount "$BASH" -c '
			mount --bind "$1/b/ip" "$(readlink -f "$2")"
			[ "$(readlink -f /usr/bin/ip)" = "$(readlink -f "$2")" ] ||
				mount --bind "$1/b/ip" /usr/bin/ip
			PATH=$1/a "$1/a/ip" x 2>"$1/err"; echo "$? $(cut -c-19 "$1/err")"' \
			- "$T" "$REAL_IP" 2>&1)"
	rm -r "$T/a" "$T/b" "$T/c" "$T/graft-less"
}

# --- graft add, del, show ----------------------------------------------------------------

added() # SHOWN WORD...: these words add what is shown so
{
	local wanted=$1 name=${2%% *}
	shift
	"$GRAFT" add "$@" 2>"$T/err"
	equal "add $*" "0 $wanted " "$? $("$GRAFT" show "$name")$(<"$T/err")"
	"$GRAFT" del "$name" 2>/dev/null
}

words()
{
	local name
	added 'x type ipv4 addr 0.0.0.0 port dynamic' x type ipv4
	added 'x type ipv4 addr 0.0.0.0 port 80' x type ipv4 port 80
	added 'x type ipv4 addr 1.2.3.4 port dynamic' x type ipv4 addr 1.2.3.4 port 0
	added 'x type ipv6 addr :: port 80' x type ipv6 port 80
	added 'x type ipv6 addr 2001:db8::1 port 80' x t ipv6 a 2001:db8::1 p 80
	added 'x type unix path /run/x' x type unix path /run/x
	added 'x type unix path @x' x typ unix pat @x
	added 'x type ipv4 addr 1.2.3.4 port 80' x ipv4 1.2.3.4:80
	added 'x type ipv6 addr :: port 80 hold share' 'x ipv6 [::]:80 share hold'
	added 'x type ipv4 addr 0.0.0.0 port 80 netns box hold' x type ipv4 port 80 hold netns box
	added "x type ipv4 addr 0.0.0.0 port dynamic netns $$" x type ipv4 netns $$
	added 'x type ipv4 addr 0.0.0.0 port dynamic netns /run/netns/box' \
		x type ipv4 netns /run/netns/box
	added 'x type ipv4 addr 0.0.0.0 port dynamic owner uid=65534 connector uid=0,gid=65534' \
		x type ipv4 owner uid=nobody connector uid=root,gid=nogroup
	added 'x type ipv4 addr 0.0.0.0 port dynamic binder netns=later owner any' \
		x type ipv4 binder netns=later owner any
	added 'x type ipv4 addr 0.0.0.0 port dynamic' x type ipv4 port dynamic bound 40321
	added 'netns type ipv4 addr 0.0.0.0 port dynamic' netns type ipv4
	for name in 15 16 17 63; do
		name=$(printf 'n%.0s' $(seq "$name"))
		added "$name type ipv4 addr 0.0.0.0 port dynamic" "$name" type ipv4
	done
	# A namespace may be called like a process.
	"$REAL_IP" netns add 1
	added 'x type ipv4 addr 0.0.0.0 port dynamic netns /run/netns/1' x type ipv4 netns 1
	"$REAL_IP" netns del 1
}

# bad STATUS PATTERN COMMAND...: one line on stderr that matches, nothing on stdout.
bad()
{
	local wanted=$1 pattern=$2 status
	shift 2
	host "$GRAFT" "$@" </dev/null >"$T/out" 2>"$T/err"
	status=$?
	set -- "${*//$'\a'/?}"
	equal "${1:0:60}: status, lines" "$wanted 0 1" \
		"$status $(wc -l <"$T/out") $(wc -l <"$T/err")"
	contains "${1:0:60}: what is wrong" "$pattern" "$(<"$T/err")"
}

mistakes()
{
	local long
	long=$(printf 'n%.0s' {1..64})
	"$GRAFT" add taken type ipv4
	bad 2 'name an endpoint' add
	bad 2 'name an endpoint' add ''
	bad 2 'name an endpoint' add '# nothing'
	bad 2 'type is missing' add x
	bad 2 "'ipv5'" add x type ipv5
	bad 2 "'1.2.3'" add x type ipv4 addr 1.2.3
	bad 2 'IPv4 address|not an IPv4' add x type ipv4 addr ::1
	bad 2 '70000' add x type ipv4 port 70000
	bad 2 'path' add x type unix
	bad 2 'absolute' add x type unix path run/x
	bad 2 '107 bytes' add x type unix path "/$(printf 'x%.0s' {1..120})"
	bad 2 'nosuch' add x type ipv4 nosuch
	bad 2 'up to 63' add "$long" type ipv4
	bad 2 'not a name' add -- -x type ipv4
	bad 2 'not a name' add 'x/y' type ipv4
	bad 2 'target word' add host type ipv4
	bad 2 'control character' add $'x\ay' type ipv4
	bad 2 'no such user' add x type ipv4 owner uid=nosuch
	bad 2 'no such group' add x type ipv4 owner uid=0,gid=nosuch
	bad 2 'owner|WHO|condition' add x type ipv4 owner
	bad 2 'no process has this number' add x type ipv4 netns 99999999
	bad 2 'no such namespace' add x type ipv4 netns nosuch
	bad 2 'no such namespace' add x type ipv4 netns /run/netns/nosuch
	bad 2 'this is no namespace' add x type ipv4 netns /etc/passwd
	bad 2 'write the path from / on' add x type ipv4 netns ./box
	bad 2 'name a pid' add x type ipv4 netns /proc/self/ns/net
	bad 2 'write the path from / on' add x type ipv4 owner netns=./box
	bad 2 'longer than' add x type ipv4 "$(printf 'owner uid=%d ' {1..100})"
	bad 2 'too many words' add x type ipv4 "$(printf 'owner uid=%d ' {1..999})"
	bad 2 'such file' add --batch /nosuch
	bad 2 'one or the other' add --batch - x
	bad 2 'goes with --batch' add --force x type ipv4
	bad 2 'graft add: unrecognized' add --nosuch
	bad 1 "taken.*already" add taken type ipv4
	bad 2 'name an endpoint' del
	bad 1 "'nosuch'" del nosuch
	bad 1 "'nosuch'" delete nosuch
	bad 2 '1 to 63' del "$long"
	bad 2 '1 to 63' show ''
	bad 1 'nosuch: no such endpoint' show nosuch
	bad 2 'no argument' reload now
	"$GRAFT" del taken nosuch 2>/dev/null
	equal 'del: some are there, some not' '1 ' "$? $("$GRAFT" show)"
}

listing()
{
	"$GRAFT" add b ipv4 127.0.0.1:80 netns box hold
	"$GRAFT" add c type unix path /run/c owner uid=7,gid=8 binder netns=box,cgroup=/x
	"$GRAFT" add a type ipv6 share
	equal 'all' 'a b c ' "$("$GRAFT" show | cut -d' ' -f1 | sort | tr '\n' ' ')"
	equal 'those named' 'a c ' "$("$GRAFT" show c a | cut -d' ' -f1 | sort | tr '\n' ' ')"
	equal 'JSON' '' "$("$GRAFT" show --json | "$PYTHON" "$T/bin/endpoints.py")"
	equal 'ip -json graft show' "$("$GRAFT" show --json)" "$(ip -j graft show)"
	equal 'JSON of one' a "$("$GRAFT" show --json a | "$PYTHON" -c \
		'import json, sys; print(*(e["name"] for e in json.load(sys.stdin)))')"
	"$GRAFT" del a b c
	equal 'JSON of none' '[]' "$("$GRAFT" show --json)"
}

cat >"$T/bin/endpoints.py" <<'END'
import json, sys
common = {"netns": None, "hold": False, "share": False, "access": [], "state": "idle",
          "added_by": 0, "n_binds": 0, "n_connects": 0, "n_denied": 0}
wanted = [
    {"name": "a", "type": "ipv6", "addr": "::", "port": "dynamic", "bound": None,
     "share": True},
    {"name": "b", "type": "ipv4", "addr": "127.0.0.1", "port": 80, "netns": "box",
     "hold": True},
    {"name": "c", "type": "unix", "path": "/run/c",
     "access": [{"use": "owner", "uid": 7, "gid": 8},
                {"use": "binder", "netns": "box", "cgroup": "/x"}]},
]
got = sorted(json.load(sys.stdin), key=lambda item: item["name"])
for item in got:
    if item.pop("added_in") <= 0:
        print("added_in:", item)
if got != [common | item for item in wanted]:
    print(json.dumps(got, indent=1))
END

# --- batches -------------------------------------------------------------------------------

names()
{
	"$GRAFT" show | cut -d' ' -f1 | sort | tr '\n' ' '
}

forget()
{
	"$GRAFT" show | cut -d' ' -f1 | xargs -r "$GRAFT" del
}

batches()
{
	local output
	printf '%s\n' '# a comment' '' 'a type ipv4 port 80 # the web' '	b ipv4 1.2.3.4:80' \
		>"$T/batch"
	printf 'c type unix path /c' >>"$T/batch" # its last line has no end
	check 'a batch' "$GRAFT" add --batch "$T/batch"
	equal 'all of it' 'a b c ' "$(names)"
	"$GRAFT" show >"$T/kept"
	forget
	check 'from the standard input, what show printed' "$GRAFT" add --batch - <"$T/kept"
	equal 'and it is the same again' "$(sort "$T/kept")" "$("$GRAFT" show | sort)"
	output=$("$GRAFT" add --batch "$T/batch" 2>&1)
	equal 'the first line that fails: status' 1 $?
	contains 'its place' "^$T/batch:3: .*'a'.*already" "$output"
	equal 'one line' 1 "$(wc -l <<<"$output")"
	forget

	{
		seq -f 'n%.0f type ipv4' 1 500
		echo n250 type ipv4
		seq -f 'n%.0f type ipv4' 501 1000
	} >"$T/batch"
	output=$("$GRAFT" add --batch "$T/batch" 2>&1)
	contains 'a line that is refused' "^$T/batch:501: .*'n250'.*already" "$output"
	equal 'nothing behind it stays' 500 "$("$GRAFT" show | wc -l)"
	forget
	output=$("$GRAFT" add --force --batch "$T/batch" 2>&1)
	equal '--force: status and lines' '1 1' "$? $(wc -l <<<"$output")"
	equal '--force: all others' 1000 "$("$GRAFT" show | wc -l)"
	forget

	printf '%s\n' 'a type ipv4' 'b type ipv5' 'c type ipv4' >"$T/batch"
	output=$("$GRAFT" add --batch "$T/batch" 2>&1)
	equal 'a line that cannot be read: status' 2 $?
	contains 'a line that cannot be read' "^$T/batch:2: .*ipv5" "$output"
	equal 'what is before it stays' 'a ' "$(names)"
	output=$("$GRAFT" add --force --batch "$T/batch" 2>&1)
	equal '--force: the worst status' 2 $?
	equal '--force: what is behind it' 'a c ' "$(names)"
	forget
	printf 'a type ipv4\n%s\n' "$(printf 'x%.0s' {1..70000})" >"$T/batch"
	output=$("$GRAFT" add --batch "$T/batch" 2>&1)
	contains 'a line longer than any' '(longer|too long)' "$output"
	contains 'and which' "^$T/batch:2: " "$output"
	forget
	slow_batch
	progress
	lost_batch
}

# Lines take effect as they come, not when the writer is through.
slow_batch()
{
	mkfifo "$T/lines"
	spawn slow "$GRAFT" add --batch "$T/lines"
	exec 7>"$T/lines"
	echo a type ipv4 >&7
	check 'a line of a slow writer takes effect' within 10 "$GRAFT" show a
	echo a type ipv4 >&7
	status_of slow
	exec 7>&-
	equal 'and one that fails ends it' 1 "$STATUS"
	forget
}

# A terminal is told how far it is, and left clean.
progress()
{
	equal 'progress on a terminal' 'shown and cleared' "$(host "$PYTHON" -c '
import os, pty, select, subprocess, sys
master, slave = pty.openpty()
batch = subprocess.Popen([sys.argv[1], "add", "--batch", "-"], stdin=subprocess.PIPE,
                         stderr=slave)
os.close(slave)
seen = b""
n = 0
while b" added" not in seen:
    n += 1
    batch.stdin.write(b"n%d type ipv4\n" % n)
    batch.stdin.flush()
    if select.select([master], [], [], 0.005)[0]:
        seen += os.read(master, 4096)
batch.stdin.close()
batch.wait()
try:
    while chunk := os.read(master, 4096):
        seen += chunk
except OSError:  # the other side is closed
    pass
if seen.startswith(b"\r") and seen.endswith(b"\r\x1b[K") and batch.returncode == 0:
    print("shown and cleared")
else:
    print(seen, batch.returncode)' "$GRAFT")"
	forget
}

# A graftd that greets, answers one line and is gone.
lost_batch()
{
	local output
	spawn dying "$PYTHON" -c '
import socket, struct, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.bind(sys.argv[1])
server.listen(1)
connection, _ = server.accept()
connection.recv(4096)
connection.send(struct.pack("=IHH", 16, 1, 1) + struct.pack("=HHI", 1, 4, 1))
connection.recv(4096)
connection.send(struct.pack("=IHH", 8, 3, 1))
connection.recv(4096)
connection.close()' "$T/dying.sock"
	within 10 test -S "$T/dying.sock"
	output=$(printf '%s type ipv4\n' a b c d | GRAFT_SOCKET=$T/dying.sock host "$GRAFT" add \
		--batch - 2>&1)
	equal 'graftd goes away within a batch: status' 1 $?
	contains 'what is wrong' 'ended the conversation' "$output"
	contains 'which lines are in doubt' '^stdin: whether lines [12] to [1-4] were added is not known' "$output"
	stop dying
}

# --- the monitor, and a graftd that goes away ---------------------------------------------

has_line() # FILE PATTERN
{
	grep -Eq "$2" "$T/$1.log"
}

begin_monitor() # NAME [ARG...]: returns when it is told of things
{
	local name=$1 i
	shift
	spawn "$name" "$GRAFT" monitor "$@"
	for ((i = 0; i < 200; i++)); do
		"$GRAFT" add "probe" type ipv4 && "$GRAFT" del "probe"
		! has_line "$name" probe || return 0
		sleep 0.02
	done
	not_ok "$name hears of endpoints"
}

monitoring()
{
	local line
	begin_monitor all
	begin_monitor one probe web
	begin_monitor json --json
	"$GRAFT" add web ipv4 127.0.0.1:8080
	as user "$GRAFT" add mine ipv4 127.0.0.1:8081
	"$GRAFT" del web
	check 'add, as it happens' within 10 has_line all '^add web uid 0 pid [0-9]+ .*web ipv4 127.0.0.1:8080'
	check 'who did it' within 10 has_line all '^add mine uid 65534 '
	check 'del, as it happens' within 10 has_line all '^del web uid 0 '
	check 'names: those' within 10 has_line one '^del web '
	equal 'names: and no others' 0 "$(grep -vcE '^(add|del) (probe|web) ' "$T/one.log")"
	check 'JSON, as it happens' within 10 has_line json '"kind": "del", "name": "web"'
	equal 'JSON, an object a line' '' "$("$PYTHON" -c '
import json, sys, time
for line in sys.stdin:
    event = json.loads(line)
    if abs(time.time() - event["time"]) > 600 or event["uid"] not in (0, 65534):
        print(event)' <"$T/json.log")"
	for line in all one json; do
		kill -INT "${PID_OF[$line]}"
		status_of "$line"
		equal "SIGINT ends it ($line): status" 0 "$STATUS"
	done
	forget
}

# The configuration file: as a whole or not at all.
reloads()
{
	local old='file type ipv4 addr 127.0.0.1 port 8080 ' output
	"$GRAFT" add hand ipv4 127.0.0.1:8082
	echo 'endpoint file ipv4 127.0.0.1:8080' >"$T/graftd.conf"
	equal 'reload: nothing to say' '0 ' "$("$GRAFT" reload 2>&1; echo $?) "
	equal 'reload: the endpoint of the file' "$old" "$("$GRAFT" show file)"
	printf '%s\n' 'endpoint other ipv4 127.0.0.1:8081' 'quota nosuch 3' >"$T/graftd.conf"
	output=$("$GRAFT" reload 2>&1)
	equal 'reload: a mistake: status, lines' '1 1' "$? $(wc -l <<<"$output")"
	contains 'reload: which, and where' "graft reload: .*graftd.conf:2:.*'nosuch'" "$output"
	equal 'reload: all as before' 'file hand ' "$(names)"
	"$GRAFT" del file 2>"$T/err"
	equal "del: what the file defines: status" 1 $?
	contains 'del: what is wrong' "'file' is defined by the configuration" "$(<"$T/err")"
	: >"$T/graftd.conf"
	check 'reload: an empty file' "$GRAFT" reload
	equal 'reload: what was added by hand is left' 'hand ' "$(names)"
	forget
}

# A port the kernel picked is shown, in the words of old and behind them.
bound_port()
{
	local port
	begin_monitor all
	"$GRAFT" add web type ipv4 addr 127.0.0.1 port dynamic owner any
	WHO=root start server -i 0.0.0.0:80=web -- \
		"$PYTHON" "$T/bin/http_server.py" 0.0.0.0 80 here
	check 'the port is shown' within 10 is_bound web
	port=$("$GRAFT" show web | sed -n 's/.* bound \([0-9]*\) $/\1/p')
	equal 'so' "web type ipv4 addr 127.0.0.1 port dynamic owner any bound $port " \
		"$("$GRAFT" show web)"
	equal 'in JSON' "dynamic $port bound" "$("$GRAFT" show --json web | "$PYTHON" -c \
		'import json, sys; e = json.load(sys.stdin)[0]; print(e["port"], e["bound"], e["state"])')"
	wait_for_port server 127.0.0.1 "$port" && ok 'and the server is there'
	check 'the monitor tells of the bind' within 10 has_line all \
		"^bind web uid 0 pid [0-9]+ .*:$port\$"
	stop server
	stop all
	forget
}

is_bound() # NAME
{
	"$GRAFT" show "$1" | grep -q ' bound [1-9][0-9]* $'
}

restarts()
{
	begin_monitor all
	"$GRAFT" add stays ipv4 127.0.0.1:8080 hold
	kill -KILL "${PID_OF[graftd]}"
	status_of graftd
	check 'the monitor says that graftd is gone' within 10 has_line all 'graftd is gone'
	start_graftd
	equal 'the endpoint is still there' 'stays ' "$(names)"
	check 'the monitor says that it is back' within 15 has_line all 'graftd is back'
	"$GRAFT" del stays
	check 'and hears of endpoints again' within 10 has_line all '^del stays '
	kill -TERM "${PID_OF[all]}"
	status_of all
	equal 'SIGTERM ends it: status' 0 "$STATUS"
}

nobody_there()
{
	local command wanted
	stop graftd
	wanted="graft: graftd does not answer at $SOCKET: is it running? (systemctl start graftd)"
	for command in 'add x type ipv4' 'del x' 'show' 'monitor' 'reload' 'add --batch /dev/null'; do
		# shellcheck disable=SC2086 # words
		equal "without graftd: $command" "1 $wanted" \
			"$(host "$GRAFT" $command 2>"$T/err" </dev/null; echo "$? $(<"$T/err")")"
	done
	contains '--socket PATH' 'at /nosuch: is it running' \
		"$("$GRAFT" show --socket /nosuch 2>&1)"
	contains 'GRAFT_SOCKET' 'at /nosuch2: is it running' \
		"$(GRAFT_SOCKET=/nosuch2 "$GRAFT" show 2>&1)"
	contains 'a path too long' 'not a path a socket can have' \
		"$("$GRAFT" show --socket "/$(printf 'x%.0s' {1..200})" 2>&1)"
	spawn other "$PYTHON" -c '
import os, socket, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.bind(sys.argv[1])
server.listen(1)
while True:
    connection, _ = server.accept()
    connection.recv(4096)
    connection.send(b"what?")
    connection.close()' "$T/other.sock"
	within 10 test -S "$T/other.sock"
	contains 'somebody else there' 'not a graftd of this version' \
		"$(GRAFT_SOCKET=$T/other.sock host "$GRAFT" show 2>&1)"
	stop other
}

# --- users -----------------------------------------------------------------------------

users()
{
	"$GRAFT" add for-root ipv4 127.0.0.1:8080
	check 'a user adds' as user "$GRAFT" add mine ipv4 127.0.0.1:8081
	equal 'and owns it' 'mine type ipv4 addr 127.0.0.1 port 8081 owner uid=65534 ' \
		"$("$GRAFT" show mine)"
	contains 'not a port that takes a privilege' 'mine2|privilege' \
		"$(as user "$GRAFT" add mine2 ipv4 127.0.0.1:81 2>&1)"
	contains 'not in another namespace' 'namespace' \
		"$(as user "$GRAFT" add mine2 type ipv4 netns box 2>&1)"
	as user "$GRAFT" del for-root 2>"$T/err"
	equal "nor removes root's: status, lines" '1 1' "$? $(wc -l <"$T/err")"
	as user "$GRAFT" reload 2>"$T/err"
	equal 'nor reloads: status, lines' '1 1' "$? $(wc -l <"$T/err")"
	check 'he removes his own' as user "$GRAFT" del mine
	check 'root reloads' "$GRAFT" reload
	check "root's is still there" "$GRAFT" del for-root
}

prepare
start_graftd
the_older_sessions
within_a_namespace
passes_on
words
mistakes
listing
batches
monitoring
reloads
bound_port
restarts
users
nobody_there
finish
