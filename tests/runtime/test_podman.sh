#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# podman run --runtime graft, by `graft install podman`, as root, with all that Podman
# keeps in the test's own directories. Rootless: test_podman_rootless.sh.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_engine.sh"
BACKEND=${BACKEND-runc}
enter_host "$@"
need podman conmon
need_containers
LIMIT=60
make_image graft-test
wrap_runtime

# Its configuration is the machine's, in a copy.
export HOME=$T/homes/root TMPDIR=$T/tmp XDG_RUNTIME_DIR=$T/xdg/root
mkdir -p "$TMPDIR" "$T/containers"
cp -a /etc/containers/. "$T/containers/"
mount --bind "$T/containers" /etc/containers || die "cannot replace /etc/containers"
DROP_IN=/etc/containers/containers.conf.d/graft.conf

pod() # COMMAND...
{
	timeout "$LIMIT" podman --root "$T/podman/root" --runroot "$T/podman/runroot" \
		--tmpdir "$T/podman/tmp" --cgroup-manager cgroupfs --events-backend file \
		--storage-driver vfs "$@"
}

# This machine's cgroup v2 may have no controllers: no limit on processes.
options=(--network none --pids-limit 0 --cgroup-parent "/$MARK")
graft_run() # OPTION... IMAGE PROGRAM...
{
	pod --runtime graft run "${options[@]}" "$@"
}

tar -C "$T/image" -c . | pod import - graft-test >"$T/out" 2>&1 || die "$(cat "$T/out")"
graft_run --rm graft-test /inside exit 0 >"$T/out" 2>&1
check "before: no runtime graft" test $? != 0
check "graft install podman" "$GRAFT" install -r "$T/bin/graft-runtime" podman
check "the drop-in is there" test -s "$DROP_IN"
check "graft status" "$GRAFT" status podman
contains "podman goes on with its own runtime" 'crun|runc' \
	"$(pod info -f '{{.Host.OCIRuntime.Name}}')"
graft_run --rm graft-test /inside exit 37
equal "no policy: status" 37 $?

host_server told 9000
host_server denied 9001
policy=(
	--annotation "graft.publish=$HOST4:8080:80"
	--annotation "graft.rule.1=connect tcp $HOST4:9000 = host"
	--annotation "graft.rule.2=connect tcp $HOST4:9001 = deny:EACCES"
)
says() { pod logs "$1" 2>&1 | grep -q "$2"; }
is_reached() { [ "$(get "$HOST4" 8080)" = "hello from 80" ]; }

serve() # NAME
{
	check "$1: podman run -d" graft_run -d --name "$1" "${policy[@]}" graft-test \
		/inside serve 80
	check "$1: podman logs" within 20 says "$1" listening
	equal "$1: it is reached at the published port" "hello from 80" "$(get "$HOST4" 8080)"
}

first_pid() { pod inspect -f '{{.State.Pid}}' "$1"; }
conmon_pid() { cat "$(pod inspect -f '{{.ConmonPidFile}}' "$1")"; }

# Podman 5 misses the status of one whose conmon was killed, once.
removes() { pod rm -f -t 0 "$1" || pod rm -f -t 0 "$1"; }

gone() # NAME
{
	check "$1: podman rm -f" removes "$1"
	check "$1: nothing is left" within 10 quiet
}

serve web
note_pen
contains "graft ps knows it" "$(pod inspect -f '{{.Id}}' web | cut -c1-8)" "$("$GRAFT" ps)"
equal "podman exec: a host server by rule" "the host says hello" \
	"$(pod exec web /inside get "$HOST4" 9000)"
equal "podman exec: a denied address" "connect: EACCES" \
	"$(pod exec web /inside get "$HOST4" 9001)"
equal "podman exec: an address without a rule" "connect: ENETUNREACH" \
	"$(pod exec web /inside get 10.77.0.9 9000)"
