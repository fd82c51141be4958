#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The table of calls in docs/preload.md is what src/intercept/preload/calls.def says.
# calls.sh --write puts it there.
set -eu
. "$(dirname "$0")/lib.sh"

page=docs/preload.md
wanted=$(mktemp)
trap 'rm -f "$wanted"' EXIT

make_page()
{
	sed '/<!-- calls:begin -->/q' "$page"
	sh src/intercept/preload/calls.sh table src/intercept/preload/calls.def
	sed -n '/<!-- calls:end -->/,$p' "$page"
}

make_page >"$wanted"
if [ "${1-}" = --write ]; then
	cat "$wanted" >"$page"
	exit 0
fi
check()
{
	cmp -s "$wanted" "$page" ||
		echo "$page: not what calls.def says; tests/lint/calls.sh --write"
}

finish "$(check)"
