#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# --help and the manual say the same: every option of every command's --help stands in
# its manual page, and the other way round. `run` has graft-run(1), the other commands a
# subsection of their name in graft-endpoint(8) or graft(1). zsh and fish completions list
# them too. graftd has graftd(8).
set -eu
. "$(dirname "$0")/lib.sh"
[ -x "$graft" ] || skip "no program at $graft"

graftd=$build/src/broker/graftd

page_of() # COMMAND
{
	case $1 in
	run) echo graft-run.1 ;;
	add | del | show | monitor | reload) echo graft-endpoint.8 ;;
	*) echo graft.1 ;;
	esac
}

# man_options COMMAND: the options its page lists, as help_options prints them.
man_options()
{
	awk -v name="$1" '
	BEGIN { on = name == "run" }
	/^\.S[sh]/ && name != "run" { on = $1 == ".Ss" && $2 == name }
	on' "man/$(page_of "$1")" | options_in_page
}

options_in_page()
{
	sed -n 's/^\.It \(Fl .*\)/\1/p' | grep -oE 'Fl -?[A-Za-z0-9][A-Za-z0-9-]*' |
		sed 's/^Fl /-/' | grep -vxE -e '-h|--help' | sort -u
}

# differ COMMAND: what one side has and the other lacks.
differ()
{
	page=$(page_of "$1")
	help_options "$1" >"$private/help"
	man_options "$1" >"$private/man"
	comm -23 "$private/help" "$private/man" | sed "s/^/man\/$page: $1 lacks /"
	comm -13 "$private/help" "$private/man" | sed "s/^/graft $1 --help: lacks /"
	grep -e '^--' "$private/help" | while IFS= read -r option; do
		fish_options "$1" | grep -qx -e "$option" ||
			echo "completions/graft.fish: $1 lacks $option"
		grep -qE -e "${option}[]}'[]" completions/_graft ||
			echo "completions/_graft: $1 lacks $option"
	done
	fish_options "$1" | grep -vxF -f "$private/help" |
		sed "s/^/completions\/graft.fish: $1 has no /" || true
}

fish_options()
{
	grep -E "'__graft_uses( [a-z]+)* $1[ ']" \
		completions/graft.fish | sed -n 's/.* -l \([a-z0-9-]*\).*/--\1/p' | sort -u
}

check()
{
	"$graft" --help >/dev/null || echo 'graft --help: does not end with status 0'
	commands | while IFS= read -r command; do
		if ! "$graft" "$command" --help >"$private/out" 2>"$private/err" ||
			[ ! -s "$private/out" ] || [ -s "$private/err" ]; then
			echo "graft $command --help: wants help on stdout and status 0"
			continue
		fi
		differ "$command"
	done
	[ ! -x "$graftd" ] || differ_graftd
}

# graftd has a page for itself and no completions.
differ_graftd()
{
	"$graftd" --help | options_in_help >"$private/help"
	options_in_page <man/graftd.8 >"$private/man"
	comm -23 "$private/help" "$private/man" | sed 's/^/man\/graftd.8: lacks /'
	comm -13 "$private/help" "$private/man" | sed 's/^/graftd --help: lacks /'
}

private=$(mktemp -d)
trap 'rm -rf "$private"' EXIT
finish "$(check)"
