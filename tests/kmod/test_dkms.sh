#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# DKMS builds af_graft.ko, in a tree of its own, for the oldest and the newest of the kernels.
#
# Environment: BUILD; GRAFT_CACHE, where kernels are kept.
. "$(dirname "$0")/../lib.sh"
BUILD=${BUILD-$SOURCE_DIR/build}
. "${0%/*}/../lib_machine.sh"
. "${0%/*}/lib_build.sh"

setting() # NAME
{
	sed -n "s/^$1=\"\(.*\)\"$/\1/p" "$SOURCE_DIR/kmod/dkms.conf"
}

dkms_do() # ACTION ARGUMENT...
{
	local action=$1
	shift
	dkms "$action" --dkmstree "$DIR/tree" --sourcetree "$DIR/src" -m "$MODULE" "$@" \
		>"$DIR/log" 2>&1 || {
		tail -n 20 "$DIR/log" "$DIR"/tree/*/*/build/make.log
		return 1
	}
}

builds() # NAME
{
	local version built
	kernel_named "$1"
	version=$(cat "$PACKAGED/version")
	check "$version: dkms build" dkms_do build -k "$version" --arch x86_64 \
		--kernelsourcedir "$PACKAGED/headers" || return
	built=$(find "$DIR/tree/$MODULE/$version" -name 'af_graft.ko*')
	equal "$version: a module for it" "$version ${MODULE#*/}" \
		"$(modinfo -F vermagic "$built" | cut -d' ' -f1) $(modinfo -F version "$built")"
}

need dkms make modinfo
[ "$(uname -m)" = x86_64 ] || skip "for x86_64 only"
DIR=$(mktemp -d) || die "no directory"
trap 'rm -rf "$DIR"' EXIT
trap 'exit 1' INT TERM HUP
MODULE=$(setting PACKAGE_NAME)/$(setting PACKAGE_VERSION)
equal "dkms.conf: the version is the project's" \
	"$(sed -n "s/^ *version: '\(.*\)',/\1/p" "$SOURCE_DIR/meson.build" | head -n 1)" \
	"${MODULE#*/}"
mkdir "$DIR/tree" "$DIR/src"
copy_module "$DIR/src/${MODULE/\//-}"
check "dkms add" dkms_do add
builds 6.1
builds newest
finish
