# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the scripts of tests/runtime share, on top of lib.sh: bundles, and containers of
# graft-runtime over BACKEND (runc or crun) in "the host" of the test.
#
#	root's network
#	+-- "the host"			enter_host's: $HOST4, /run with runtimes' state in it
#	    |   graft-runtime, supervisors
#	    +-- container		namespaces of its own; its root holds `inside` alone
#
# Cgroups are in the real hierarchies, by names of their own, and go with `delete`.
#
# Environment: RUNTIME, INSIDE, GRAFTD: the binaries under test.

need_containers()
{
	[ "$GRAFT_TEST_CAPABLE" = root ] || skip "containers take root"
	need "$BACKEND" python3
	RUNTIME=${RUNTIME-$SOURCE_DIR/build/src/runtime/graft-runtime}
	INSIDE=${INSIDE-$SOURCE_DIR/build/tests/runtime/inside}
	GRAFTD=${GRAFTD-$SOURCE_DIR/build/src/broker/graftd}
	PROFILE=$SOURCE_DIR/tests/runtime/docker_profile.json
	STATE=$T/state
	MARK=grt$RANDOM$RANDOM
	CONTAINERS=()
	mkdir -p "$T/root" "$T/policies"
	echo "policies $T/policies
log $T/runtime.log
verbose yes" >"$T/runtime.conf"
	export GRAFT_RUNTIME_CONFIG=$T/runtime.conf GRAFT_RUNTIME_STATE=$STATE
	export GRAFT_RUNTIME_BACKEND=$BACKEND
	trap leave_containers EXIT
	# crun does not know what to do where both versions have controllers.
	if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
		umount -R /sys/fs/cgroup
		mount -t cgroup2 graft-test /sys/fs/cgroup || skip "no cgroup v2 here"
	fi
}

# At the path where clients look for it.
start_graftd()
{
	mkdir -p /run/graft "$T/graftd"
	spawn graftd "$GRAFTD" --foreground --socket /run/graft/graftd.sock --state "$T/graftd"
	await graftd test -S /run/graft/graftd.sock || finish
}

leave_containers()
{
	local status=$? id
	for id in "${CONTAINERS[@]}"; do
		"$BACKEND" --root "$T/root" delete -f "$id" >/dev/null 2>&1
	done
	# A dockerd's, and those of creates that were killed.
	find /sys/fs/cgroup -maxdepth 2 -depth -type d -path "*/$MARK*" \
		-exec rmdir {} + 2>/dev/null
	(exit "$status")
	leave_host
}

# bundle ID [OPTION...] -- PROGRAM...: options are those of bundle.py
bundle()
{
	local id=$1
	shift
	mkdir -p "$T/$id/rootfs/"{proc,dev,tmp}
	cp "$INSIDE" "$T/$id/rootfs/inside"
	chmod 755 "$T/$id/rootfs/inside"
	"$PYTHON" "$SOURCE_DIR/tests/runtime/bundle.py" "$T/$id" --cgroup "/$MARK-$id" "$@" ||
		die "cannot make a bundle"
	cp -p "$T/$id/config.json" "$T/$id/was.json"
	CONTAINERS+=("$id")
}

runtime()
{
	"$RUNTIME" --root "$T/root" "$@"
}

# up ID: creates and starts it, output in $T/ID.log
up()
{
	: >"$T/$1.log"
	runtime create --bundle "$T/$1" --pid-file "$T/$1.pid" "$1" </dev/null \
		>>"$T/$1.log" 2>&1 || return 1
	runtime start "$1" >>"$T/$1.log" 2>&1 || return 1
}

# The first process of container ID, as the host numbers it.
first_of()
{
	cat "$T/$1.pid"
}

# Supervisors that are there; one that has ended may wait for its status to be taken.
supervisors()
{
	pgrep -x -r D,R,S,T graft-container
}

helpers()
{
	pgrep -x -r D,R,S,T graft-netns
}

# Is that the number of supervisors?
are_supervisors()
{
	[ "$(supervisors | wc -l)" = "$1" ]
}

no_supervisor()
{
	[ -z "$(supervisors)$(helpers)" ]
}

# Of one container: it listens at the socket whose name begins with the id.
supervisor_of()
{
	supervisors
}

# Is the supervisor in the cgroup that it makes itself? `start` does not wait for that.
has_pen()
{
	are_supervisors 1 &&
		grep -q '^0::.*/graft-run-' "/proc/$(supervisors)/cgroup"
}

# Remembers the cgroup of the supervisor that is there.
note_pen()
{
	PEN=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(supervisors)/cgroup")
	PEN_INODE=$(stat -c %i "$PEN")
}

pen_is_gone()
{
	[ "$(stat -c %i "$PEN" 2>/dev/null)" != "$PEN_INODE" ]
}

nothing_left() # ID...: no process, no socket, no name beside config.json
{
	local id
	no_supervisor || return 1
	[ -z "$(find "$STATE" -type s 2>/dev/null)" ] || return 1
	for id; do
		[ ! -e "$T/$id/.config.json.graft" ] || return 1
		[ ! -e "$T/root/$id" ] || return 1
	done
}

is_unchanged() # ID: config.json is the very file it was
{
	cmp "$T/$1/config.json" "$T/$1/was.json"
}

down() # ID: deletes it
{
	runtime delete -f "$1"
}

log_has() # ID TEXT
{
	grep -q -- "$2" "$T/$1.log"
}

# A server of the host's that says one line to each.
host_server() # NAME PORT [ADDRESS]
{
	spawn "$1" "$PYTHON" -c '
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
server = socket.create_server((sys.argv[2], int(sys.argv[1])), family=family)
while True:
    client, _ = server.accept()
    client.sendall(b"the host says hello\n")
    client.close()
' "$2" "${3-$HOST4}"
	wait_for_listener "$1" "$2"
}

get() # ADDRESS PORT: from the host's side
{
	timeout 40 "$PYTHON" -c '
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 30) as s:
    print(s.recv(100).decode(), end="")
' "$1" "$2"
}

# Counts packets that cross a bridge of Docker's, from here on.
count_bridged()
{
	nft -f - <<END || die "no counter"
table inet test {
	counter bridged { }
	chain in {
		type filter hook prerouting priority -400
		meta l4proto { tcp, udp } meta iifname { "docker0", "br-*" } counter name bridged
	}
	chain out {
		type filter hook postrouting priority 400
		meta l4proto { tcp, udp } meta oifname { "docker0", "br-*" } counter name bridged
	}
}
END
}

bridged()
{
	nft list counter inet test bridged | sed -n 's/.*packets \([0-9]*\) .*/\1/p'
}

# run_says IMAGE NAME WANTED OPTION... -- PROGRAM...: by an engine, whose test says in
# graft_run OPTION... IMAGE PROGRAM... how
run_says()
{
	local image=$1 name=$2 wanted=$3 more=()
	shift 3
	while [ "$1" != -- ]; do
		more+=("$1")
		shift
	done
	shift
	equal "run: $name" "$wanted" "$(graft_run --rm "${more[@]}" "$image" "$@" 2>&1)"
}
