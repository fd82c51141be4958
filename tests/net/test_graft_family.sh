#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Programs written for AF_GRAFT, without the module.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
need_engine
FAMILY=$T/bin/graft_family
cp "${GRAFT_FAMILY:-$SOURCE_DIR/build/tests/net/graft_family}" "$FAMILY" ||
	die "no graft_family"

# One point for each line of the program's.
take_points() # NAME TEXT
{
	local line
	grep -q '^1\.\.[1-9]' <<<"$2" || not_ok "$1: it comes to its end" "$2"
	while read -r line; do
		case $line in
		"ok "*) ok "$1: ${line#* - }" ;;
		"not ok "*) not_ok "$1: ${line#* - }" ;;
		esac
	done <<<"$2"
}

family()
{
	local dir=$T/family.$WHO
	own_dir "$dir"
	local rules=(
		--rule 'endpoint ep-stream ipv4 127.0.0.1:7070'
		--rule 'endpoint ep-six ipv6 [::1]:7071'
		--rule 'endpoint ep-16-characters ipv4 127.0.0.1:7072'
		--rule 'endpoint ep-any ipv4 127.0.0.1:dynamic'
		--rule "endpoint ep-path unix $dir/socket"
	)
	take_points "$WHO" "$(try "${rules[@]}" -- "$FAMILY" 2>&1)"
	take_points "$WHO with a source" "$(try "${rules[@]}" \
		--rule 'endpoint default-source ipv4 127.0.0.1:7079' \
		-- "$FAMILY" --source 2>&1)"
}
each_user family
finish
