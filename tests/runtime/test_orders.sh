#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kill -9 of a container's first process, its supervisor, its shim, graftd and dockerd (with its
# containerd), in orders of these five. dockerd and graftd are everybody's, so containers live side
# by side, each with an order of its own: one round where graftd is killed before dockerd, one where
# it is the other way round. After each kill what runs and what is reached has to be what
# docs/containers.md says; in the end, with both started again, `docker rm -f` leaves nothing.
#
# Half of the containers serve at an endpoint of graftd's, half at a published port.
#
# Environment: ORDERS, how many of each round's 60, or all; SEED chooses them.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
# shellcheck source=tests/lib_docker.sh
. "$LIB_DIR/lib_docker.sh"
ORDERS=${ORDERS-6}
SEED=${SEED-1}
AT_ONCE=3
BACKEND=${BACKEND-runc}
enter_host "$@"
need_docker
declare -A NAME=([c]="the first process" [s]="the supervisor" [h]="the shim" [g]=graftd [d]=dockerd)
declare -A PROCESS=() # NUMBER.PARTY: pid and when it began
declare -A GONE=()    # NUMBER.PARTY, NUMBER.ended: the container has ended

start_both()
{
	rm -f "$T/dockerd.pid"
	start_graftd
	start_dockerd --ip6tables=false
}
start_both || skip "no dockerd with a bridge and iptables here"
make_image
printf 'connect any %s:1 = host\n' "$HERE" >"$T/policies/web"

# --- who is who ---------------------------------------------------------------------------

has_endpoint() { [ $(($1 % 2)) = 0 ]; }
port_of() { echo $((8000 + $1)); }

# A number is given again, a number and the time of birth are not.
born() # PID
{
	sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
}
remember() # NUMBER PARTY PID
{
	PROCESS[$1.$2]="$3 $(born "$3")"
}
lives() # NUMBER PARTY
{
	local pid birth
	read -r pid birth <<<"${PROCESS[$1.$2]}"
	[ -n "$birth" ] && [ "$(born "$pid")" = "$birth" ] && ! is_gone "$pid"
}

run_one() # NUMBER
{
	local port how
	port=$(port_of "$1")
	how=(--label graft.policy=web -p "$port:80")
	if has_endpoint "$1"; then
		"$GRAFT" add "ep-$1" type ipv4 addr "$HERE" port "$port" || return 1
		how=(--label "graft.rule=bind tcp 0.0.0.0:80 = ep-$1")
	fi
	graft_run -d --name "n$1" "${how[@]}" graft-test /inside serve 80 >/dev/null
}

is_reached() { [ "$(timeout 5 busybox nc "$HERE" "$(port_of "$1")" </dev/null 2>/dev/null)" = "hello from 80" ]; }

# know NUMBER...: who their processes are.
know()
{
	local number first
	"$DOCKER" inspect -f '{{.Name}} {{.State.Pid}}' "${@/#/n}" >"$T/firsts"
	"$GRAFT" ps >"$T/ps"
	for number; do
		first=$(sed -n "s,^/n$number ,,p" "$T/firsts")
		remember "$number" c "$first"
		remember "$number" h "$(awk '$1 == "PPid:" { print $2 }' "/proc/$first/status")"
		remember "$number" s "$(awk -v "name=n$number" '$2 == name { print $1 }' "$T/ps")"
		lives "$number" c && lives "$number" h && lives "$number" s ||
			not_ok "n$number: its processes"
	done
}

# --- what is to be ------------------------------------------------------------------------

# Whoever loses its shim is ended by containerd, and by the next one if there is none.
kill_one() # NUMBER PARTY
{
	local pid
	read -r pid _ <<<"${PROCESS[$1.$2]}"
	! lives "$1" "$2" || kill -KILL "$pid"
	GONE[$1.$2]=1
	[ "$2" != c ] || GONE[$1.ended]=1
	[ "$2" != h ] || [ -z "$DOCKERD" ] || GONE[$1.ended]=1
}

kill_shared() # PARTY
{
	local name=${NAME[$1]}
	kill -KILL "${PID_OF[$name]}"
	{ wait "${PID_OF[$name]}"; } 2>/dev/null
	unset "PID_OF[$name]"
	[ "$1" != d ] || DOCKERD=
}

# as_said NUMBER: a server goes on without its supervisor, and is found by the port that Docker
# publishes as long as that lives.
as_said()
{
	local is_up=1 is_served=1 is_found=1
	[ -z "${GONE[$1.ended]-}" ] || is_up=
	[ -n "$is_up" ] && [ -z "${GONE[$1.s]-}" ] || is_served=
	[ -n "$is_up" ] || is_found=
	[ -n "$is_served" ] || has_endpoint "$1" || is_found=
	same "$is_up" lives "$1" c && same "$is_served" lives "$1" s && same "$is_found" is_reached "$1"
}

same() # WANTED COMMAND...: succeeds if that is wanted, and fails if not
{
	if [ -n "$1" ]; then "${@:2}"; else ! "${@:2}"; fi
}

