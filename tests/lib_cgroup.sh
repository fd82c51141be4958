# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the scripts share that judge cgroups of their own, after enter_host: $TOP, a new
# cgroup, which goes with all that is below it.
MOUNT=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
[ -n "$MOUNT" ] || skip "no cgroup v2"
TOP=$(mktemp -d "$MOUNT/graft-test-XXXXXX") || skip "cannot make a cgroup"
trap leave_cgroups EXIT

# Whoever is left there goes, then the cgroups do.
leave_cgroups()
{
	local status=$? cgroup
	[ ! -e "$TOP/cgroup.kill" ] || echo 1 >"$TOP/cgroup.kill"
	within "$LIMIT" sh -c "! grep -q 1 '$TOP/cgroup.events'"
	find "$TOP" -depth -type d | while IFS= read -r cgroup; do rmdir "$cgroup"; done
	(exit "$status")
	leave_host
}

# in_cgroup CGROUP COMMAND...: in a subshell, which becomes it.
in_cgroup()
{
	local cgroup=$1
	shift
	# shellcheck disable=SC2016 # the inner shell's own
	exec sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cgroup" "$@"
}

# fails NAME STATUS TEXT COMMAND...
fails()
{
	local name=$1 wanted=$2 text=$3 output status
	shift 3
	output=$("$@" 2>&1)
	status=$?
	contains "$name: says why" "$text" "$output"
	equal "$name: status" "$wanted" "$status"
}
