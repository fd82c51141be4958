# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# By test_kernel.sh with COUNTED and ONLY=speed: bench/kmod.c, and what it must not fall
# behind. Its lines are "NAME RATIO again RATIO", the second one of plain sockets to
# themselves.

# speed_is NAME at-least|at-most LIMIT
speed_is()
{
	local ratio
	ratio=$(awk -v name="$1" '$1 == name { print $2 }' "$T/speed")
	check "speed: $1 is $ratio, ${2/-/ } $3" awk -v is="$ratio" -v limit="$3" -v how="$2" '
		BEGIN { exit !(is != "" && (how == "at-least" ? is >= limit : is <= limit)) }'
}

speed()
{
	load
	check "speed: it is measured" sh -c "kmod_bench --repeat ${REPEAT-5} >$T/speed"
	comment "$(sed 's/^/speed /' "$T/speed")"
	speed_is bulk at-least 0.97
	speed_is rr at-most 1.03
	speed_is crr at-least 0.95
	speed_is bind_100000 at-most 1.1
	check "speed: nothing holds the module" unload
}
