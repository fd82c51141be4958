#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# At installation: makes BINDIR/ip a link to the program that answers `ip graft` and hands
# everything else to the next ip of PATH. A link, so that `ls -l` says whose it is and `rm`
# takes it away; a file that is there already stays.
#
# link_ip.sh auto|yes|no PREFIX BINDIR LIBEXECDIR	the last two below PREFIX
# auto is no where the real ip lives, and yes elsewhere.
set -eu
mode=$1 prefix=$2 bindir=$3 target=$2/$4/ip
link=${MESON_INSTALL_DESTDIR_PREFIX:-$prefix}/$bindir/ip

if [ "$mode" = auto ]; then
	case $prefix in
	/ | /usr) mode=no ;;
	*) mode=yes ;;
	esac
fi
[ "$mode" = yes ] || exit 0
if [ -L "$link" ] && [ "$(readlink "$link")" = "$target" ]; then
	exit 0
fi
if [ -e "$link" ] || [ -L "$link" ]; then
	echo "$link is somebody else's and stays; for \`ip graft\` put $target into PATH as ip"
	exit 0
fi
mkdir -p "${link%/*}"
ln -s "$target" "$link"
echo "$prefix/$bindir/ip answers \`ip graft\`, and the next ip of PATH everything else"
