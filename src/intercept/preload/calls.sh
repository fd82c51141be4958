#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What is made of calls.def: calls.sh map|wrap|names|left|table FILE
#
#	map	the export map: the intercepted functions and no others
#	wrap	linker options that lead the library itself around them
#	names	the intercepted names, a line each
#	left	the names that are not intercepted
#	table	both as a table for docs/preload.md
set -eu

# One line for each entry: KIND NAME TEXT
entries()
{
	awk '
	/^[A-Z_]+\(/ { entry = "" ; on = 1 }
	on {
		line = $0
		sub(/^[ \t]+/, "", line)
		entry = entry (entry == "" ? "" : " ") line
		copy = entry
		gsub(/"[^"]*"/, "", copy)
		if (gsub(/\(/, "", copy) == gsub(/\)/, "", copy)) {
			on = 0
			kind = entry
			sub(/\(.*/, "", kind)
			rest = substr(entry, length(kind) + 2)
			sub(/\)$/, "", rest)
			name = rest
			sub(/,.*/, "", name)
			text = rest
			if (kind == "CALL_ALIAS")
				sub(/.*, /, "", text)
			else {
				sub(/"$/, "", text)
				sub(/.*"/, "", text)
			}
			print kind, name, text
		}
	}' "$1"
}

names()
{
	entries "$1" | awk '$1 != "LEFT" { print $2 }' | sort
}

table()
{
	echo '| call | |'
	echo '|---|---|'
	entries "$1" | awk '
	{
		text = $0
		sub(/^[^ ]+ [^ ]+ /, "", text)
		gsub(/\|/, "\\|", text)
		if ($1 == "CALL_ALIAS")
			text = "another name of `" text "`"
		if ($1 == "LEFT")
			text = "not intercepted: " text
		print "| `" $2 "` | " text " |"
	}'
}

case $1 in
map)
	echo '{'
	echo 'global:'
	names "$2" | sed 's/.*/	&;/'
	echo 'local:'
	echo '	*;'
	echo '};'
	;;
wrap) names "$2" | sed 's/^/--wrap=/' ;;
names) names "$2" ;;
left) entries "$2" | awk '$1 == "LEFT" { print $2 }' | sort ;;
table) table "$2" ;;
*) exit 2 ;;
esac
