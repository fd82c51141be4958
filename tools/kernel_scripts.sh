#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tools/kernel_scripts.sh DIRECTORY: puts checkpatch and the semantic patches of Linux, which
# no binary package has, into DIRECTORY/scripts, out of the installed package of its
# sources. What is there already is left alone. Says what is wrong in one line, and then its
# status is 1.
set -eu
package=linux-source-6.1

die()
{
	echo "$*"
	exit 1
}

[ $# = 1 ] || {
	echo "Usage: tools/kernel_scripts.sh DIRECTORY" >&2
	exit 2
}
archive=/usr/src/$package.tar.xz
[ -r "$archive" ] || die "$package is not installed"
version=$(dpkg-query -W -f '${Version}' "$package") || die "$package is not installed"
mkdir -p "$1"
cd "$1"
[ "$(cat version 2>/dev/null)" != "$version" ] || exit 0
work=$(mktemp -d new.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
tar -xf "$archive" -C "$work" --strip-components=1 --wildcards \
	'*/scripts/checkpatch.pl' '*/scripts/spelling.txt' \
	'*/scripts/const_structs.checkpatch' '*/scripts/coccinelle'
rm -rf scripts
mv "$work/scripts" scripts
echo "$version" >version
