# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# What the lints share. A lint is a small script that looks at the tree it lies in,
# prints one line per finding and ends 0 (clean), 1 (findings) or 77 (its tool is
# missing). GRAFT_BUILD is the build directory, GRAFT the program built there.

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${GRAFT_BUILD:-$root/build}
graft=${GRAFT:-$build/src/ctl/graft}
cd "$root" || exit 1

# files ERE: the tree's own files whose path matches; without git, what lies there.
files()
{
	if [ -e "$root/.git" ] && command -v git >/dev/null; then
		git -c safe.directory='*' ls-files -co --exclude-standard
	else
		find . \( -name .git -o -name 'build*' -type d \) -prune -o -type f -print |
			sed 's,^\./,,'
	fi | grep -E "$1" | while IFS= read -r file; do
		if [ -f "$file" ]; then printf '%s\n' "$file"; fi
	done | sort
}

# Shell scripts, by name or by their first line.
scripts()
{
	files '' | while IFS= read -r file; do
		case $file in
		*.sh | *.bash) printf '%s\n' "$file" ;;
		*.*) ;;
		*)
			if head -c 64 "$file" | head -n 1 | tr -d '\000' |
				grep -qE '^#!.*[/ ](ba)?sh( |$)'; then
				printf '%s\n' "$file"
			fi
			;;
		esac
	done
}

need()
{
	for tool in "$@"; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
}

skip()
{
	echo "skipped: $*"
	exit 77
}

# finish FINDINGS: prints them and ends the lint.
finish()
{
	if [ -n "$1" ]; then
		printf '%s\n' "$1"
		exit 1
	fi
	exit 0
}

# strip_c FILE: without comments and the text of strings, every line at its number.
strip_c()
{
	awk '
	{
		out = ""
		n = length($0)
		for (i = 1; i <= n; i++) {
			c = substr($0, i, 1)
			two = substr($0, i, 2)
			if (state == "comment") {
				if (two == "*/") { state = ""; i++ }
			} else if (state != "") {
				if (c == "\\") i++
				else if (c == state) { state = ""; out = out c }
			} else if (two == "/*") {
				state = "comment"; i++
			} else if (two == "//") {
				break
			} else {
				if (c == "\"" || c == "\047") state = c
				out = out c
			}
		}
		if (state != "comment") state = ""
		print out
	}' "$1"
}

# The commands `graft help` lists, without help itself.
commands()
{
	"$graft" help | awk '/^Commands:/ { on = 1; next } on && !NF { exit }
		on && $1 != "help" { print $1 }'
}

# help_options COMMAND: the options --help of a command lists, as "-x" and "--long", a line
# each. Every command has -h and --help, so they are left out.
help_options()
{
	"$graft" "$1" --help | options_in_help
}

options_in_help()
{
	sed -n 's/^ *\(-.*\)/\1/p' | sed 's/   *.*//' |
		grep -oE '(^|[ ,|])--?[A-Za-z0-9][A-Za-z0-9-]*' | tr -d ' ,|' |
		grep -vxE -e '-h|--help' | sort -u
}
