#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# graftd's units under systemd itself: a virtual machine boots Debian's kernel and a system
# of this machine's files (root.sh), whose PID 1 is systemd, and runs guest.sh there.
#
#	kernel.sh, root.sh --> QEMU (emulated, so it runs wherever QEMU does)
#				first serial line: console
#				second serial line: the TAP of guest.sh, which is this test's
#
# The machine has no network and no disk. It needs no root, and changes nothing here.
#
# Environment: BUILD, what is installed into it (default: build/); PREFIX, its prefix; PEER,
# the program of peer.c; KERNEL, another kernel than Debian's, with the directory of its
# modules in MODULES; CACHE, where Debian's is kept; PATIENCE, seconds for the machine.
CALLERS_PATH=$PATH
. "$(dirname "$0")/../lib.sh"
PATH=$PATH:$CALLERS_PATH # meson may be anywhere
BUILD=${BUILD-$SOURCE_DIR/build}
PREFIX=${PREFIX-/usr/local}
PEER=${PEER-$BUILD/tests/vm/peer}
CACHE=${CACHE-$BUILD/tests/vm/kernel}
PATIENCE=${PATIENCE-240}

need_all()
{
	local file
	need_engine
	case $PREFIX/ in
	/root/*) skip "graft is installed where only root may read" ;;
	esac
	[ "$(uname -m)" = x86_64 ] || skip "for x86_64 only"
	need qemu-system-x86_64 busybox cpio meson systemctl systemd-analyze journalctl ip \
		setpriv nsenter
	for file in systemd systemd-journald systemd-shutdown; do
		[ -x /lib/systemd/$file ] || skip "/lib/systemd/$file is not installed"
	done
	! ldd "$(command -v busybox)" >/dev/null 2>&1 || skip "busybox is not a static program"
	[ -x "$PEER" ] || die "no $PEER; build it"
}

find_kernel()
{
	local reason
	[ -z "${KERNEL-}" ] || return 0
	reason=$("$LIB_DIR/vm/kernel.sh" "$CACHE" 2>&1) || skip "no kernel: ${reason##*$'\n'}"
	KERNEL=$CACHE/vmlinuz MODULES=$CACHE/modules
}

# Two of two processors: what races is to have the chance.
run_machine()
{
	timeout -k 5 "$PATIENCE" qemu-system-x86_64 -nodefaults -no-user-config \
		-machine pc -accel tcg,thread=multi -cpu max -smp 2 -m 1024 \
		-display none -no-reboot -kernel "$KERNEL" -initrd "$DIR/initrd" \
		-append "console=ttyS0 quiet panic=-1 mitigations=off systemd.unit=checks.service" \
		-serial "file:$DIR/console" -serial "file:$DIR/tap" </dev/null >"$DIR/qemu" 2>&1 &
	MACHINE=$!
	wait "$MACHINE"
	MACHINE_STATUS=$?
	MACHINE=
}

leave()
{
	[ -z "${MACHINE-}" ] || kill "$MACHINE" 2>/dev/null
	rm -rf "$DIR"
}

# The points are those of the machine; that there are none, or not all, is one of ours.
report()
{
	local plan
	tr -d '\r' <"$DIR/tap" >"$DIR/points"
	plan=$(grep -c '^1\.\.[0-9]' "$DIR/points")
	cat "$DIR/points"
	[ "$plan" != 1 ] || return 0
	comment "--- QEMU: status $MACHINE_STATUS" "$(tail -n 5 "$DIR/qemu")"
	comment "--- end of the console" "$(tail -n 40 "$DIR/console" | tr -d '\r')"
	die "the machine did not come to its end within $PATIENCE s"
}

need_all
DIR=$(mktemp -d) || die "no directory"
trap leave EXIT
trap 'exit 1' INT TERM HUP
find_kernel
"$LIB_DIR/vm/root.sh" "$BUILD" "$PREFIX" "$PEER" "${MODULES-}" "$DIR" >"$DIR/log" 2>&1 || {
	comment "$(tail -n 10 "$DIR/log")"
	die "cannot make a root file system"
}
run_machine
report
! grep -q '^not ok' "$DIR/points" || exit 1
