#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kill -9, of the container, its supervisor, the runtime, in turn: no process, no socket
# and no file is left, and what has lost its supervisor gets nothing it should not have.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
BACKEND=${BACKEND-runc}
enter_host "$@"
need_containers

policy=(
	--annotation "graft.rule.1=endpoint web ipv4 $HOST4:8080"
	--annotation 'graft.rule.2=bind tcp 0.0.0.0:80 = web'
	--annotation "graft.rule.3=connect tcp $HOST4:9000 = host"
)
host_server told 9000

server() # ID
{
	bundle "$1" "${policy[@]}" --seccomp "$PROFILE" -- /inside serve 80
	check "$1: it starts" up "$1"
	within 30 log_has "$1" listening
	equal "$1: it is reached" "hello from 80" "$(get "$HOST4" 8080)"
}

server container
kill -KILL "$(first_of container)"
check "container killed: the supervisor ends" within 30 nothing_left
check "container killed: delete" runtime delete container
check "container killed: nothing is left" nothing_left container

# Somebody who was executed into it dies with its pid namespace.
server executed
spawn executed-wait runtime exec executed /inside serve 81
within 30 log_has executed-wait listening
kill -KILL "$(first_of executed)"
check "container killed with another inside: the supervisor ends" within 30 nothing_left
down executed
check "nothing is left" nothing_left executed

server supervisor
within 30 has_pen
note_pen
kill -KILL "$(supervisors)"
check "supervisor killed: it is gone, with its helper" within 30 no_supervisor
equal "supervisor killed: the socket it has works on" "hello from 80" "$(get "$HOST4" 8080)"
runtime exec supervisor /inside get "$HOST4" 9000 >"$T/out" 2>&1
check "supervisor killed: nobody is executed into it unserved" test $? != 0
check "supervisor killed: it is still running" kill -0 "$(first_of supervisor)"
check "supervisor killed: delete" down supervisor
check "supervisor killed: nothing is left" within 30 nothing_left supervisor
check "supervisor killed: no cgroup is left" pen_is_gone
server supervisor-again
down supervisor-again
check "nothing is left" within 30 nothing_left supervisor-again

# Its calls get ENOSYS, and nothing is let through.
bundle orphan "${policy[@]}" --seccomp "$PROFILE" -- /inside later "$HOST4" 9000
check "orphan: it starts" up orphan
within 30 has_pen
kill -KILL "$(supervisors)"
within 30 no_supervisor
kill -USR1 "$(first_of orphan)"
check "orphan: it asks" within 30 log_has orphan connect
equal "orphan: and is refused" "connect: ENOSYS" "$(tail -n1 "$T/orphan.log")"
down orphan
check "nothing is left" within 30 nothing_left orphan

# The runtime, at any moment: a backend that stops before it does anything, and the real
# one at moments that differ from round to round.
cat >"$T/bin/stopping" <<'END'
#!/bin/bash
[ "$1" != features ] || exit 1
echo started >"$STOPPED"
kill -STOP $$
END
chmod 755 "$T/bin/stopping"
export STOPPED=$T/stopped
bundle runtime "${policy[@]}" --seccomp "$PROFILE" -- /inside serve 80
GRAFT_RUNTIME_BACKEND=$T/bin/stopping spawn runtime "$RUNTIME" --root "$T/root" \
	create --bundle "$T/runtime" runtime
check "runtime stopped: config.json has a listener" within 30 \
	grep -q listenerPath "$T/runtime/config.json"
within 30 test -s "$T/stopped"
check "runtime stopped: a supervisor waits" test -n "$(supervisors)"
kill -KILL "${PID_OF[runtime]}"
status_of runtime
check "runtime killed: nothing is left" within 30 nothing_left runtime
check "runtime killed: config.json is what it was" is_unchanged runtime

# So is the supervisor killed before anybody came: the next command puts things back.
rm -f "$T/stopped"
GRAFT_RUNTIME_BACKEND=$T/bin/stopping spawn runtime "$RUNTIME" --root "$T/root" \
	create --bundle "$T/runtime" runtime
within 30 test -s "$T/stopped"
kill -KILL "$(supervisors)"
kill -KILL "${PID_OF[runtime]}"
status_of runtime
check "both killed: the next create works" up runtime
within 30 log_has runtime listening
equal "and it is reached" "hello from 80" "$(get "$HOST4" 8080)"
check "both killed: config.json is what it was" is_unchanged runtime
down runtime
check "nothing is left" within 30 nothing_left runtime

# At each step of putting the listener into config.json.
killed_at() # CALL NUMBER
{
	timeout -k 1 60 strace -f -qq -o /dev/null -e "trace=$1" -e "inject=$1:signal=KILL:when=$2" "$RUNTIME" \
		--root "$T/root" create --bundle "$T/runtime" step </dev/null >"$T/step.log" 2>&1
	cp "$T/runtime/config.json" "$T/step.json"
	up runtime || return 1
	within 30 is_unchanged runtime || return 1
	down runtime
	within 30 nothing_left runtime && ! ls "$T"/runtime/.config* 2>/dev/null
}
if command -v strace >/dev/null; then
	# The first renameat() looks for what somebody else had left.
	for call in 'linkat 1' 'renameat 2'; do
		read -ra words <<<"$call"
		check "create killed at $call: the next one works, and puts things back" \
			killed_at "${words[@]}"
		check "and nothing had changed yet" cmp "$T/step.json" "$T/runtime/was.json"
	done
else
	skip_point "create killed at each step" "strace is not installed"
fi

moments()
{
	local i pid
	for i in {1..12}; do
		"$RUNTIME" --root "$T/root" create --bundle "$T/runtime" "moment$i" \
			</dev/null >"$T/moment.log" 2>&1 &
		pid=$!
		# From before exec to after the end: each round reads longer.
		head -c "$((i * i * 400000))" /dev/zero | cksum >/dev/null
		kill -KILL "$pid" 2>/dev/null
		{ wait "$pid"; } 2>/dev/null
		"$BACKEND" --root "$T/root" delete -f "moment$i" >/dev/null 2>&1
		"$RUNTIME" --root "$T/root" delete -f "moment$i" >/dev/null 2>&1
		within 30 nothing_left "moment$i" || return 1
	done
}
check "create killed at twelve moments: nothing is left" moments
# Where the last was killed before there was a supervisor, it is the next one's to put back.
check "and the next one works" up runtime
within 30 is_unchanged runtime
check "and config.json is what it was" is_unchanged runtime
down runtime
check "and nothing is left of it" within 30 nothing_left runtime
finish
