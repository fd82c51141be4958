#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Containers that may do less than others: what they have by their policy they have all the
# same, and what their profile denies stays denied.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
BACKEND=${BACKEND-runc}
enter_host "$@"
need_containers

policy=(
	--annotation "graft.rule.1=endpoint web ipv4 $HOST4:80"
	--annotation 'graft.rule.2=bind tcp 0.0.0.0:80 = web'
	--annotation "graft.rule.3=connect tcp $HOST4:9000 = host"
)
host_server told 9000
host_server denied 9001

# A server on a low port of the host's, and a client.
confined() # ID [OPTION...]
{
	local id=$1
	shift
	bundle "$id" "${policy[@]}" "$@" -- /inside serve 80
	check "$id: it starts" up "$id" || return
	within 30 log_has "$id" listening
	equal "$id: it is reached at the host's address" "hello from 80" "$(get "$HOST4" 80)"
	equal "$id: exec: a host server by rule" "the host says hello" \
		"$(runtime exec "$id" /inside get "$HOST4" 9000)"
	equal "$id: exec: an address without a rule" "connect: ENETUNREACH" \
		"$(runtime exec "$id" /inside get "$HOST4" 9001)"
	equal "$id: exec: UNIX sockets are inside" "connected" \
		"$(runtime exec "$id" /inside sockets /tmp/a-socket-with-a-long-name)"
	check "$id: no socket of that name outside" test ! -e /tmp/a-socket-with-a-long-name
	check "$id: delete" down "$id"
	check "$id: nothing is left" within 30 nothing_left "$id"
}

confined unconfined
confined profile --seccomp "$PROFILE"
confined no-new-privileges --seccomp "$PROFILE" --no-new-privileges
confined read-only --seccomp "$PROFILE" --no-new-privileges --readonly
confined raw --seccomp "$PROFILE" --cap CAP_NET_RAW --cap CAP_CHOWN --cap CAP_SETUID
chmod 711 "$T"
confined userns --seccomp "$PROFILE" --no-new-privileges --userns
confined userns-caps --seccomp "$PROFILE" --userns --cap CAP_NET_ADMIN --cap CAP_SYS_ADMIN

# crun sets the filter of such a container when it is started, so that who is executed may
# come before it.
bundle early "${policy[@]}" --seccomp "$PROFILE" --no-new-privileges -- /inside serve 80
runtime create --bundle "$T/early" --pid-file "$T/early.pid" early </dev/null \
	>"$T/early.log" 2>&1
equal "early: it is created" 0 $?
spawn early-exec runtime exec early /inside get "$HOST4" 9000
has_early_exec() { pgrep -f '^/inside get' || log_has early-exec .; }
check "early: somebody is executed into it" within 30 has_early_exec
check "early: it is started" runtime start early
status_of early-exec
equal "early: what is executed before the start is served" "the host says hello" \
	"$(cat "$T/early-exec.log")"
within 30 log_has early listening
equal "early: and so is the first process" "hello from 80" "$(get "$HOST4" 80)"
check "early: delete" down early
check "early: nothing is left" within 30 nothing_left early

# As the containers of a pod: namespaces of a process that is there.
bundle sandbox -- /inside wait
check "pod: the first starts" up sandbox
confined pod --seccomp "$PROFILE" --join "$(first_of sandbox)"
down sandbox

# The same calls with the same profile, by the backend alone and grafted.
calls() # ID COMMAND [OPTION...]
{
	local id=$1 command=$2
	shift 2
	bundle "$id" "$@" -- /inside calls
	"$command" --root "$T/root" run --bundle "$T/$id" "$id" >"$T/$id.calls" 2>&1
}
for options in "--seccomp $PROFILE" "" "--seccomp $PROFILE --no-new-privileges"; do
	read -ra words <<<"$options"
	calls plain "$BACKEND" "${words[@]}"
	calls grafted "$RUNTIME" "${policy[@]}" "${words[@]}"
	contains "the calls were made (${options#"--seccomp $PROFILE"})" 'keyctl' \
		"$(cat "$T/plain.calls")"
	equal "what was denied is denied, what was allowed is allowed" \
		"$(grep -v '^graft:\|^clone3' "$T/plain.calls")" \
		"$(grep -v '^graft:\|^clone3' "$T/grafted.calls")"
	equal "but io_uring, clone3, source routes, and a listener of its own" \
		"clone3 ENOSYS
graft:setsockopt-options EPERM
graft:io_uring_setup ENOSYS
graft:seccomp-listener EBUSY" \
		"$(grep '^graft:\|^clone3' "$T/grafted.calls")"
done
contains "the profile denied something at all" 'keyctl EPERM' "$(cat "$T/plain.calls")"
check "nothing is left" within 30 nothing_left plain grafted

# The container's default is the host's stack, so that there is a TCP socket of the host's
# to put in the place of a UNIX one while that is looked at.
name="a descriptor and an address that change do not lead to a denied one"
host_server raced 9003
bundle race --annotation "graft.rule.1=connect any $HOST4:9003 = deny" \
	--annotation 'graft.rule.2=connect any 0.0.0.0/0 = host' --seccomp "$PROFILE" -- \
	/inside race "$HOST4" 9003
if "$GRAFT" doctor | grep -q 'fences TCP in'; then
	equal "$name" held "$(runtime run --bundle "$T/race" race)"
else
	skip_point "$name" "this kernel has no Landlock network rules"
fi
check "nothing is left" within 30 nothing_left race
# Nor from what is executed, where Landlock cannot be raised.
bundle raced --annotation "graft.rule.1=connect any $HOST4:9003 = deny" \
	--annotation 'graft.rule.2=connect any 0.0.0.0/0 = host' --seccomp "$PROFILE" -- \
	/inside wait
check "raced: it starts" up raced
within 30 has_pen
note_pen
contains "raced: its supervisor has a cgroup of its own" 'graft-run-' "$PEN"
equal "$name, exec" held "$(runtime exec raced /inside race "$HOST4" 9003)"
down raced
check "nothing is left" within 30 nothing_left raced
check "no cgroup is left" pen_is_gone
finish
