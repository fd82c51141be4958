#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Completes with bash as a user would, and lets zsh and fish parse theirs where they are
# installed.
set -eu
. "$(dirname "$0")/lib.sh"
[ -x "$graft" ] || skip "no program at $graft"
# shellcheck source=../../completions/graft.bash
. "$root/completions/graft.bash"

private=$(mktemp -d)
trap 'rm -rf "$private"' EXIT
touch "$private/first.conf"

# complete_line WORD...: what <TAB> at the end of `graft WORD...` offers, sorted.
complete_line()
{
	COMP_WORDS=("$graft" "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_graft
	printf '%s\n' "${COMPREPLY[@]}" | sed '/^$/d' | sort
}

# expect WANTED... -- WORD...: the completion of WORD... is exactly WANTED.
expect()
{
	local wanted=()
	while [ "$1" != -- ]; do
		wanted+=("$1")
		shift
	done
	shift
	diff <(printf '%s\n' "${wanted[@]}" | sed '/^$/d' | sort) <(complete_line "$@") \
		>"$private/diff" && return
	echo "completions/graft.bash: graft $*<TAB>:"
	sed -n 's/^</  lacks/p;s/^>/  should not offer/p' "$private/diff"
}

check()
{
	local command all
	mapfile -t all < <(commands; echo help)
	expect "${all[@]}" -- ''
	expect explain -- ex
	for command in $(commands); do
		mapfile -t all < <(help_options "$command" | grep -e '^--'; echo --help)
		expect "${all[@]}" -- "$command" --
	done
	expect auto notify preload af_graft cgroup -- run --engine ''
	expect notify -- run --engine n
	expect auto none -- run --dns ''
	expect "$private/first.conf" -- run --policy "$private/fi"
	expect "$private/first.conf" -- check "$private/fi"
	expect bind connect -- explain ''
	expect tcp udp -- explain --policy x bind ''
	expect tcp udp unix -- explain --policy x connect ''
	expect '' -- run --name ''
	expect "$private/first.conf" -- add --batch "$private/fi"
	expect type ipv4 ipv6 unix any -- add x ''
	expect ipv4 ipv6 unix any -- add x type ''
	expect dynamic -- add x type ipv4 port d
	# Behind PROGRAM its own arguments follow: files, and no option of ours.
	expect '' -- run -p 8080:80 true --pol
	complete_line run -- mkte | grep -qx mktemp ||
		echo 'completions/graft.bash: run -- does not offer programs'
	if command -v zsh >/dev/null; then
		zsh -n completions/_graft 2>&1 || true
	fi
	if command -v fish >/dev/null; then
		fish -n completions/graft.fish 2>&1 || true
	fi
}

finish "$(check)"
