#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A server in a grafted container against the same on the host, and in a container with the
# host's network: one client goes between them every few milliseconds (load/turns.c), all of
# them on one core. Prints a table; with FILE puts it between the markers container:begin and
# container:end of that. Root.
#
#	bench/container_turns.sh [SECONDS [FILE]]	of each row, within the tree; BACKEND=runc
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lib_container.sh"
BACKEND=${BACKEND-runc}
SECONDS_EACH=${1-20}
DOCUMENT=${2:+$SOURCE_DIR/$2} # a path within the tree
LOAD=${LOAD-$SOURCE_DIR/build/bench/load}
PORT=5201
enter_host "$@"
need_containers
need taskset

ADDRESSES=("$HOST4" 127.0.0.1 127.0.0.2 127.0.0.3)
PLACES=()
for address in "${ADDRESSES[@]}"; do
	PLACES+=(--place "/sys/fs/cgroup/cgroup.procs=$address")
done

# container ID ADDRESS OPTION...
container()
{
	local id=$1 address=$2
	shift 2
	bundle "$id" --seccomp "$PROFILE" --bind /usr:ro --bind /lib:ro --bind /lib64:ro \
		--bind "$T/shared" "$@" -- \
		/usr/bin/taskset -c 0 "$T/shared/load" serve "$address" "$PORT"
	up "$id" || die "cannot start a container: $(<"$T/$id.log")"
}

serve()
{
	local address
	# In sessions of their own, as containers and services are: the kernel shares the core
	# out by sessions (autogroup), and within one it switches faster.
	spawn native setsid taskset -c 0 "$LOAD" serve "$HOST4" "$PORT"
	spawn again setsid taskset -c 0 "$LOAD" serve 127.0.0.1 "$PORT"
	container plain 127.0.0.2 --host-network
	container grafted 0.0.0.0 --annotation "graft.publish=127.0.0.3:$PORT:$PORT"
	for address in "${ADDRESSES[@]}"; do
		within 20 can_connect "$address" "$PORT" || die "nobody serves $address"
	done
}

row() # KIND TITLE
{
	taskset -c 0 "$LOAD" turns "$HOST4" "$PORT" "$SECONDS_EACH" --kind "$1" \
		"${PLACES[@]}" >"$T/row.json" || die "the client failed"
	"$PYTHON" -c '
import json, sys
places = json.load(open(sys.argv[2], encoding="ascii"))["places"][1:]
print("| " + " | ".join([sys.argv[1]] + [
    "{median:.3f} ({q25:.2f}–{q75:.2f})".format(**place) for place in places]) + " |")
' "$2" "$T/row.json" >>"$T/table"
	tail -n 1 "$T/table" >&2
}

mkdir -p "$T/shared"
cp "$LOAD" "$T/shared/load"
echo "$(date +%F), Linux $(uname -r), $(nproc) CPUs, $BACKEND, cubic; quartiles in brackets.

| rate, of that on the host | on the host, again | in a container, host network | in a grafted container |
|---|---|---|---|" >"$T/table"
serve
row whole "1 MiB in writes of 128 KiB, answered"
row rr "64 bytes there and back"
row crr "connect, 1 B, close"
cat "$T/table"
[ -z "$DOCUMENT" ] ||
	"$PYTHON" "$SOURCE_DIR/bench/document.py" "$DOCUMENT" container <"$T/table"
