#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The checks of af_graft.ko, run by the first process of the machine that image.sh made.
# Output is TAP; the console has what is said on stderr.
#
# Environment: PREFIX, where graft is installed.
. "${0%/*}/lib_checks.sh"
for file in "$HERE"/checks_*.sh; do
	# shellcheck source=/dev/null
	. "$file"
done

ALL=(programs description loading numbers autoload busy again native
	netlink_words netlink_lacks netlink_ip netlink_batch netlink_users netlink_old_abi
	netlink_strict netlink_events netlink_many netlink_namespaces engine sessions)
ONLY=()
comment "Linux $(uname -r), $(nproc) processors"
MARK="nothing yet"
equal "boot: the kernel does not complain" "" "$(complaints)"
for name in $(sed -n 's/.*checks=\([a-z_,]*\).*/\1/p' /proc/cmdline | tr , ' '); do
	ONLY+=("$name")
done
[ "${#ONLY[@]}" != 0 ] || ONLY=("${ALL[@]}")
for name in "${ONLY[@]}"; do
	part "$name"
done
finish
