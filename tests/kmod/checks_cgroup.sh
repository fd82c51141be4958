# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# By ONLY=cgroup_cases: the cases of tests/cgroup with the machine's kernel. By ONLY=cgroup_few:
# some of them, for each kernel has a verifier of its own. The module has no part in it; the
# machine has the kernel.

cgroup_few()
{
	run_cgroup_cases connect_is_rewritten denials_have_their_errno \
		dynamic_endpoint_is_filled_by_who_binds own_loopback_is_one \
		own_loopback_picks_no_port_that_another_asked_for
}

cgroup_cases()
{
	# shellcheck disable=SC2046 # names
	run_cgroup_cases $("$PYTHON" "$HERE/../cgroup/cases.py" --list)
}

# By ONLY=steer: what published ports of containers want of the kernel, but for the packet
# filter, whose modules the machine does not have.
steer()
{
	check "connections are steered" /checks/steered steer
}

run_cgroup_cases() # NAME...
{
	local name cases=$HERE/../cgroup/cases.py
	local user=(setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all
		--inh-caps -all)
	mount -t cgroup2 cgroup2 /sys/fs/cgroup || die "no cgroup v2"
	for name; do
		"$PYTHON" "$cases" --policy "$name" >"$T/policy"
		check "cgroup, root: $name" unshare -n sh -c 'ip link set lo up && exec "$@"' - \
			graft run --engine cgroup --policy "$T/policy" -- "$PYTHON" "$cases" "$name"
		"$PYTHON" "$cases" --user "$name" || continue
		check "cgroup, user: $name" unshare -n sh -c 'ip link set lo up && exec "$@"' - \
			graft run --engine cgroup --policy "$T/policy" -- "${user[@]}" \
			"$PYTHON" "$cases" "$name"
	done
	cgroup_unix
	cgroup_revoke
	umount /sys/fs/cgroup
}

# Rules on UNIX paths, where the kernel has hooks for them; elsewhere they are refused, and
# doctor says so.
cgroup_unix()
{
	local name cases=$HERE/../cgroup/unix_cases.py output
	export CASES_DIR=$T/sockets
	if ! grep -qw bpf_sock_addr_set_sun_path /proc/kallsyms; then
		output=$(graft run --engine cgroup --rule 'connect unix /x = deny' -- true 2>&1)
		equal "cgroup: a UNIX path is refused: status" 125 $?
		contains "cgroup: and the line says why" \
			"--rule:1: 'connect unix /x = deny': this kernel has no hooks for UNIX paths" \
			"$output"
		contains "doctor says so" "rules on UNIX paths are refused" "$(graft doctor)"
		return
	fi
	equal "doctor has nothing to say of UNIX paths" "" "$(graft doctor | grep 'UNIX paths')"
	for name in connect_is_rewritten_0 datagrams_are_rewritten_1 denials_have_their_errno \
		all_is_denied_but_what_is_allowed; do
		rm -rf "$CASES_DIR"
		mkdir -m 777 "$CASES_DIR"
		"$PYTHON" "$cases" --policy "$name" >"$T/policy"
		check "cgroup, UNIX: $name" graft run --engine cgroup --policy "$T/policy" -- \
			"$PYTHON" "$cases" "$name"
	done
}

# Some of `graft revoke`: connections, what the kernel cannot destroy, datagrams, and UNIX
# sockets where there are rules for them.
cgroup_revoke()
{
	local name cases=$HERE/../cgroup names=(revoke.py/{rule_plain4,rule_rewritten4,attach_again}
		revoke.py/unsent revoke_sockets.py/{bound_only,datagrams4})
	export GRAFT=graft CGROUP_TOP=/sys/fs/cgroup/revoke T
	! grep -qw bpf_sock_addr_set_sun_path /proc/kallsyms ||
		names+=(revoke_unix.py/unix_{rule_stream,rule_own_datagram,endpoint_seqpacket}
			revoke_unix.py/unix_{policy_replaced_stream,on_its_way_stream,waiting})
	for name in "${names[@]}"; do
		mkdir "$CGROUP_TOP"
		check "revoke: ${name#*/}" unshare -n sh -c 'ip link set lo up && exec "$@"' - \
			"$PYTHON" "$cases/${name%/*}" "${name#*/}"
		within 20 sh -c "! grep -q 'populated 1' '$CGROUP_TOP/cgroup.events'"
		find "$CGROUP_TOP" -depth -type d -exec rmdir {} \;
	done
}