pod exec web /inside exit 37
equal "podman exec: the status" 37 $?
check "podman restart" pod restart -t 0 web
check "it is reached again" within 20 is_reached
equal "one supervisor" 1 "$(supervisors | wc -l)"
check "podman pause" pod pause web
check "podman unpause" pod unpause web
equal "it is reached" "hello from 80" "$(get "$HOST4" 8080)"
check "podman stop" pod stop -t 0 web
check "stopped: nothing is left" within 10 quiet
check "the supervisor's cgroup is gone" pen_is_gone
check "podman start" pod start web
check "it is reached again" within 20 is_reached
output=$(pod container checkpoint web 2>&1)
check "podman container checkpoint is refused" test $? != 0
gone web

serve conmon
kill -KILL "$(conmon_pid conmon)"
equal "conmon killed: it is reached" "hello from 80" "$(get "$HOST4" 8080)"
equal "conmon killed: exec" "the host says hello" \
	"$(pod exec conmon /inside get "$HOST4" 9000)"
gone conmon

serve supervisor
kill -KILL "$(supervisors)"
equal "supervisor killed: the socket it has works on" "hello from 80" "$(get "$HOST4" 8080)"
pod exec supervisor /inside get "$HOST4" 9000 >"$T/out" 2>&1
check "supervisor killed: nobody is executed into it unserved" test $? != 0
gone supervisor

serve container
kill -KILL "$(first_pid container)"
check "container killed: nothing is left" within 10 quiet
check "container killed: podman start" pod start container
check "it is reached again" within 20 is_reached
gone container

hello="the host says hello"
run_says graft-test "--cap-drop ALL" "$hello" "${policy[@]}" --cap-drop ALL -- /inside get "$HOST4" 9000
run_says graft-test "--read-only" "$hello" "${policy[@]}" --read-only -- /inside get "$HOST4" 9000
run_says graft-test "no-new-privileges" "$hello" "${policy[@]}" --security-opt no-new-privileges -- \
	/inside get "$HOST4" 9000
run_says graft-test "seccomp=unconfined" "$hello" "${policy[@]}" --security-opt seccomp=unconfined -- \
	/inside get "$HOST4" 9000
chmod 711 "$T" "$T/podman" "$T/podman/root" "$T/podman/runroot"
run_says graft-test "--uidmap" "$hello" "${policy[@]}" --uidmap 0:100000:65536 --gidmap 0:100000:65536 -- \
	/inside get "$HOST4" 9000
run_says graft-test "no policy" "connect: ENETUNREACH" -- /inside get "$HOST4" 9000
echo "connect tcp $HOST4:9000 = host" >"$T/policies/told"
run_says graft-test "a policy's file" "$hello" --annotation graft.policy=told -- /inside get "$HOST4" 9000
output=$(graft_run --rm "${policy[@]}" --cap-add NET_ADMIN graft-test /inside exit 0 2>&1)
equal "run: CAP_NET_ADMIN is refused" 126 $?
contains "and podman says why" 'must not have CAP_NET_ADMIN' "$output"

# By its path, without a drop-in; and two containers in one network.
equal "run: by the runtime's path" "$hello" "$(pod --runtime "$T/bin/graft-runtime" run \
	"${options[@]}" --rm "${policy[@]}" graft-test /inside get "$HOST4" 9000)"
serve first
equal "--network container:NAME" "$hello" "$(pod --runtime graft run --pids-limit 0 \
	--cgroup-parent "/$MARK" --network container:first --rm "${policy[@]}" graft-test \
	/inside get "$HOST4" 9000)"
gone first

# Podman's own profile, from its own hand. It lets setns() be tried, which is judged here.
pod --runtime "$BACKEND" run --rm "${options[@]}" graft-test /inside calls >"$T/plain.calls" 2>&1
graft_run --rm "${policy[@]}" graft-test /inside calls >"$T/grafted.calls" 2>&1
contains "its profile denies something" 'keyctl E' "$(cat "$T/plain.calls")"
equal "and denies what it denied" "$(grep -v '^graft:\|^clone3\|^setns' "$T/plain.calls")" \
	"$(grep -v '^graft:\|^clone3\|^setns' "$T/grafted.calls")"
contains "setns() does not lead elsewhere" 'setns EPERM' "$(cat "$T/grafted.calls")"
check "nothing is left" within 10 quiet
equal "no container is left" "" "$(pod ps -aq)"
check "graft uninstall podman" "$GRAFT" uninstall podman
check "the drop-in is gone" test ! -e "$DROP_IN"
finish
