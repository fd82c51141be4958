#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a container may not have that belongs to another: the other's supervisor, its
# endpoints, and those of graftd's that its own policy does not name.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib_container.sh"
BACKEND=${BACKEND-runc}
enter_host "$@"
need_containers

start_graftd
host_server told 9000
"$GRAFT" add ep-told type ipv4 addr "$HOST4" port 9000
"$GRAFT" add ep-named type ipv4 addr "$HOST4" port 9001
"$GRAFT" add ep-secret type ipv4 addr "$HOST4" port 9002
"$GRAFT" add ep-owned type ipv4 addr "$HOST4" port 9003 owner uid=4242

# --- the door of another's supervisor, where a container sees it ---

bundle victim --annotation 'graft.rule=connect any 0.0.0.0/0 = host' --seccomp "$PROFILE" \
	-- /inside wait
check "a container that may reach everything" up victim
equal "it does" "the host says hello" "$(runtime exec victim /inside get "$HOST4" 9000)"
doors() # ID WORD [OPTION...]: what a container without a policy gets
{
	local id=$1 word=$2
	shift 2
	bundle "$id" --no-new-privileges --bind "$STATE" "$@" -- \
		/inside door "$STATE" "$word" "$HOST4" 9000
	runtime run --bundle "$T/$id" "$id" 2>&1
}
for word in graft ''; do
	output=$(doors "stranger$word" "$word")
	contains "a stranger is at the door (${word:-no word})" 'at a door' "$output"
	contains "and gets nothing" '^connect: ENOSYS$' "$output"
	equal "at all" '' "$(grep 'says hello' <<<"$output")"
done
# What its runtime says, and nobody else should know.
word=$(grep -hoiE '"listener_?metadata" ?: ?"[^"]*"' "$T"/root/victim/* | head -n1 | cut -d'"' -f4)
if [ -n "$word" ]; then
	output=$(doors knows "$word")
	contains "with the right word, from a container: at the door" 'at a door' "$output"
	contains "and gets nothing" '^connect: ENOSYS$' "$output"
	equal "at all" '' "$(grep 'says hello' <<<"$output")"
else
	skip_point "with the right word, from a container" "$BACKEND keeps it elsewhere"
fi
equal "a container with a policy makes no listener" "seccomp: EBUSY" \
	"$(runtime exec victim /inside door "$STATE" graft "$HOST4" 9000)"
equal "its own goes on" "the host says hello" \
	"$(runtime exec victim /inside get "$HOST4" 9000)"
down victim
check "nothing is left" within 30 nothing_left victim

# --- names ---

bundle other --annotation "graft.rule.1=endpoint of-other ipv4 $HOST4:9004" \
	--annotation 'graft.rule.2=bind tcp 0.0.0.0:80 = of-other' -- /inside serve 80
check "another container" up other
bundle names --annotation "graft.rule.1=endpoint mine ipv4 $HOST4:9005" \
	--annotation 'graft.rule.2=bind tcp 0.0.0.0:80 = mine' \
	--annotation 'graft.rule.3=bind tcp 0.0.0.0:81 = ep-named' \
	--annotation 'graft.rule.4=connect tcp 10.9.9.9:9000 = ep-told' \
	--annotation 'graft.rule.5=bind tcp 0.0.0.0:82 = ep-owned' \
	--seccomp "$PROFILE" -- /inside wait
check "a container with names in its policy" up names || comment "$(cat "$T/names.log")"
named() { runtime exec names /inside name "$@"; }
equal "an endpoint of its own policy" bound "$(named mine bind)"
equal "one of graftd's that a rule leads to" bound "$(named ep-named bind)"
equal "another, to connect to" connected "$(named ep-told connect)"
equal "one of graftd's that no rule names" "bind: ENOENT" "$(named ep-secret bind)"
equal "the same, to connect to" "connect: ENOENT" "$(named ep-secret connect)"
equal "one that does not exist" "connect: ENOENT" "$(named ep-none connect)"
equal "one of the other container's policy" "connect: ENOENT" "$(named of-other connect)"
equal "and to bind" "bind: ENOENT" "$(named of-other bind)"
equal "one that a rule names, and whose owner is another" "bind: EACCES" \
	"$(named ep-owned bind)"
equal "the same by its address" "bind: EACCES" "$(runtime exec names /inside bind 82)"
check "delete" down names
check "delete" down other
check "nothing is left" within 30 nothing_left names other
finish
