#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# graft revoke: the cases of revoke.py, revoke_sockets.py and revoke_unix.py, each in cgroups
# of its own.
. "$(dirname "$0")/../lib.sh"
enter_host "$@"
[ "$(id -u)" = 0 ] || skip "needs root"

MOUNT=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
[ -n "$MOUNT" ] || skip "no cgroup v2"
CASES=("$SOURCE_DIR"/tests/cgroup/revoke.py "$SOURCE_DIR"/tests/cgroup/revoke_sockets.py)
! grep -qw bpf_sock_addr_set_sun_path /proc/kallsyms ||
	CASES+=("$SOURCE_DIR"/tests/cgroup/revoke_unix.py)
export GRAFT T

# Where nobody answers a connect() is to end soon.
# shellcheck disable=SC2016 # the inner shell's own
PREPARE='ip link set lo up; linear=/proc/sys/net/ipv4/tcp_syn_linear_timeouts
[ ! -e $linear ] || echo 0 >$linear'
for cases in "${CASES[@]}"; do
	for name in $("$PYTHON" "$cases" --list); do
		[[ " ${GRAFT_CASES-$name} " == *" $name "* ]] || continue
		CGROUP_TOP=$(mktemp -d "$MOUNT/graft-revoke-XXXXXX") || die "cannot make a cgroup"
		export CGROUP_TOP
		check "$name" unshare -n sh -c "$PREPARE; exec \"\$@\"" - \
			timeout -k 5 120 "$PYTHON" "$cases" "$name"
		[ ! -e "$CGROUP_TOP/cgroup.kill" ] || echo 1 >"$CGROUP_TOP/cgroup.kill"
		within "$LIMIT" sh -c "! grep -q 'populated 1' '$CGROUP_TOP/cgroup.events'"
		find "$CGROUP_TOP" -depth -type d -exec rmdir {} \;
	done
done
finish
