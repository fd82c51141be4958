#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Hostile clients of graftd, one kind at a time and then all at once, while a well-behaved
# one makes calls: every call of that one is served, graftd is the same process afterwards,
# keeps no descriptor, and has not grown.
#
#	hostile KIND	uid 2000		hostile good	uid 1001
. "$(dirname "$0")/../lib_graftd.sh"
enter_host "$@"
need ip setpriv
need_graftd
cp "$BUILT/hostile" "$T/bin/" && chmod 755 "$T/bin/hostile"
HOSTILE=$T/bin/hostile
PERIOD=${PERIOD-2} # seconds of each kind
GROWTH_KB=32768
SANITIZED=$(grep -c __asan_init "$GRAFTD")
[ "$SANITIZED" != 0 ] || SANITIZED=

n_descriptors()
{
	find "/proc/${PID_OF[graftd]}/fd" -mindepth 1 | wc -l
}

memory_kb()
{
	awk '/^(RssAnon|RssShmem|VmSwap):/ { kb += $2 } END { print kb }' \
		"/proc/${PID_OF[graftd]}/status"
}

as_user() # UID COMMAND...
{
	local uid=$1
	shift
	setpriv "--reuid=$uid" "--regid=$uid" --clear-groups -- "$@"
}

start_good()
{
	exec 9<>"$T/fifo"
	as_user 1001 "$HOSTILE" "$BROKER" "good" <&9 >"$T/good.log" 2>&1 9>&- &
	# shellcheck disable=SC2154
	PID_OF[good]=$!
}

end_good() # NAME
{
	echo >&9
	exec 9>&-
	status_of good
	comment "$1: $(<"$T/good.log")"
	equal "$1: every call of a well-behaved client is served" 0 "$STATUS"
}

few_descriptors()
{
	[ "$(n_descriptors)" -le $((DESCRIPTORS + 2)) ]
}

no_complaint() # FILE
{
	! grep -E 'Sanitizer|runtime error' "$1"
}

afterwards() # NAME
{
	check "$1: graftd is alive" kill -0 "${PID_OF[graftd]}"
	check "$1: and answers" answers
	check "$1: it gave back what it was sent" within 15 few_descriptors
	if [ -n "$SANITIZED" ]; then # what is freed is kept for a while
		check "$1: no complaint of a sanitizer" \
			no_complaint "$T/graftd.log"
	else
		check "$1: it has not grown (from $MEMORY to $(memory_kb) KB)" \
			[ "$(memory_kb)" -le $((MEMORY + GROWTH_KB)) ]
	fi
}

one_kind() # KIND
{
	local output
	start_good
	output=$(as_user 2000 timeout -k 1 60 "$HOSTILE" "$BROKER" "$1" "$PERIOD" 2>&1)
	end_good "$1"
	comment "$output"
	afterwards "$1"
}

all_kinds()
{
	local kind
	start_good
	for kind in $KINDS; do
		spawn "$kind" setpriv --reuid=2000 --regid=2000 --clear-groups -- \
			"$HOSTILE" "$BROKER" "$kind" $((PERIOD * 2))
	done
	for kind in $KINDS; do
		status_of "$kind"
	done
	end_good "all at once"
	afterwards "all at once"
}

mkfifo "$T/fifo"
start_graftd
check "the endpoint" "$GRAFT" add good ipv4 127.0.0.1:18500 owner any
check "and theirs" "$GRAFT" add theirs ipv4 127.0.0.1:18501 owner any
for i in {1..2000}; do
	echo "filler-$i ipv4 127.0.0.1:dynamic"
done >"$T/fillers"
check "two thousand more, so that a list is long" "$GRAFT" add --batch "$T/fillers"
KINDS=$("$HOSTILE" --list)
start_good
check "alone it is served" sleep 0.3
end_good "alone"
DESCRIPTORS=$(n_descriptors)
MEMORY=$(memory_kb)
OUTPUT=$(limited "$HOSTILE" "$BROKER" crowd 1000 2>&1)
STATUS=$?
comment "$OUTPUT"
equal "a thousand clients at once are served" 0 "$STATUS"
afterwards "a thousand clients"
for kind in $KINDS; do
	one_kind "$kind"
done
all_kinds
finish
