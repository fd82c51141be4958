#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# docker run --runtime=graft with a dockerd that an ordinary user runs in RootlessKit, by
# Docker's own script, and graft lend outside:
#
#	"the host"		lib.sh's; the user's graft lend, graftd, graft ps
#	+-- RootlessKit		a user, network and mount namespace; slirp4netns; dockerd,
#	    |			graft-runtime, supervisors
#	    +-- containers
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_docker.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_rootless.sh"
BACKEND=${BACKEND-runc}
enter_host "$@"
need busybox
mkdir -p "$T/image/tmp"
INSIDE=${INSIDE-$SOURCE_DIR/build/tests/runtime/inside}
cp "$INSIDE" "$T/image/inside"
cp "$(command -v busybox)" "$T/image/busybox"
chmod 755 "$T/image"/*
prepare_rootless_docker
FILE=$T/user/home/.config/docker/daemon.json
GRAFTD_SOCKET=$T/user/run/graft/graftd.sock

engine() { pgrep -x -u $ID dockerd; }
lender() { pgrep -x -u $ID -f "$GRAFT lend.*"; }
quiet() { [ -z "$(supervisors)$(helpers)" ] && [ -z "$(find "$STATE" -type s 2>/dev/null)" ]; }
not() { ! "$@"; }
answers_with() { "${@:2}" | grep -q "$1"; }
is_reached() { [ "$(get "$HOST4" "$1")" = "hello from 80" ]; }
rule=(--label "graft.rule.1=connect tcp $HOST4:9000 = host"
	--label "graft.rule.2=connect tcp $HOST4:9001 = deny:EACCES")
policy=(--label "graft.publish=$HOST4:8080:80" "${rule[@]}")

host_server told 9000
host_server denied 9001

# --- graft install, by the user ---
equal "the user's own daemon.json has it" "$T/bin/graft-runtime" \
	"$("$PYTHON" -c 'import json, sys
print(json.load(open(sys.argv[1]))["runtimes"]["graft"]["path"])' "$FILE")"
equal "it is the user's" $ID "$(stat -c %u "$FILE")"
contains "graft status" "^docker +$FILE +graft is $T/bin/graft-runtime" \
	"$(as_user "$GRAFT" status docker)"

# --- graft lend, by itself ---
HOST_SOCKET=$T/user/run/graft/host.sock
status_of() { "$@" >"$T/out" 2>&1; echo $?; }
equal "graft lend COMMAND: its status" 37 "$(status_of as_user "$GRAFT" lend sh -c 'exit 37')"
check "it lends no more" within 10 test ! -e "$HOST_SOCKET"
equal "graft lend: a command that is not there" 127 "$(status_of as_user "$GRAFT" lend /none)"
check "it lends no more" within 10 test ! -e "$HOST_SOCKET"
equal "graft lend: by root" 125 "$(status_of "$GRAFT" lend)"
equal "graft lend: without XDG_RUNTIME_DIR" 125 \
	"$(status_of as_user env -u XDG_RUNTIME_DIR "$GRAFT" lend)"

# --- nobody lends ---
start_rootless_docker || finish
import_image graft-test "$T/image"
equal "no policy: status" 37 "$(graft_run --rm graft-test /inside exit 37; echo $?)"
output=$(graft_run --rm "${policy[@]}" graft-test /inside exit 0 2>&1)
equal "nobody lends: refused" 125 $?
contains "and docker says why" 'start the engine by `graft lend' "$output"
check "nothing is left" within 10 quiet
stop dockerd

# --- graft lend ---
start_rootless_docker "$GRAFT" lend || finish
check "the lender is the user's" test "$(stat -c %u "/proc/$(lender)")" = $ID
serve() # NAME [OPTION...]
{
	check "$1: docker run -d" graft_run -d --name "$1" "${@:2}" graft-test /inside serve 80
	check "$1: docker logs" within 30 log_says "$1" listening
}

serve web "${policy[@]}"
check "it is reached on the host" is_reached 8080
equal "it is the host's socket" 1 "$(ss -Hltn 'sport = 8080' | wc -l)"
equal "the supervisor is the user's" $ID "$(stat -c %u "/proc/$(supervisors)")"
check "its socket is in XDG_RUNTIME_DIR" test -n "$(find "$STATE" -type s -uid $ID)"
contains "graft ps of the user, outside, knows its name" '^[0-9]+ +web ' "$(as_user "$GRAFT" ps)"
contains "graft ps --sockets" "$HOST4:8080" "$(as_user "$GRAFT" ps --sockets)"
equal "docker exec: a host server by rule" "the host says hello" \
	"$("$DOCKER" exec web /inside get "$HOST4" 9000)"
equal "docker exec: a denied address" "connect: EACCES" \
	"$("$DOCKER" exec web /inside get "$HOST4" 9001)"
check "docker restart" "$DOCKER" restart -t 1 web
check "it is reached again" within 30 is_reached 8080
check "docker stop" "$DOCKER" stop -t 1 web
check "nothing is left" within 30 quiet
check "docker start" "$DOCKER" start web
check "it is reached again" within 30 is_reached 8080
kill -KILL "$("$DOCKER" inspect -f '{{.State.Pid}}' web)"
check "container killed: nothing is left" within 30 quiet
check "docker start" "$DOCKER" start web
check "it is reached again" within 30 is_reached 8080
kill -KILL "$(supervisors)"
check "supervisor killed: the socket it has works on" is_reached 8080
"$DOCKER" exec web /inside get "$HOST4" 9000 >"$T/out" 2>&1
check "supervisor killed: nobody is executed into it unserved" test $? != 0
check "docker rm -f" "$DOCKER" rm -f web
check "nothing is left" within 30 quiet
equal "the port is free again" "" "$(ss -Hltn 'sport = 8080')"

hello="the host says hello"
run_says graft-test "default capabilities" "$hello" "${policy[@]}" -- /inside get "$HOST4" 9000
run_says graft-test "--cap-drop ALL" "$hello" "${policy[@]}" --cap-drop ALL -- /inside get "$HOST4" 9000
run_says graft-test "--cap-add NET_ADMIN, which is one over RootlessKit's" "$hello" "${policy[@]}" \
	--cap-add NET_ADMIN -- /inside get "$HOST4" 9000
run_says graft-test "--read-only" "$hello" "${policy[@]}" --read-only -- /inside get "$HOST4" 9000
run_says graft-test "no-new-privileges" "$hello" "${policy[@]}" --security-opt no-new-privileges -- \
	/inside get "$HOST4" 9000
run_says graft-test "--net none" "$hello" "${policy[@]}" --net none -- /inside get "$HOST4" 9000
run_says graft-test "a host port that is not the user's" "bind: EACCES" \
	--label "graft.publish=$HOST4:80:80" -- /inside bind 80
run_says graft-test "no policy" "connect: ENETUNREACH" --net none -- /inside get "$HOST4" 9000

# --- -p: RootlessKit has the port until the server binds ---
plain() # NAME OPTION...: a server without a policy
{
	check "$1: docker run -d, not grafted" "$DOCKER" run -d --name "$1" "${@:2}" graft-test \
		/inside serve 80
}
is_kits() # PORT: does RootlessKit listen there?
{
	ss -Hltnp "sport = $1" | grep -q '"rootlesskit"'
}
udp_answers() { "$INSIDE" ask-udp "$HOST4" "$1" 2>&1 | grep -q "$2"; }
plain plain -p "$HOST4:8081:80"
plain other -p "$HOST4:8084:80"
check "it is reached through RootlessKit" within 30 is_reached 8081
check "docker rm -f" "$DOCKER" rm -f plain
serve shop -p "$HOST4:8081:80" "${rule[@]}"
check "-p: it is reached" within 30 is_reached 8081
check "-p: RootlessKit has let it go" not is_kits 8081
check "-p: and nobody else's" is_kits 8084
check "another container's is reached" within 30 is_reached 8084
contains "-p: the socket is the container's" "$HOST4:8081" "$(as_user "$GRAFT" ps --sockets)"
equal "-p: another container finds nobody at the container's address" "connect: ECONNREFUSED" \
	"$("$DOCKER" run --rm graft-test /inside get "$(address_of shop)" 80)"
graft_run -d --name second -p "$HOST4:8081:80" "${rule[@]}" graft-test /inside serve 80 \
	>"$T/out" 2>&1
check "-p: Docker keeps it for this container" grep -q 'port is already allocated' "$T/out"
check "docker restart" "$DOCKER" restart -t 1 shop
check "-p: it is reached again" within 30 is_reached 8081
check "docker rm -f" "$DOCKER" rm -f shop second
check "nothing is left" within 30 quiet
plain plain -p "$HOST4:8081:80"
check "the port is Docker's as before: it is reached" within 30 is_reached 8081
check "through RootlessKit" is_kits 8081
check "docker rm -f" "$DOCKER" rm -f plain other
serve any -p 8081:80 "${rule[@]}"
check "-p of any address: it is reached" is_reached 8081
equal "by IPv6, which it has not: refused" "connect: ECONNREFUSED" \
	"$("$INSIDE" get "$HOST6" 8081)"
check "docker rm -f" "$DOCKER" rm -f any
graft_run -d --name any6 -p "$HOST4:8081:80" "${rule[@]}" graft-test \
	/inside tell any6 80 v6 >/dev/null
check "a server for both families" within 30 answers_with "any6: .*$HOST4 at" get "$HOST4" 8081
check "docker rm -f" "$DOCKER" rm -f any6
graft_run -d --name datagrams -p "$HOST4:8081:80/udp" "${rule[@]}" graft-test \
	/inside echo-udp datagrams 80 v4 >/dev/null
check "-p /udp: it is reached" within 30 udp_answers 8081 datagrams
equal "-p /udp: RootlessKit has let it go" 0 "$(ss -Hlunp 'sport = 8081' | grep -c rootlesskit)"
check "docker rm -f" "$DOCKER" rm -f datagrams
serve several -p "$HOST4:8081:80" -p "$HOST4:8082:80" "${rule[@]}"
check "several ports for one stay RootlessKit's: one" within 30 is_reached 8081
check "and the other" is_reached 8082
check "docker rm -f" "$DOCKER" rm -f several
serve random -p "$HOST4::80" "${rule[@]}"
port=$("$DOCKER" port random 80/tcp | sed -n "s/^$HOST4://p")
check "a random port stays RootlessKit's: it is reached" within 30 is_reached "$port"
check "docker rm -f" "$DOCKER" rm -f random
check "nothing is left" within 30 quiet

# --- the user's own graftd, outside ---
spawn graftd "${AS_USER[@]}" "$T/bin/graftd" --foreground
await graftd test -S "$GRAFTD_SOCKET" || finish
add() { as_user "$GRAFT" add --socket "$GRAFTD_SOCKET" "$@" binder uid=$ID connector uid=$ID; }
add ep-web type ipv4 addr "$HOST4" port 8082
add ep-told type ipv4 addr "$HOST4" port 9000
serve named -e "GRAFT_CONV_PAIRS=0.0.0.0:80=ep-web $HOST4:9000=ep-told"
check "by name: it is reached at the endpoint's address" is_reached 8082
equal "by name: a host server" "$hello" "$("$DOCKER" exec named /inside get "$HOST4" 9000)"
check "docker rm -f" "$DOCKER" rm -f named
stop graftd

# --- kills ---
serve lent "${policy[@]}"
kill -KILL "$(lender)"
check "lender killed: the socket it has works on" is_reached 8080
equal "lender killed: no more are had" "connect: ENETDOWN" \
	"$("$DOCKER" exec lent /inside get "$HOST4" 9000)"
spawn lender "${AS_USER[@]}" "$GRAFT" lend
check "another one: they are" within 30 answers "$hello" "$DOCKER" exec lent \
	/inside get "$HOST4" 9000
as_user "$GRAFT" lend 2>"$T/out"
equal "a third one: there is one" 125 $?
# A container that is shown the socket is no supervisor.
equal "outside one is lent to" lent \
	"$(as_user "$T/image/inside" borrow "$HOST_SOCKET")"
equal "in a container nobody is, who sees the socket" "turned away" "$("$DOCKER" run --rm \
	-v "$T/user/run/graft:/graft" graft-test /inside borrow /graft/host.sock)"
kill -KILL "$(engine)"
check "dockerd killed: it is reached" is_reached 8080
kill -KILL "$(pgrep -x -u $ID inside)"
check "container killed: nothing is left" within 30 quiet
stop dockerd
stop lender
check "the lender took its socket along" test ! -e "$HOST_SOCKET"
start_rootless_docker "$GRAFT" lend || finish
check "docker rm -f" "$DOCKER" rm -f lent
check "docker run after that" graft_run --rm "${policy[@]}" graft-test /inside exit 0
equal "no container is left" "" "$("$DOCKER" ps -aq)"
check "nothing is left" within 30 quiet
stop dockerd
check "nor a lender" within 10 test ! -e "$HOST_SOCKET"
check "graft uninstall docker" as_user "$GRAFT" uninstall docker
as_user "$GRAFT" status docker >"$T/out"
equal "graft status: not registered" 1 $?
finish
