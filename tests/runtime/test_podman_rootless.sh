#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# podman run --runtime graft-runtime as an ordinary user with subordinate ids, who exists
# in the mount namespace of the test only.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_engine.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_rootless.sh"
BACKEND=${BACKEND-crun}
enter_host "$@"
need podman conmon newuidmap setpriv
need_containers
LIMIT=60
make_image graft-test

make_user
tar -C "$T/image" -c . >"$T/rootfs.tar"
cp "$RUNTIME" "$T/bin/graft-runtime.real"
cat >"$T/bin/graft-runtime" <<END
#!/bin/sh
export GRAFT_RUNTIME_CONFIG=$T/runtime.conf GRAFT_RUNTIME_BACKEND=$BACKEND
exec $T/bin/graft-runtime.real "\$@"
END
chmod 755 "$T/bin"/*
chmod 644 "$T/rootfs.tar"

pod()
{
	as_user timeout "$LIMIT" podman --cgroup-manager cgroupfs --events-backend file \
		--storage-driver vfs "$@"
}
[ "$(as_user podman unshare cat /proc/self/uid_map 2>/dev/null | wc -l)" = 2 ] ||
	skip "no user namespace with newuidmap here"

options=(--network none --pids-limit 0)
graft_run() # OPTION... IMAGE PROGRAM...
{
	pod --runtime "$T/bin/graft-runtime" run "${options[@]}" "$@"
}

pod import "$T/rootfs.tar" graft-test >"$T/out" 2>&1 || die "$(cat "$T/out")"
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

gone() # NAME
{
	check "$1: podman rm -f" pod rm -f -t 0 "$1"
	check "$1: nothing is left" within 10 quiet
}

graft_run --rm graft-test /inside exit 37
equal "no policy: status" 37 $?
check "graft install podman, by the user" as_user "$GRAFT" install podman
equal "podman run --runtime graft" 37 "$(pod --runtime graft run --rm "${options[@]}" graft-test \
	/inside exit 37; echo $?)"
check "graft uninstall podman" as_user "$GRAFT" uninstall podman
serve web
equal "the supervisor is the user's" $ID "$(stat -c %u "/proc/$(supervisors)")"
check "its socket is in XDG_RUNTIME_DIR" test -n "$(find "$STATE" -type s -uid $ID)"
contains "graft ps knows it" "$(pod inspect -f '{{.Id}}' web | cut -c1-8)" \
	"$(as_user "$GRAFT" ps)"
equal "podman exec: a host server by rule" "the host says hello" \
	"$(pod exec web /inside get "$HOST4" 9000)"
equal "podman exec: a denied address" "connect: EACCES" \
	"$(pod exec web /inside get "$HOST4" 9001)"
check "podman restart" pod restart -t 0 web
check "it is reached again" within 20 is_reached
check "podman stop" pod stop -t 0 web
check "stopped: nothing is left" within 10 quiet
check "podman start" pod start web
check "it is reached again" within 20 is_reached
gone web

serve supervisor
kill -KILL "$(supervisors)"
equal "supervisor killed: the socket it has works on" "hello from 80" "$(get "$HOST4" 8080)"
pod exec supervisor /inside get "$HOST4" 9000 >"$T/out" 2>&1
check "supervisor killed: nobody is executed into it unserved" test $? != 0
gone supervisor
serve conmon
kill -KILL "$(as_user cat "$(pod inspect -f '{{.ConmonPidFile}}' conmon)")"
equal "conmon killed: it is reached" "hello from 80" "$(get "$HOST4" 8080)"
gone conmon

hello="the host says hello"
run_says graft-test "--cap-drop ALL" "$hello" "${policy[@]}" --cap-drop ALL -- /inside get "$HOST4" 9000
run_says graft-test "--read-only" "$hello" "${policy[@]}" --read-only -- /inside get "$HOST4" 9000
run_says graft-test "no-new-privileges" "$hello" "${policy[@]}" --security-opt no-new-privileges -- \
	/inside get "$HOST4" 9000
run_says graft-test "--userns=auto" "$hello" "${policy[@]}" --userns=auto:size=1024 -- /inside get "$HOST4" 9000
run_says graft-test "--userns=keep-id" "$hello" "${policy[@]}" --userns=keep-id -- /inside get "$HOST4" 9000
run_says graft-test "no policy" "connect: ENETUNREACH" -- /inside get "$HOST4" 9000
run_says graft-test "a host port that is not the user's" "bind: EACCES" \
	--annotation "graft.publish=$HOST4:80:80" -- /inside bind 80
# The race that SECURITY.md tells of: there is no cgroup for an ordinary user's sockets,
# and it is Landlock that holds.
name="a descriptor and an address that change do not lead to a denied one"
if "$GRAFT" doctor | grep -q 'fences TCP in'; then
	run "$name" held --annotation "graft.rule.1=connect any $HOST4:9001 = deny" \
		--annotation 'graft.rule.2=connect any 0.0.0.0/0 = host' -- \
		/inside race "$HOST4" 9001
else
	skip_point "$name" "this kernel has no Landlock network rules"
fi
check "nothing is left" within 10 quiet
equal "no container is left" "" "$(pod ps -aq)"
finish
