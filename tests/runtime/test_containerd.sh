#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ctr run --runc-binary graft-runtime, with a containerd of the test's own: what it is
# asked, what is killed, and what is left. Its CRI plugin: test_cri.sh.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_engine.sh"
BACKEND=${BACKEND-runc}
enter_host "$@"
need containerd ctr
need_containers
LIMIT=60
IMAGE=graft.test/image:1
make_image "$IMAGE"
configure_containerd
start_containerd || finish
check "ctr images import" ctr images import --snapshotter native "$T/image.tar"
host_server told 9000
host_server denied 9001

policy=(
	--annotation "graft.publish=$HOST4:8080:80"
	--annotation "graft.rule.1=connect tcp $HOST4:9000 = host"
)

# This machine's cgroup v2 may have no controllers: no shares.
graft_run() # OPTION... ID PROGRAM...
{
	local options=()
	while [[ $1 == -* ]]; do
		options+=("$1")
		[[ $1 != --annotation && $1 != --?(log-uri|cap-add) ]] || {
			options+=("$2")
			shift
		}
		shift
	done
	timeout "$LIMIT" ctr run --runc-binary "$RUNTIME" --cgroup "/$MARK-$1" --cpu-shares 0 \
		"${options[@]}" "$IMAGE" "$@"
}

# serve ID: a server with the policy, in the background, reached at the host's port 8080.
serve()
{
	rm -f "$T/$1.log"
	check "$1: ctr run" graft_run -d --log-uri "file://$T/$1.log" "${policy[@]}" "$1" \
		/inside serve 80
	check "$1: it listens" within 20 log_has "$1" listening
	equal "$1: it is reached at the published port" "hello from 80" "$(get "$HOST4" 8080)"
}

task_exec() # ID PROGRAM...
{
	local id=$1
	shift
	timeout "$LIMIT" ctr task exec --exec-id "e$RANDOM$RANDOM" "$id" "$@"
}

task_pid()
{
	ctr task ls | awk -v id="$1" '$1 == id { print $2 }'
}

is_stopped()
{
	! ctr task ls | grep -q "^$1 .*RUNNING"
}

has_no_shim() { [ -z "$(shims "$1")" ]; }

has_no_bundle()
{
	[ -z "$(find "$T/containerd/state" -path "*/default/$1/*" 2>/dev/null)" ]
}

# gone ID: the container is deleted, and nothing of it is left.
gone()
{
	ctr task delete -f "$1" >/dev/null 2>&1
	check "$1: ctr container delete" ctr container delete "$1"
	check "$1: no supervisor is left" within 10 quiet
	check "$1: no shim is left" within 10 has_no_shim "$1"
	# After a shim that was killed containerd tidies up by and by.
	check "$1: no bundle is left" within 10 has_no_bundle "$1"
	check "$1: no cgroup is left" within 10 test ! -e "/sys/fs/cgroup/$MARK-$1"
}

serve web
note_pen
contains "graft ps knows it" web "$("$GRAFT" ps)"
equal "one supervisor" 1 "$(supervisors | wc -l)"
equal "exec: a host server by rule" "the host says hello" \
	"$(task_exec web /inside get "$HOST4" 9000)"
equal "exec: an address without a rule" "connect: ENETUNREACH" \
	"$(task_exec web /inside get "$HOST4" 9001 2>/dev/null)"
task_exec web /inside exit 37
equal "exec: the status is passed on" 37 $?
check "ctr task pause" ctr task pause web
check "ctr task resume" ctr task resume web
equal "it is reached" "hello from 80" "$(get "$HOST4" 8080)"

# containerd comes and goes; its containers stay.
supervisor=$(supervisors)
kill_containerd
equal "containerd killed: the container is reached" "hello from 80" "$(get "$HOST4" 8080)"
start_containerd || finish
contains "containerd again: it knows the container" 'web .*RUNNING' "$(ctr task ls)"
equal "containerd again: exec" "the host says hello" \
	"$(task_exec web /inside get "$HOST4" 9000)"
equal "the supervisor is the same" "$supervisor" "$(supervisors)"
check "ctr task kill" ctr task kill -s KILL web
check "it stops" within 10 is_stopped web
check "nothing is left before it is deleted" within 10 quiet
gone web
check "the supervisor's cgroup is gone" pen_is_gone

serve supervisor
kill -KILL "$(supervisors)"
equal "supervisor killed: the socket it has works on" "hello from 80" "$(get "$HOST4" 8080)"
task_exec supervisor /inside get "$HOST4" 9000 >"$T/out" 2>&1
check "supervisor killed: nobody is executed into it unserved" test $? != 0
check "supervisor killed: ctr task kill" ctr task kill -s KILL supervisor
within 10 is_stopped supervisor
gone supervisor

# containerd has the runtime end a container whose shim is gone.
serve shim
kill -KILL "$(shims shim)"
check "shim killed: containerd ends the container" within 20 is_stopped shim
check "shim killed: nothing is left" within 10 quiet
gone shim

serve container
kill -KILL "$(task_pid container)"
check "container killed: nothing is left" within 10 quiet
gone container

graft_run --rm "${policy[@]}" one /inside exit 37
equal "run: status" 37 $?
run_says one "output" "the host says hello" "${policy[@]}" -- /inside get "$HOST4" 9000
run_says one "read-only, containerd's seccomp profile" "the host says hello" "${policy[@]}" \
	--read-only --seccomp -- /inside get "$HOST4" 9000
run_says one "no policy" "connect: ENETUNREACH" -- /inside get "$HOST4" 9000
output=$(graft_run --rm "${policy[@]}" --cap-add CAP_NET_ADMIN one /inside exit 0 2>&1)
equal "run: CAP_NET_ADMIN is refused" 1 $?
contains "and ctr says why" 'must not have CAP_NET_ADMIN' "$output"
ctr container delete one >/dev/null 2>&1

# containerd's own profile, from its own hand.
ctr run --rm --cgroup "/$MARK-one" --cpu-shares 0 --seccomp "$IMAGE" one \
	/inside calls >"$T/plain.calls" 2>&1
graft_run --rm --seccomp "${policy[@]}" one /inside calls >"$T/grafted.calls" 2>&1
contains "its profile denies something" 'keyctl EPERM' "$(cat "$T/plain.calls")"
equal "and denies what it denied" "$(grep -v '^graft:\|^clone3' "$T/plain.calls")" \
	"$(grep -v '^graft:\|^clone3' "$T/grafted.calls")"
check "nothing is left" within 10 quiet
equal "no container is left" "" "$(ctr container ls -q)"
equal "no shim is left" "" "$(shims "")"
finish
