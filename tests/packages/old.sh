#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# old.sh PACKAGES DIRECTORY: makes of each package in PACKAGES one that could have been before
# it: the same, but of a lower version, and in graft
#
#	/etc/graft/graftd.conf		has other comments, as a new version may
#	/usr/share/doc/graft/old	is a file that the next version has not
set -eu
umask 022
from=$1 to=$2
mkdir -p "$to"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Checksums of files are in the package, too.
change() # TREE
{
	echo '# Older.' >>"$1/etc/graft/graftd.conf"
	echo old >"$1/usr/share/doc/graft/old"
	(cd "$1" && find . -path ./DEBIAN -prune -o -path ./etc -prune -o -type f -printf '%P\0' |
		xargs -0 md5sum >DEBIAN/md5sums)
}

for file in "$from"/*.deb; do
	case $file in
	*-dbgsym_*) continue ;;
	esac
	version=$(dpkg-deb -f "$file" Version)
	old=$version~old
	dpkg-deb -R "$file" "$work/tree"
	sed -i "s/^Version: .*/Version: $old/; s/(= $version)/(= $old)/" \
		"$work/tree/DEBIAN/control"
	[ "$(dpkg-deb -f "$file" Package)" != graft ] || change "$work/tree"
	dpkg-deb --root-owner-group -b "$work/tree" "$to/" >/dev/null
	rm -r "$work/tree"
done
