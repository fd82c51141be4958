# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Loading and unloading.

description()
{
	local version name
	version=$(uname -r)
	for name in description author version; do
		check "modinfo: it has its $name" [ -n "$(field $name)" ]
	done
	contains "modinfo: licence" '^GPL( v2)?$' "$(field license)"
	equal "modinfo: for this kernel" "$version" "$(field vermagic | cut -d' ' -f1)"
	equal "modinfo: it takes no other module" "" "$(field depends)"
	contains "modinfo: loaded for its family" '^net-pf-4$' "$(field alias)"
	contains "modinfo: and for its netlink family" \
		'^net-pf-16-proto-16-family-af_graft$' "$(field alias)"
	contains "modinfo: parameter family, which says what it is" '^family:.*[a-z].*\(int\)' \
		"$(field parm)"
	equal "modinfo: each parameter says what it is" "" \
		"$(field parm | grep -vE '^[a-z_]+:.{8,}\([a-z]+\)$')"
}

loading()
{
	equal "no module, no family" EAFNOSUPPORT "$(no_modules family_socket "$FAMILY")"
	check "insmod" load
	equal "insmod: the number of its family" "$FAMILY" "$(cat "$PARAMETERS/family")"
	contains "insmod: and the kernel says so" "af_graft: .*family $FAMILY" "$(since_mark)"
	equal "insmod: sockets of it can be made" ok "$(family_socket "$FAMILY")"
	equal "insmod: a second time is refused" "File exists" "$(load 2>&1 | sed 's/.*: //')"
	check "rmmod" unload
	equal "rmmod: the family is gone" "gone EAFNOSUPPORT" \
		"$(is_loaded || echo gone) $(no_modules family_socket "$FAMILY")"
}

refused_number() # WHAT NUMBER PATTERN
{
	mark "refused $2"
	contains "family=$2: $1, it is refused" 'insmod: .*' "$(load "family=$2" 2>&1)"
	contains "family=$2: and the kernel says why" "af_graft: .*$3" "$(since_mark)"
	! is_loaded || unload
}

# Another number, and those it cannot have.
numbers()
{
	local number
	check "family=12" load family=12
	equal "family=12: that one, and not the usual one" "12 ok EAFNOSUPPORT" \
		"$(cat "$PARAMETERS/family") $(family_socket 12) $(no_modules \
			family_socket "$FAMILY")"
	check "family=12: rmmod" unload
	refused_number "a family that is taken" 2 'family 2\b.*taken'
	for number in -2147483648 -1 0 64 2147483647; do
		refused_number "no number" "$number" "family $number\b.*no such number"
	done
	check "refused: it can be loaded still" load
	check "refused: and unloaded" unload
}

# By name, as the kernel does it for whoever makes a socket.
autoload()
{
	equal "autoload: by the first socket" ok "$(family_socket "$FAMILY")"
	check "autoload: it is there" is_loaded
	check "autoload: rmmod" unload
}

busy()
{
	load
	spawn holder family_socket --hold "$FAMILY"
	await holder grep -q ok "$T/holder.log"
	contains "a module with a socket stays" 'in use' "$(rmmod af_graft 2>&1)"
	stop holder
	check "and goes with the last one" unload
}

again()
{
	local i before after
	before=$(awk '/^Slab:/ { print $2 }' /proc/meminfo)
	for ((i = 0; i < 10; i++)); do
		load && rmmod af_graft || break
	done
	after=$(awk '/^Slab:/ { print $2 }' /proc/meminfo)
	equal "loaded and unloaded, again and again" 10 "$i"
	comment "slab: $before kB, then $after kB"
}
