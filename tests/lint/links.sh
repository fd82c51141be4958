#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Relative links and pictures of the documents lead somewhere, and the places a tool
# fills in are there.
set -eu
. "$(dirname "$0")/lib.sh"

check()
{
	files '\.md$' | while IFS= read -r page; do
		grep -oE '\]\([^)]+\)' "$page" | sed 's/^](//;s/)$//;s/#.*//' |
			while IFS= read -r target; do
				case $target in
				'' | *://* | mailto:*) continue ;;
				esac
				[ -e "$(dirname "$page")/$target" ] ||
					echo "$page: leads to $target, which is not there"
			done
	done
	for mark in begin end; do
		[ "$(grep -c "^<!-- bench:$mark -->\$" README.md)" = 1 ] ||
			echo "README.md: needs one line <!-- bench:$mark -->"
	done
}

finish "$(check)"
