#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Small things stay small. A C file over 600 lines needs its name and a reason in
# size.exceptions; a function over 60 lines is reported, over 100 is an error.
# shellcheck disable=SC2016 # $1 is awk's
set -eu
. "$(dirname "$0")/lib.sh"
exceptions=$(dirname "$0")/size.exceptions
exceptions=tests/lint/${exceptions##*/}

long_files()
{
	files '\.[ch]$' | while IFS= read -r file; do
		lines=$(wc -l <"$file")
		if [ "$lines" -gt 600 ] &&
			! awk -v f="$file" '$1 == f && NF > 1 { found = 1 } END { exit !found }' \
				"$exceptions"; then
			echo "$file: $lines lines; split it, or give the reason in $exceptions"
		fi
	done
	# An exception nobody needs any more goes.
	sed '/^#/d;/^$/d' "$exceptions" | while read -r file _; do
		if [ ! -f "$file" ] || [ "$(wc -l <"$file")" -le 600 ]; then
			echo "$exceptions: $file needs no exception"
		fi
	done
}

# A function's body runs from '{' to '}' in the first column: clang-format sees to that.
long_functions()
{
	files '\.[ch]$' | xargs -r -d '\n' awk -v limit="$1" '
		FNR == 1 { start = 0 }
		/^[A-Za-z_].*\(/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
		/^{$/ { start = FNR }
		/^}$/ && start {
			if (FNR - start - 1 > limit)
				print FILENAME ":" start ": " name "() has " \
					FNR - start - 1 " lines"
			start = 0
		}'
}

long_functions 60 | sed 's/$/ (over 60 wants a reason)/'
finish "$(long_files; long_functions 100)"
