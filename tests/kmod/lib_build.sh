# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Building af_graft.ko, on top of lib.sh and lib_machine.sh. Kbuild writes beside the
# sources, so it is given a copy.

# kernel_named NAME: a row of the file kernels -> PACKAGED, the directory it is in
kernel_named()
{
	local suites
	suites=$(sed -n "s/^$1[[:space:]][[:space:]]*//p" "$LIB_DIR/kmod/kernels")
	[ -n "$suites" ] || die "tests/kmod/kernels has no $1"
	# shellcheck disable=SC2086 # words
	packaged_kernel $suites
}

is_newer_than_known() # VERSION
{
	local known
	known=$(sed -n 's/^# newest-known //p' "$LIB_DIR/kmod/kernels")
	[ "$(printf '%s\n' "$known.999" "$1" | sort -V | tail -n 1)" = "$1" ]
}

copy_module() # DIRECTORY
{
	"$SOURCE_DIR/tools/module_source.sh" "$1"
}

# sparse, where the packaged headers have all that it takes: -> SPARSE, for make_module
use_sparse() # HEADERS
{
	SPARSE=()
	if ! command -v sparse >/dev/null; then
		comment "sparse is not installed"
	elif grep -q checker-valid "$(readlink -f "$1")"/../*-common/Makefile &&
		[ ! -e "$1/scripts/checker-valid.sh" ]; then
		comment "sparse: headers of this kernel are not made for it"
	else
		SPARSE=(C=1 CHECK=sparse)
	fi
}

# make_module HEADERS DIRECTORY ARGUMENT...: what make says is in DIRECTORY.log
make_module()
{
	local headers=$1 dir=$2
	shift 2
	make -s -C "$headers" M="$dir" "$@" >"$dir.log" 2>&1
}

# What the compiler, modpost, objtool and sparse warn of.
warnings() # LOG
{
	grep -iE 'warning:|error:' "$1"
}
