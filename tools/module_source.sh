#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tools/module_source.sh DIRECTORY: puts all that af_graft.ko is built from into DIRECTORY,
# for DKMS or for a build beside the sources. By hand, as root:
#
#	tools/module_source.sh /usr/src/af_graft-0.1.0
#	dkms install af_graft/0.1.0
set -eu
[ $# = 1 ] || {
	echo "Usage: tools/module_source.sh DIRECTORY" >&2
	exit 2
}
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1/uapi/linux"
cp "$here"/kmod/*.c "$here"/kmod/*.h "$here/kmod/Kbuild" "$here/kmod/dkms.conf" "$1/"
cp "$here/include/uapi/linux/graft.h" "$1/uapi/linux/"
