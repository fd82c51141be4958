#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds the Debian packages, as any user who has what tools/deps.sh deb installs:
#
#	tools/deb.sh [DIRECTORY [DPKG-BUILDPACKAGE-OPTION...]]
#
# into DIRECTORY, or build/deb. The tree is left alone: its files, without those that git
# does not know, become DIRECTORY/graft_VERSION.orig.tar.xz, and what is unpacked from there,
# with packaging/debian as debian/, is built. That is told by the changelog alone, so the
# same files give the same packages, wherever and whenever.
#
# DEB_BUILD_OPTIONS as ever: nocheck leaves out the tests, and parallel=N is all processors
# without it.
set -eu
export LC_ALL=C
umask 022

die()
{
	echo "deb.sh: $*" >&2
	exit 1
}

# What is built from: NUL after each name.
files()
{
	if [ -e .git ]; then
		git -c safe.directory='*' ls-files -z
	else
		find . \( -name .git -o -name 'build*' -type d -o -name __pycache__ \) -prune -o \
			! -type d -printf '%P\0'
	fi | grep -zv '^packaging/debian/' | sort -z
}

here=$(cd "$(dirname "$0")/.." && pwd)
to=${1-$here/build/deb}
[ $# = 0 ] || shift
for program in dpkg-buildpackage dh xz; do
	command -v "$program" >/dev/null || die "$program is missing; sudo tools/deps.sh deb"
done
mkdir -p "$to"
to=$(cd "$to" && pwd)
cd "$here"
changelog=packaging/debian/changelog
version=$(dpkg-parsechangelog -l "$changelog" -S Version)
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l "$changelog" -S Timestamp)
export SOURCE_DATE_EPOCH
upstream=${version%-*}
grep -q "^    version: '$upstream',\$" meson.build ||
	die "$changelog: its version, $upstream, is not that of meson.build"
tree=$to/graft-$upstream

rm -rf "$tree"
files >"$to/files"
grep -qz '^meson\.build$' "$to/files" || die "git ls-files does not know the tree"
tar --create --null --files-from="$to/files" --no-recursion --transform "s,^,graft-$upstream/," \
	--mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
	--mode=u=rwX,go=rX --format=ustar | xz -T1 >"$to/graft_$upstream.orig.tar.xz"
tar -xf "$to/graft_$upstream.orig.tar.xz" -C "$to"
rm "$to/files"
cp -r packaging/debian "$tree/debian"
chmod -R u=rwX,go=rX "$tree/debian"
cd "$tree"
case " ${DEB_BUILD_OPTIONS-} " in
*' parallel='*) ;;
*) DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS-} parallel=$(nproc)" ;;
esac
export DEB_BUILD_OPTIONS
dpkg-buildpackage --unsigned-source --unsigned-changes "$@"
cd "$to"
rm -rf "$tree"
ls ./*"_$version"[._]*
