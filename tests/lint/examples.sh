#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every policy we show, in examples/ and in the fenced blocks of the documents, is one
# that `graft check` takes.
set -eu
. "$(dirname "$0")/lib.sh"
[ -x "$graft" ] || skip "no program at $graft"

private=$(mktemp -d)
trap 'rm -rf "$private"' EXIT

# try FILE NAME: checks FILE, known to the reader as NAME.
try()
{
	if ! "$graft" check "$1" >"$private/out" 2>&1; then
		echo "$2: graft check does not take it:"
		sed 's/^/    /' "$private/out" | head -n 5
	fi
}

# Blocks whose every line is a rule, an endpoint or a comment.
blocks()
{
	rm -f "$private"/block.*
	awk -v to="$private/block." '
		function flush()
		{
			if (text != "" && ok)
				printf "%s", text >(to start)
			text = ""
		}
		/^```/ { if (inside) flush(); inside = !inside; ok = 1; start = NR; next }
		inside {
			if ($0 !~ /^(endpoint|bind|connect) .*|^#|^$/ || /:=/)
				ok = 0
			text = text $0 "\n"
		}' "$1"
	for block in "$private"/block.*; do
		[ ! -e "$block" ] || try "$block" "$1:${block##*.}"
	done
}

check()
{
	files '^examples/(.*/)?(p|policy)\.conf$' | while IFS= read -r file; do
		try "$file" "$file"
	done
	files '\.md$' | while IFS= read -r page; do blocks "$page"; done
}

finish "$(check)"
