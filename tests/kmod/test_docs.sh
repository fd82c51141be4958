#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_docs.sh [--write]: the table of cases in docs/kmod.md is that of the program that
# has them.
#
# Environment: NATIVE, the program of native/.
. "$(dirname "$0")/../lib.sh"
NATIVE=${NATIVE-$SOURCE_DIR/build/tests/kmod/native}
DOCS=$SOURCE_DIR/docs/kmod.md

[ -x "$NATIVE" ] || die "no $NATIVE; build it"
wanted=$(
	echo
	echo '| case | what | defects |'
	echo '|---|---|---|'
	"$NATIVE" --list
	echo
)
if [ "${1-}" = --write ]; then
	awk -v table="$wanted" '
		/^<!-- end of cases -->$/ { print table "\n"; hidden = 0 }
		!hidden { print }
		/^<!-- cases: / { hidden = 1 }' "$DOCS" >"$DOCS.new" && mv "$DOCS.new" "$DOCS"
	exit
fi
equal "docs/kmod.md has the cases; tests/kmod/test_docs.sh --write writes them" "$wanted" \
	"$(sed -n '/^<!-- cases: /,/^<!-- end of cases -->$/p' "$DOCS" | sed '1d;$d')"
finish
