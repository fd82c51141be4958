# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Unmodified programs on the module's sockets, through the library: engine.py, and the cases
# of tests/conformance.

LIBRARY=$(echo "$PREFIX"/lib*/libgraft-hijack.so "$PREFIX"/lib/*/libgraft-hijack.so |
	tr ' ' '\n' | grep -v '\*' | head -n 1)
CONFORMANCE=(af_graft-native af_graft)

# Each case in a namespace of its own, with the family's usual number and with another.
engine()
{
	local name number
	if ! has "$PYTHON"; then
		skip_point "engine" "needs Python"
		return
	fi
	for number in "$FAMILY" 12; do
		load family="$number"
		for name in $("$PYTHON" "$HERE/engine.py" --list); do
			check "engine: $name, family $number" unshare -n \
				sh "$HERE/../conformance/netns.sh" \
				"$PYTHON" "$HERE/engine.py" "$name" "$LIBRARY"
		done
		unload
	done
	contains "engine: without the module one line says what to do" "modprobe af_graft" \
		"$(graft run --engine af_graft -p 80:80 -- "$PYTHON" -c '' 2>&1)"
}

# By ONLY=conformance_engines, and with more PATIENCE and ONLY=conformance_all, which takes an
# hour. Each engine as root and as a user, two at a time, and plain sockets for both once.
conformance_all()
{
	CONFORMANCE+=(af_graft-plain af_graft-own af_graft-late)
	conformance_engines
}

# Half of it, where the other kernel has had the whole.
conformance_brief()
{
	CONFORMANCE=(af_graft-native/root af_graft/user)
	conformance_engines
}

conformance_engines()
{
	local engine engines=()
	for engine in "${CONFORMANCE[@]}"; do
		engines+=(--engine "$engine")
	done
	# It is loaded for the first who asks, and must not be there for the second only.
	modprobe sctp 2>/dev/null
	load
	check "conformance: ${CONFORMANCE[*]}" "$PYTHON" /checks/tests/conformance/run.py \
		--slow 3 --program /checks/conformance --graft "$PREFIX/bin/graft" \
		--library "$LIBRARY" "${engines[@]}"
	unload
}
