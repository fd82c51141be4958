#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# .editorconfig, checked: no blanks at the end of a line, no carriage returns, a newline
# at the end of the file.
set -eu
. "$(dirname "$0")/lib.sh"

check()
{
	files '' | grep -vE '^LICENSES/|\.(svg|png)$|/corpus/' | while IFS= read -r file; do
		grep -Iq . "$file" || continue # empty or not text
		grep -nE "[ 	]\$|$(printf '\r')" "$file" |
			sed "s,^\([0-9]*\):.*,$file:\1: blank at the end of the line," || true
		[ -z "$(tail -c 1 "$file")" ] || echo "$file: no newline at its end"
	done
}

finish "$(check)"
