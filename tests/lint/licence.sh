#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Each source file names its licence in its first lines: LGPL-2.1-or-later for what is
# installed, GPL-2.0-or-later for tests, tools and bench; the texts are in LICENSES/.
# The module has the kernel's, and so has what both share.
set -eu
. "$(dirname "$0")/lib.sh"

expected()
{
	case $1 in
	tests/* | tools/* | bench/*) echo GPL-2.0-or-later ;;
	kmod/*) echo GPL-2.0-only ;;
	include/uapi/*) echo 'GPL-2.0-only WITH Linux-syscall-note' ;;
	examples/*) echo '(GPL-2.0|LGPL-2.1)-or-later' ;;
	*) echo LGPL-2.1-or-later ;;
	esac
}

check()
{
	{
		files '\.(c|h|py|go|map|fish|[1-8])$|/_graft$|^kmod/(Kbuild|dkms\.conf)$'
		scripts
	} | sort -u | while IFS= read -r file; do
		head -n 5 "$file" |
			grep -qE "SPDX-License-Identifier: $(expected "$file")( \*/)?\$" ||
			echo "$file: no SPDX line for $(expected "$file")"
	done
	for text in LGPL-2.1-or-later GPL-2.0-or-later GPL-2.0-only; do
		[ -s "LICENSES/$text.txt" ] || echo "LICENSES/$text.txt is missing"
	done
}

finish "$(check)"
