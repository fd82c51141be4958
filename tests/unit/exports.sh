#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# libgraft.so exports what graft.h declares, no more and no less.
# exports.sh LIBRARY HEADER
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
	sort >"$dir/exported"
grep -v '^ \*' "$2" | grep -o 'graft_[a-z_]*(' | tr -d '(' | sort -u >"$dir/declared"
if [ ! -s "$dir/declared" ]; then
	echo "no declarations found in $2"
	exit 1
fi
diff -u "$dir/declared" "$dir/exported"
