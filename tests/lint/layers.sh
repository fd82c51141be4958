#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Who may include whom. A folder of src/ is a hop; hops never see one another's headers:
# they meet in policy/, wire/ or include/. Exceptions: engines see the table of stack
# drivers and what works on any socket, stack/{stack,bound,carry,diag,held}.h; ctl/ asks
# the broker through broker/client.h, the kernel module by broker/{genl,module_write}.h, and
# reads the counters of intercept/cgroup/cgroup.h, and what traced.h beside it tells.
# run/ is where hops are put together, ctl/ and runtime/ the command lines above it. A mechanism
# (intercept/notify) never sees its sibling.
set -eu
. "$(dirname "$0")/lib.sh"

layers='
base:      base
policy:    policy base
wire:      wire policy base
stack:     stack wire policy base
broker:    broker stack wire policy base
intercept: uapi intercept stack/stack.h stack/bound.h stack/carry.h stack/diag.h stack/held.h wire policy base
lib:       lib stack wire policy base graft
run:       run uapi broker intercept stack wire policy base
runtime:   runtime run intercept/notify/fence.h intercept/notify/filter.h intercept/notify/notify.h stack wire policy base
ctl:       ctl broker/client.h broker/genl.h broker/module_write.h intercept/cgroup/cgroup.h intercept/cgroup/traced.h run wire policy base graft
'

check()
{
	files '^src/.*\.[ch]$' | while IFS= read -r file; do
		echo "FILE $file"
		sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$file"
	done | awk -v layers="$layers" '
	BEGIN {
		n = split(layers, lines, "\n")
		for (i = 1; i <= n; i++) {
			split(lines[i], side, ":")
			allowed[side[1]] = " " side[2] " "
		}
	}
	$1 == "FILE" {
		file = $2
		split(file, path, "/")
		folder = path[2]
		mechanism = path[4] != "" ? path[3] : ""
		if (!(folder in allowed) && !(folder in told)) {
			print file ": src/" folder " is not in the table of " \
				"tests/lint/layers.sh"
			told[folder] = 1
		}
		next
	}
	# Made by the build.
	$1 == "config.h" || $1 == "graft.skel.h" || $1 == "steer.skel.h" { next }
	{
		n = split($1, part, "/")
		if (n == 1)
			print file ": includes \"" $1 "\": name it by its path from src/"
		else if (folder in allowed && !index(allowed[folder], " " part[1] " ") &&
			 !index(allowed[folder], " " $1 " "))
			print file ": " folder "/ may not include \"" $1 "\""
		else if (mechanism != "" && n == 3 && part[1] == folder && part[2] != mechanism)
			print file ": " folder "/" mechanism " may not include \"" $1 "\""
	}'
}

finish "$(check)"
