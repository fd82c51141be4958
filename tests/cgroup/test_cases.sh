#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The cases of cases.py and unix_cases.py behind `graft run --engine cgroup`: as root, and as
# a user that root starts in it.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
[ "$(id -u)" = 0 ] || skip "needs root"

export CASES_DIR=$T/sockets
fresh_dir()
{
	rm -rf "$CASES_DIR"
	mkdir -m 777 "$CASES_DIR"
}

run_cases() # FILE PREFIX
{
	local cases=$T/bin/$1 of=$2 name
	for name in $("$PYTHON" "$cases" --list); do
		[[ " ${GRAFT_CASES-$name} " == *" $name "* ]] || continue
		"$PYTHON" "$cases" --policy "$name" >"$T/$name.conf"
		fresh_dir
		check "root: $of$name" "$GRAFT" run --engine cgroup --policy "$T/$name.conf" -- \
			"$PYTHON" "$cases" "$name"
		"$PYTHON" "$cases" --user "$name" || continue
		fresh_dir
		check "user: $of$name" "$GRAFT" run --engine cgroup --policy "$T/$name.conf" -- \
			setpriv --reuid 65534 --regid 65534 --clear-groups \
			--bounding-set -all --inh-caps -all "$PYTHON" "$cases" "$name"
	done
}

for file in cases.py unix_cases.py; do
	cp "$SOURCE_DIR/tests/cgroup/$file" "$T/bin/"
	chmod 755 "$T/bin/$file"
done
run_cases cases.py ""
if grep -qw bpf_sock_addr_set_sun_path /proc/kallsyms; then
	run_cases unix_cases.py "unix: "
else
	skip_point "rules on UNIX paths" "this kernel has no hooks for them"
fi
finish
