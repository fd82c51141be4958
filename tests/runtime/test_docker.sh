#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# docker run --runtime=graft, with a dockerd of the test's own: its data, sockets and
# networks are "the host's" of lib.sh and go with it.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
# shellcheck source=tests/lib_docker.sh
. "$LIB_DIR/lib_docker.sh"
BACKEND=${BACKEND-runc}
enter_host "$@"
need_dockerd

printf '{\n  "labels": ["of=somebody"]\n}\n' >"$T/daemon.json"
cp "$T/daemon.json" "$T/daemon.was"
run_dockerd --config-file "$T/daemon.json" --iptables=false --ip6tables=false --bridge=none \
	--storage-driver=vfs || finish
start_graftd
"$GRAFT" add ep-web type ipv4 addr "$HOST4" port 8080
"$GRAFT" add ep-told type ipv4 addr "$HOST4" port 9000

# As root would, with a dockerd that is running.
has_runtime() { "$DOCKER" info -f '{{json .Runtimes}}' 2>/dev/null | grep -q '"graft"'; }
has_no_runtime() { "$DOCKER" info >/dev/null 2>&1 && ! has_runtime; }
check "before: not registered" has_no_runtime
check "graft install docker" "$GRAFT" install -c "$T/daemon.json" -r "$RUNTIME" docker
kill -HUP "${PID_OF[dockerd]}"
check "dockerd knows it" within 30 has_runtime
check "graft status" "$GRAFT" status -c "$T/daemon.json"

mkdir -p "$T/image/tmp"
cp "$INSIDE" "$T/image/inside"
import_image graft-test "$T/image"
host_server told 9000
host_server denied 9001

graft_run() # OPTION... -- ARGUMENT...
{
	"$DOCKER" run --runtime=graft --net none "$@"
}

quiet() # no container's supervisor is there
{
	[ -z "$(supervisors)$(helpers)" ] && [ -z "$(find "$STATE" -type s 2>/dev/null)" ]
}

PAIRS=(-e "GRAFT_CONV_PAIRS=0.0.0.0:80=ep-web $HOST4:9000=ep-told")
check "docker run --runtime=graft" graft_run -d --name web "${PAIRS[@]}" graft-test \
	/inside serve 80
check "docker logs" within 30 log_says web listening
equal "it is reached at the endpoint's address" "hello from 80" "$(get "$HOST4" 8080)"
contains "graft ps knows its name" '^[0-9]+ +web ' "$("$GRAFT" ps)"
equal "docker exec: a host server by name" "the host says hello" \
	"$("$DOCKER" exec web /inside get "$HOST4" 9000)"
equal "docker exec: an address without a rule" "connect: ENETUNREACH" \
	"$("$DOCKER" exec web /inside get "$HOST4" 9001)"
check "docker restart" "$DOCKER" restart -t 1 web
check "docker logs" within 30 log_says web listening
check "it is reached again" within 30 get "$HOST4" 8080
check "one supervisor" within 30 are_supervisors 1
check "docker pause" "$DOCKER" pause web
check "docker unpause" "$DOCKER" unpause web
check "docker stop" "$DOCKER" stop -t 1 web
check "nothing is left" within 30 quiet
check "docker start" "$DOCKER" start web
check "it is reached again" within 30 get "$HOST4" 8080
kill -KILL "$("$DOCKER" inspect -f '{{.State.Pid}}' web)"
check "container killed: nothing is left" within 30 quiet
check "docker start" "$DOCKER" start web
check "it is reached again" within 30 get "$HOST4" 8080
kill -KILL "$(supervisors)"
equal "supervisor killed: the socket it has works on" "hello from 80" "$(get "$HOST4" 8080)"
check "docker rm -f" "$DOCKER" rm -f web
check "nothing is left" within 30 quiet

equal "run: status" 37 "$(graft_run --rm "${PAIRS[@]}" graft-test /inside exit 37; echo $?)"
equal "run: output" "the host says hello" \
	"$(graft_run --rm "${PAIRS[@]}" graft-test /inside get "$HOST4" 9000)"
equal "run: no capability, read-only, no new privileges" "the host says hello" \
	"$(graft_run --rm "${PAIRS[@]}" --cap-drop ALL --read-only \
		--security-opt no-new-privileges graft-test /inside get "$HOST4" 9000)"
equal "run: seccomp=unconfined" "the host says hello" \
	"$(graft_run --rm "${PAIRS[@]}" --security-opt seccomp=unconfined graft-test \
		/inside get "$HOST4" 9000)"
output=$(graft_run --rm "${PAIRS[@]}" --cap-add NET_ADMIN graft-test /inside exit 0 2>&1)
equal "run: CAP_NET_ADMIN is refused" 125 $?
contains "and docker says why" 'must not have CAP_NET_ADMIN' "$output"
equal "run: no policy" "connect: ENETUNREACH" \
	"$(graft_run --rm graft-test /inside get "$HOST4" 9000)"

# The race that SECURITY.md tells of: Docker's containers have hooks, and so no Landlock.
# Its policy is a file of its id.
id=$("$DOCKER" create --runtime=graft --net none graft-test /inside race "$HOST4" 9001)
printf 'connect any %s:9001 = deny\nconnect any 0.0.0.0/0 = host\n' "$HOST4" >"$T/policies/$id"
equal "a descriptor and an address that change" held "$("$DOCKER" start -a "$id")"
check "docker rm" "$DOCKER" rm "$id"

# Docker's own default profile, from its own hand.
calls()
{
	"$DOCKER" run --rm --net none "$@" /inside calls
}
calls graft-test >"$T/plain.calls"
calls --runtime=graft "${PAIRS[@]}" graft-test >"$T/grafted.calls"
contains "the profile denies something" 'keyctl EPERM' "$(cat "$T/plain.calls")"
equal "its default profile denies what it denied" "$(grep -v '^graft:\|^clone3' "$T/plain.calls")" \
	"$(grep -v '^graft:\|^clone3' "$T/grafted.calls")"
check "nothing is left" within 30 quiet
check "graft uninstall docker" "$GRAFT" uninstall -c "$T/daemon.json" docker
check "daemon.json is what it was" cmp "$T/daemon.json" "$T/daemon.was"
check "no container is left" test -z "$("$DOCKER" ps -aq)"
finish
