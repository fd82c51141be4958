#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every defect that earlier AF_GRAFT software was known to have, as a case; the table is
# defects/list, and docs/defects.md is written from it and from what happened.
#
#	test_defects.sh [--only NUMBER|NAME] [--write-docs FILE | --check-docs FILE]
#
# The checks of C cases are in defects/*.c, those that take other programs in defects_*.sh.
# shellcheck disable=SC2034 # variables of the files that are sourced
. "$(dirname "$0")/../lib_graftd.sh"
. "$(dirname "$0")/defects_env.sh"
. "$(dirname "$0")/defects_broker.sh"
. "$(dirname "$0")/defects_programs.sh"

LIST=$LIB_DIR/preload/defects/list
DEFECTS=${DEFECTS-$SOURCE_DIR/build/tests/preload/defects}
ONLY='' DOCS='' DOCS_MODE=''

# --- one case ------------------------------------------------------------------------

# A case's failures are collected here, to be one point.
WRONG=()
SKIPPED=''

wrong()
{
	WRONG+=("$*")
}

# is NAME WANTED GOT; has NAME PATTERN TEXT; does NAME COMMAND...: checks of a shell case.
is()
{
	[ "$2" = "$3" ] || wrong "$1: wanted '$2', got '$3'"
}

has()
{
	grep -Eq -- "$2" <<<"$3" || wrong "$1: no match of '$2' in '$(tail -n 8 <<<"$3")'"
}

does()
{
	local name=$1 output
	shift
	output=$("$@" 2>&1) || wrong "$name: status $? from $*: $(tail -n 12 <<<"$output")"
}

# one WAY NAME WANTED: WANTED is good or bad.
one()
{
	local output status
	output=$("case_$1" "$2" 2>&1)
	status=$?
	if [ "$status" = 77 ]; then
		SKIPPED=${output##*not here: }
	elif [ "$3" = good ] && [ "$status" != 0 ]; then
		wrong "$1: status $status
$(head -n 8 <<<"$output")"
	elif [ "$3" = bad ] && [ "$status" = 0 ]; then
		wrong "passes without the library too, so it notices nothing"
	fi
}

run_case() # NAME KIND
{
	case $2 in
	same | graft) one native "$1" good ;;
	esac
	case $2 in
	graft | only) one bare "$1" bad ;;
	esac
	case $2 in
	shell) "case_$1" ;;
	*) one grafted "$1" good ;;
	esac
	within 5 answers || wrong "graftd does not answer afterwards"
}

# --- all of them ---------------------------------------------------------------------

declare -A RESULT=()

report() # NUMBER TITLE NAME
{
	local name="11.$1 $2: $3"
	if [ ${#WRONG[@]} -gt 0 ]; then
		not_ok "$name" "$(printf '%s\n' "${WRONG[@]}")"
		RESULT[$3]=fails
	elif [ -n "$SKIPPED" ]; then
		skip_point "$name" "$SKIPPED"
		RESULT[$3]=skipped
	else
		ok "$name"
		RESULT[$3]=passes
	fi
}

# each FUNCTION: NUMBER TITLE NAME KIND WHAT, in the order of the list.
each()
{
	local number='' title='' name kind what
	while read -r name kind what; do
		case $name in
		'' | '#'*) continue ;;
		=) number=$kind title=$what ;;
		*) "$1" "$number" "$title" "$name" "$kind" "$what" ;;
		esac
	done 3<&0 <"$LIST"
}

each_case()
{
	[ -z "$ONLY" ] || [ "$ONLY" = "$1" ] || [ "$ONLY" = "$3" ] || return 0
	WRONG=() SKIPPED=''
	run_case "$3" "$4" </dev/null
	report "$1" "$2" "$3"
}

# Each number is there, each C case is listed, and the other way round.
each_number() { NUMBERS+=" $1"; }
each_c_case() { [ "$4" = shell ] || LISTED+=("$3"); }
check_list()
{
	NUMBERS='' LISTED=()
	each each_number
	each each_c_case
	equal "the list has every number from 1 to 48" "$(seq 48)" \
		"$(tr ' ' '\n' <<<"$NUMBERS" | grep . | sort -nu)"
	check "the list and the program have the same cases" diff \
		<(printf '%s\n' "${LISTED[@]}" | sort) \
		<("$DEFECTS" --list | grep -vxF "$(printf '%s\n' churn default_source \
			loopback_guard no_broker disabled one_rule look_up_names)" | sort)
}

# --- the page ------------------------------------------------------------------------

each_row()
{
	local how result=${RESULT[$3]-passes}
	case $4 in
	same) how='as plain sockets do' ;;
	graft) how='as plain sockets do, and fails ungrafted' ;;
	only) how='fails ungrafted' ;;
	shell) how='with programs' ;;
	esac
	# What cannot be tried on some machine was tried on another.
	[ "$result" != skipped ] || result=passes
	# shellcheck disable=SC2016
	printf '| 11.%s | %s | `%s`: %s | %s | %s |\n' "$1" "${2//|/\\|}" "$3" "${5//|/\\|}" \
		"$how" "$result"
}

write_page()
{
	cat <<'END'
# Defects of earlier AF_GRAFT software, as tests

<!-- Written by tests/preload/test_defects.sh --write-docs; do not edit. -->

The kernel module, the modified `ip` and the preload libraries of 2017-2019 had these
defects; the numbers are those of the list they were collected in. Each is a case that
`meson test --suite preload` runs with `libgraft-hijack.so` and `graftd` on a stock kernel.
What was a matter of the kernel module alone is tried for the same behaviour on grafted
sockets. "As plain sockets do" means that the same case passes on sockets of the host
without graft, so it is Linux that says what is right; "fails ungrafted" that it fails in
a container's namespace without the library, so it does notice.

| | defect | case | holds | result |
|---|---|---|---|---|
END
	each each_row
}

check_docs()
{
	write_page >"$T/defects.md"
	if [ "$DOCS_MODE" = write ]; then
		[ "$FAILED" = 0 ] || die "cases failed: nothing is written"
		cat "$T/defects.md" >"$DOCS"
	else
		check "${DOCS##*/} says this (else: --write-docs)" diff "$DOCS" "$T/defects.md"
	fi
}

# --- all -----------------------------------------------------------------------------

ARGUMENTS=("$@")
while [ $# -gt 0 ]; do
	case $1 in
	--only) ONLY=$2 ;;
	--write-docs) DOCS=$2 DOCS_MODE=write ;;
	--check-docs) DOCS=$2 DOCS_MODE=check ;;
	*) die "what is $1?" ;;
	esac
	shift 2
done
[ -z "$DOCS" ] || DOCS=$(realpath "$DOCS")
enter_host "${ARGUMENTS[@]}"
need ip nsenter curl "$PYTHON"
need_graftd
prepare_defects
# shellcheck disable=SC2119
start_graftd
check_list
each each_case
[ -z "$DOCS" ] || [ -n "$ONLY" ] || check_docs
finish