all_as_said() # WHEN
{
	local number wrong=
	for number in "${!ORDER[@]}"; do
		within 20 as_said "$number" || wrong+=" $number:${ORDER[number]}"
	done
	equal "$1: all is as it is said" "" "$wrong"
}

# --- a round ------------------------------------------------------------------------------

# Those of its own that each kills before, between and after the two that are everybody's.
part_of() # ORDER FIRST SECOND 0|1|2
{
	local before=${1%%"$2"*} after=${1#*"$3"} between=${1#*"$2"}
	case $4 in
	0) echo "$before" ;;
	1) echo "${between%%"$3"*}" ;;
	2) echo "$after" ;;
	esac
}

kill_part() # FIRST SECOND 0|1|2
{
	local at number part some
	for at in 0 1 2; do
		some=
		for number in "${!ORDER[@]}"; do
			part=$(part_of "${ORDER[number]}" "$1" "$2" "$3")
			[ -n "${part:at:1}" ] || continue
			kill_one "$number" "${part:at:1}"
			some=1
		done
		[ -z "$some" ] || all_as_said "$1$2, part $3, kill $at"
	done
}

start_all()
{
	local number pids=()
	for number in "${!ORDER[@]}"; do
		run_one "$number" &
		pids+=($!)
		[ ${#pids[@]} -lt "$AT_ONCE" ] || {
			wait "${pids[0]}" || return 1
			pids=("${pids[@]:1}")
		}
	done
	wait "${pids[@]}"
}

pens() # of all supervisors: path and inode
{
	local pid
	for pid in $(supervisors); do
		stat -c '%n %i' "$(sed -n 's,^0::,/sys/fs/cgroup,p' "/proc/$pid/cgroup")"
	done
}

left() # what is there still
{
	ps -eo pid=,comm=,args= |
		awk '$2 ~ /^(graft-container|graft-netns|docker-proxy|containerd-shim|inside)$/'
	find "$STATE" -type s
	nft list tables | grep ' graft-'
	find "/sys/fs/cgroup/$MARK" -mindepth 1 -type d
	while read -r pen inode; do
		[ "$(stat -c %i "$pen" 2>/dev/null)" != "$inode" ] || echo "$pen"
	done <"$T/pens"
	find "$T/exec" "$T/data" -name '.config.json*'
	find "$T"/exec/containerd/daemon/io.containerd.runtime.v2.task/moby "$T/data/containers" \
		-mindepth 1 -maxdepth 1
	find /sys/fs/bpf/graft
	diff "$T/mounts" <(cut -d ' ' -f 2 /proc/self/mounts)
	ss -Hltn "sport >= :8000 and sport <= :8999"
	"$DOCKER" ps -aq
} 2>/dev/null

is_clean() { [ -z "$(left)" ]; }

# What left() looks for is where it looks, as long as all of it is there.
is_all_there()
{
	local kind
	left >"$T/left"
	for kind in graft-container graft-netns docker-proxy '[0-9] containerd-shim' '/inside serve' "$STATE/" \
		'inet graft-' "/sys/fs/cgroup/$MARK/" /graft-run- v2.task/moby/ \
		"$T/data/containers/" '^> ' LISTEN; do
		grep -q -- "$kind" "$T/left" || { echo "no $kind in:" && cat "$T/left"; return 1; }
	done
}

round() # SHARED ORDER...
{
	local first=${1:0:1} second=${1:1:1} names number
	shift
	ORDER=("$@")
	GONE=() PROCESS=() DOCKERD=up
	comment "orders: $*"
	names=("${!ORDER[@]}")
	check "containers are started" start_all
	for number in "${names[@]}"; do
		within 20 is_reached "$number" || not_ok "n$number: it serves"
	done
	know "${names[@]}"
	pens >"$T/pens"
	equal "a cgroup for each supervisor" "${#ORDER[@]}" "$(grep -c graft-run- "$T/pens")"
	check "there is something that could be left, of each kind" is_all_there
	kill_part "$first" "$second" 0
	kill_shared "$first"
	all_as_said "${NAME[$first]} is killed"
	kill_part "$first" "$second" 1
	kill_shared "$second"
	all_as_said "${NAME[$second]} is killed, too"
	kill_part "$first" "$second" 2
	start_both && ok "both are started again"
	check "docker rm -f" "$DOCKER" rm -f "${names[@]/#/n}"
	for number in "${names[@]}"; do
		! has_endpoint "$number" || "$GRAFT" del "ep-$number" || FAILED=$((FAILED + 1))
	done
	check "nothing is left" within 20 is_clean || comment "$(left)"
}

cut -d ' ' -f 2 /proc/self/mounts >"$T/mounts"
comment "seed $SEED"
while read -ra words; do
	round "${words[@]}"
done < <("$PYTHON" "$SOURCE_DIR/tests/runtime/orders.py" "$ORDERS" "$SEED")
finish
