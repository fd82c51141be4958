#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What libgraft.so exports, what its version script lists and what include/graft declares
# are one set of names.
set -eu
. "$(dirname "$0")/lib.sh"
need nm
map=$(files '^src/lib/.*\.map$' | head -n 1)
[ -n "$map" ] || skip 'there is no version script in src/lib'
library=$(find "$build" -name 'libgraft.so*' -type f ! -name '*.symbols' ! -name '*.p' |
	head -n 1)
[ -n "$library" ] || skip "libgraft.so is not in $build"

names=$(mktemp -d)
trap 'rm -rf "$names"' EXIT
sed 's,/\*.*\*/,,' "$map" | tr -d '\t ' | awk '
	/^global:/ { on = 1; sub(/^global:/, "") }
	/^local:/ || /^}/ { on = 0 }
	on { n = split($0, s, ";"); for (i = 1; i <= n; i++) if (s[i] != "") print s[i] }' |
	sort -u >"$names/listed"
nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
	sort -u >"$names/exported"
files '^include/graft/.*\.h$' | while IFS= read -r header; do strip_c "$header"; done |
	grep -oE '\bgraft_[a-z0-9_]+[ \t]*\(' | tr -d '( \t' | sort -u >"$names/declared"

check()
{
	comm -23 "$names/exported" "$names/listed" | sed "s,^,$map: does not list exported ,"
	comm -13 "$names/exported" "$names/listed" | sed "s,^,$map: lists but libgraft.so lacks ,"
	comm -23 "$names/listed" "$names/declared" | sed "s,^,include/graft: does not declare ,"
	comm -13 "$names/listed" "$names/declared" | sed "s,^,$map: does not list declared ,"
}

finish "$(check)"
