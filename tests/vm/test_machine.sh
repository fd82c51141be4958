#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# graftd's units under systemd itself: a virtual machine boots Debian's kernel and a system
# of this machine's files (root.sh), whose PID 1 is systemd, and runs guest.sh there.
#
# The TAP of guest.sh is this test's. It needs no root, and changes nothing here.
#
# Environment: BUILD, what is installed into it (default: build/); PREFIX, its prefix; PEER,
# the program of peer.c; KERNEL, another kernel than Debian's, with the directory of its
# modules in MODULES; PATIENCE, seconds for the machine; GRAFT_CACHE, where kernels are kept.
CALLERS_PATH=$PATH
. "$(dirname "$0")/../lib.sh"
PATH=$PATH:$CALLERS_PATH # meson may be anywhere
BUILD=${BUILD-$SOURCE_DIR/build}
PREFIX=${PREFIX-/usr/local}
PEER=${PEER-$BUILD/tests/vm/peer}
PATIENCE=${PATIENCE-800}
. "${0%/*}/../lib_machine.sh"

need_all()
{
	local file
	need_engine
	case $PREFIX/ in
	/root/*) skip "graft is installed where only root may read" ;;
	esac
	need_machine
	need meson systemctl systemd-analyze journalctl ip setpriv nsenter
	for file in systemd systemd-journald systemd-shutdown; do
		[ -x /lib/systemd/$file ] || skip "/lib/systemd/$file is not installed"
	done
	[ -x "$PEER" ] || die "no $PEER; build it"
}

find_kernel()
{
	[ -z "${KERNEL-}" ] || return 0
	packaged_kernel bookworm
	KERNEL=$PACKAGED/vmlinuz MODULES=$PACKAGED/modules
}

need_all
DIR=$(mktemp -d) || die "no directory"
trap leave_machine EXIT
trap 'exit 1' INT TERM HUP
find_kernel
"$LIB_DIR/vm/root.sh" "$BUILD" "$PREFIX" "$PEER" "${MODULES-}" "$DIR" >"$DIR/log" 2>&1 || {
	comment "$(tail -n 10 "$DIR/log")"
	die "cannot make a root file system"
}
run_machine quiet systemd.unit=checks.service
report_machine
! grep -q '^not ok' "$DIR/points" || exit 1
