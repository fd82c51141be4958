#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Manual pages: mandoc finds nothing to say, each is installed, and each of our own pages
# they refer to exists.
set -eu
. "$(dirname "$0")/lib.sh"
need mandoc

check()
{
	files '^man/.*\.[1-8]$' | while IFS= read -r page; do
		# A reference to a page of ours in this tree is checked below; mandoc would
		# look for it among those installed.
		mandoc -Tlint -W style "$page" 2>&1 |
			grep -vE 'referenced manual not found|outdated mandoc.db' || true
		grep -qF "'$(basename "$page")'" man/meson.build ||
			echo "$page: man/meson.build does not install it"
		sed -n 's/^\.Xr \(graft[a-z-]*\) \([1-8]\).*/\1.\2/p' "$page" |
			while IFS= read -r other; do
				[ -e "man/$other" ] || echo "$page: refers to $other, which is not there"
			done
	done
}

finish "$(check)"
