#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The look of C is .clang-format's business, checked, never discussed. It leaves comments
# alone, for it would break up tables and drawings; so their width is checked here.
set -eu
. "$(dirname "$0")/lib.sh"
need clang-format

check()
{
	files '\.[ch]$' | xargs -r -d '\n' clang-format --dry-run -Werror 2>&1 |
		grep -E '(error|warning):' || true
	files '\.[ch]$' | while IFS= read -r file; do
		expand "$file" | LC_ALL=C.UTF-8 grep -nE '^.{91}' |
			sed -nE "s,^([0-9]+): *(/\*| \*).*,$file:\1: a comment beyond column 90,p"
		grep -nE '^ \*[A-Za-z]' "$file" |
			sed "s,^\([0-9]*\):.*,$file:\1: a blank is missing behind the star," || true
	done
}

finish "$(check)"
