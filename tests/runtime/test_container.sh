#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A container in a network namespace of its own whose sockets are the host's where its
# policy says so, and nowhere else.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
BACKEND=${BACKEND-runc}
enter_host "$@"
need_containers

policy=(
	--annotation "graft.rule.0=endpoint web ipv4 $HOST4:8080"
	--annotation 'graft.rule.1=bind tcp 0.0.0.0:80 = web'
	--annotation "graft.rule.2=connect tcp $HOST4:9001 = deny:EACCES"
	--annotation "graft.rule.10=connect tcp $HOST4/32 = host"
)
host_server told 9000
host_server denied 9001
host_server inner 9002 127.0.0.1

bundle web "${policy[@]}" --seccomp "$PROFILE" --cap CAP_NET_RAW -- /inside serve 80
check "it is created and started" up web
check "the server listens" within 30 log_has web listening
equal "it is reached at the host's address" "hello from 80" "$(get "$HOST4" 8080)"
check "and not at the port it asked for" bash -c "! exec 3<>/dev/tcp/$HOST4/80"
check "config.json is what it was" is_unchanged web
equal "to the inode" "$(stat -c '%i %Y %a' "$T/web/was.json" | cut -d' ' -f2-)" \
	"$(stat -c '%i %Y %a' "$T/web/config.json" | cut -d' ' -f2-)"
check "one supervisor" within 30 are_supervisors 1
contains "graft ps knows it" 'web' "$("$GRAFT" ps)"
contains "and its socket" "$HOST4:8080" "$("$GRAFT" ps --sockets)"

equal "exec: reaches a host server by rule" "the host says hello" \
	"$(runtime exec web /inside get "$HOST4" 9000)"
equal "exec: a denied address" "connect: EACCES" \
	"$(runtime exec web /inside get "$HOST4" 9001)"
equal "exec: an address without a rule" "connect: ENETUNREACH" \
	"$(runtime exec web /inside get 10.77.0.9 9000)"
equal "exec: the host's loopback" "connect: ECONNREFUSED" \
	"$(runtime exec web /inside get 127.0.0.1 9002)"
equal "exec: its server, by its own way" "hello from 80" \
	"$(runtime exec web /inside get "$HOST4" 8080)"
equal "exec: the port is taken" "bind: EADDRINUSE" \
	"$(runtime exec web /inside bind 80)"
equal "exec: another port is the container's own" "bound" \
	"$(runtime exec web /inside bind 9000)"
equal "exec: UNIX sockets are inside" "connected" \
	"$(runtime exec web /inside sockets /tmp/a-socket-with-a-long-name)"
runtime exec web /inside exit 37
equal "exec: the status is passed on" 37 $?
equal "exec: input and output" "over" "$(echo over | runtime exec web /inside echo)"
many()
{
	local i pids=()
	for i in {1..20}; do
		runtime exec web /inside get "$HOST4" 9000 >>"$T/many" &
		pids+=($!)
	done
	wait "${pids[@]}"
	[ "$(grep -c 'the host says' "$T/many")" = 20 ]
}
check "exec: twenty at once" many
check "still one supervisor" within 30 are_supervisors 1

contains "state passes through" '"status": "running"' "$(runtime state web)"
contains "ps passes through" 'PID' "$(runtime ps web)"
check "pause" runtime pause web
check "resume" runtime resume web
equal "and it serves" "hello from 80" "$(get "$HOST4" 8080)"
output=$(runtime checkpoint --image-path "$T/image" web 2>&1)
equal "checkpoint is refused" 1 $?
contains "and says why" 'has a policy and cannot be checkpointed' "$output"
check "kill passes through" runtime kill web KILL
check "the supervisor ends with the container" within 30 nothing_left
check "delete" runtime delete web
check "nothing is left" within 30 nothing_left web
check "the port is free again" bash -c "! exec 3<>/dev/tcp/$HOST4/8080"

# In the foreground, and statuses.
bundle run "${policy[@]}" -- /inside get "$HOST4" 9000
equal "run: no profile at all, a host server by rule" "the host says hello" \
	"$(runtime run --bundle "$T/run" run)"
check "run: config.json is what it was" is_unchanged run
check "run: nothing is left" within 30 nothing_left run
bundle status "${policy[@]}" -- /inside exit 42
runtime run --bundle "$T/status" status
equal "run: the status is passed on" 42 $?
bundle abort "${policy[@]}" -- /inside abort
"$BACKEND" --root "$T/root" run --bundle "$T/abort" abort
status=$?
runtime run --bundle "$T/abort" abort
equal "run: so is a signal" "$status" $?
bundle missing "${policy[@]}" -- /no-such-program
output=$(runtime run --bundle "$T/missing" missing 2>&1)
contains "run: what cannot start fails" '[1-9]' $?
contains "and its runtime says why" 'no such file' "${output,,}"
check "nothing is left" within 30 nothing_left missing
check "config.json is what it was" is_unchanged missing
finish
