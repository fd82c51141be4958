#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_kernel.sh NAME: af_graft.ko with one of the kernels of the file kernels. It is built,
# without a warning of compiler or sparse, and then a virtual machine boots that kernel with a
# system of this machine's files (image.sh), and runs checks.sh there, whose points follow
# ours. It needs no root, and changes nothing here.
#
# Environment: BUILD, what is installed into it (default: build/); PREFIX, its prefix;
# PROGRAMS, of the checks; GRAFT_CACHE, where kernels are kept; PATIENCE, seconds for the
# machine.
#
# By hand: KEEP, a directory for what the serial lines said; ONLY, the parts of checks.sh to be
# run, or "none": no machine; SOURCE, of another module; PACKAGED, another kernel, in a
# directory as tools/kernel_package.sh makes them.
CALLERS_PATH=$PATH
. "$(dirname "$0")/../lib.sh"
PATH=$PATH:$CALLERS_PATH # meson may be anywhere
BUILD=${BUILD-$SOURCE_DIR/build}
export BUILD PREFIX=${PREFIX-/usr/local}
PROGRAMS=${PROGRAMS-$BUILD/tests/kmod/family_socket $BUILD/tests/kmod/native}
PATIENCE=${PATIENCE-1200}
. "${0%/*}/../lib_machine.sh"
. "${0%/*}/lib_build.sh"

need_all()
{
	need_machine
	need make meson ip ss setpriv nsenter unshare modinfo depmod
	case $PREFIX/ in
	/root/*) skip "graft is installed where only root may read" ;;
	esac
}

# On a kernel that came after the module, that it does not build is news and no failure.
build()
{
	if [ -n "${SOURCE-}" ]; then
		cp -R "$SOURCE" "$DIR/module"
	else
		copy_module "$DIR/module"
	fi
	use_sparse "$PACKAGED/headers"
	if ! make_module "$PACKAGED/headers" "$DIR/module" W=1 "${SPARSE[@]}" modules; then
		! is_newer_than_known "$VERSION" ||
			skip "does not build for $VERSION: $(warnings "$DIR/module.log" | head -n 1)"
		not_ok "$VERSION: it builds" "$(tail -n 30 "$DIR/module.log")"
		finish
	fi
	ok "$VERSION: it builds"
	equal "$VERSION: without a warning" "" "$(warnings "$DIR/module.log")"
}

# Emulated processors make mistakes: one ran into a breakpoint that was gone when the kernel
# changed its own code. What it dies of before the module was loaded is no fault of the
# module's.
has_died_early()
{
	grep -q 'Kernel panic' "$DIR/console" && ! grep -q 'af_graft' "$DIR/console"
}

boot()
{
	local programs
	read -ra programs <<<"$PROGRAMS"
	"$LIB_DIR/kmod/image.sh" "$DIR/module/af_graft.ko" "$PACKAGED/modules" "$DIR" \
		"${programs[@]}" >"$DIR/log" 2>&1 || {
		comment "$(tail -n 10 "$DIR/log")"
		die "cannot make a root file system"
	}
	KERNEL=$PACKAGED/vmlinuz
	for _ in 1 2 3; do
		run_machine log_buf_len=4M ${ONLY:+"checks=${ONLY// /,}"}
		! has_died_early || comment "the machine died before there was a module" \
			"$(last_words)"
		has_died_early || break
	done
	[ -z "${KEEP-}" ] || {
		mkdir -p "$KEEP"
		cp "$DIR/console" "$DIR/tap" "$KEEP/"
	}
}

need_all
DIR=$(mktemp -d) || die "no directory"
trap leave_machine EXIT
trap 'exit 1' INT TERM HUP
[ -n "${PACKAGED-}" ] || kernel_named "$1"
VERSION=$(cat "$PACKAGED/version")
build
[ "${ONLY-}" != none ] || finish
boot
report_machine
[ "$FAILED" = 0 ] || exit 1
! grep -q '^not ok' "$DIR/points" || exit 1
