#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Too much of everything: while one container makes calls without end, each call of another
# is answered, and graftd answers; who asks for more than there is hears so, and the rest
# goes on.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
BACKEND=${BACKEND-runc}
THREADS=64
CALLS=200
GUESTS=256 # GUESTS_MAX of src/runtime/guest.h
enter_host "$@"
need_containers

start_graftd
host_server told 9000
"$GRAFT" add ep-told type ipv4 addr "$HOST4" port 9000
"$GRAFT" add ep-dead type ipv4 addr "$HOST4" port 9009

traps_of() # ID: calls that its supervisor was told of
{
	"$GRAFT" ps --json | "$PYTHON" -c '
import json, sys
runs = json.load(sys.stdin)
print(*(run["n_traps"] for run in runs if run["name"] == sys.argv[1]))' "$1"
}
is_storming() { [ "$(traps_of storm)" -gt "$1" ]; }

bundle quiet --annotation "graft.rule.1=connect tcp $HOST4:9000 = host" \
	--annotation 'graft.rule.2=connect tcp 10.9.9.9:9000 = ep-told' --seccomp "$PROFILE" \
	-- /inside wait
check "a container" up quiet

# storms NAME ADDRESS PORT: calls of the quiet one meanwhile
storms()
{
	local name=$1 before
	bundle storm --annotation "graft.rule.1=connect tcp $HOST4:9009 = host" \
		--annotation 'graft.rule.2=connect tcp 10.9.9.9:9009 = ep-dead' \
		--seccomp "$PROFILE" -- /inside storm "$2" "$3" "$THREADS"
	check "$name: another, with $THREADS threads that connect without end" up storm
	check "$name: all of them are answered" within 60 log_has storm storming
	before=$(traps_of storm)
	equal "$name: all connects of the first succeed" "$CALLS of $CALLS" \
		"$(runtime exec quiet /inside many "$HOST4" 9000 "$CALLS" | tail -n1)"
	equal "$name: and those to an endpoint of graftd's" "$CALLS of $CALLS" \
		"$(runtime exec quiet /inside many 10.9.9.9 9000 "$CALLS" | tail -n1)"
	contains "$name: graftd answers" ep-told "$("$GRAFT" show)"
	check "$name: it went on all the time" within 30 is_storming "$before"
	check "$name: delete" down storm
}
storms "calls" "$HOST4" 9009
storms "asks" 10.9.9.9 9009

# --- more listeners than there are places ---

fill()
{
	local i
	for ((i = 2; i < GUESTS; i++)); do
		runtime exec -d quiet /inside wait </dev/null >"$T/fill.log" 2>&1 || return 1
	done
}
waiting() { pgrep -cfx '/inside wait'; }
are_waiting() { [ "$(waiting)" = "$1" ]; }
last_one() { pgrep -f '^/inside later'; }
check "$((GUESTS - 1)) processes with a listener each" fill
check "are there" within 30 are_waiting "$((GUESTS - 1))"
: >"$T/last.log"
runtime exec -d quiet /inside later "$HOST4" 9000 </dev/null >"$T/last.log" 2>&1
equal "and another one" 0 $?
check "is there" within 30 log_has last waiting
contains "one more is not served" 'ENOSYS' "$(runtime exec quiet /inside get "$HOST4" 9000 2>&1)"
contains "and the log says so" 'cannot serve process' "$(cat "$T/runtime.log")"
check "there is still one supervisor" within 30 are_supervisors 1
kill -USR1 "$(last_one)"
check "the last that came before it is" within 30 grep -qx 'the host says hello' "$T/last.log"
pgrep -fx '/inside wait' | grep -vx "$(first_of quiet)" | xargs kill -KILL
check "the others end" within 30 are_waiting 1
served() { [ "$(runtime exec quiet /inside get "$HOST4" 9000 2>&1)" = "the host says hello" ]; }
check "then there is place again" within 30 served
check "delete" down quiet
check "nothing is left" within 30 nothing_left quiet storm
finish
