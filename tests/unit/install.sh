#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What `make install` puts where, and that `make uninstall` takes it all away and nothing
# else. install.sh SOURCE BUILD PREFIX
set -eu
source=$1 build=$2 prefix=$3

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM HUP
export DESTDIR="$dir/to"

wanted()
{
	echo bin/graft
	echo bin/graft-runtime
	echo sbin/graftd
	echo libexec/graft/ip
	echo lib/systemd/system/graftd.service
	echo lib/systemd/system/graftd.socket
	[ "$prefix" = /usr ] || echo bin/ip
	echo lib/libgraft-hijack.so
	echo lib/libgraft.so
	echo lib/libgraft.so.0
	echo lib/libgraft.so.0.1.0
	echo lib/pkgconfig/libgraft.pc
	echo include/graft/graft.h
	echo include/linux/graft.h
	echo share/bash-completion/completions/graft
	echo share/fish/vendor_completions.d/graft.fish
	echo share/zsh/site-functions/_graft
	for page in "$source"/man/*.[1-8]; do
		echo "share/man/man${page##*.}/${page##*/}"
	done
}

# Relative to the prefix; the folder of libraries is called lib, whatever its name is.
installed()
{
	find "$DESTDIR$prefix" ! -type d |
		sed "s,^$DESTDIR$prefix/,,;s,^lib64/,lib/,;s,^lib/[a-z0-9_]*-linux-[a-z0-9]*/,lib/,"
}

fail()
{
	echo "$*"
	exit 1
}

meson install -C "$build" --no-rebuild --quiet
wanted | sort >"$dir/wanted"
installed | sort >"$dir/installed"
diff -u "$dir/wanted" "$dir/installed" || fail "make install puts something else"
file=$(find "$DESTDIR" -path "$DESTDIR$prefix" -o -path "$DESTDIR$prefix/*" -o -type f -print)
[ -z "$file" ] || fail "outside of $prefix: $file"

# Somebody else's.
echo >"$DESTDIR$prefix/share/man/man1/other.1"
if [ -L "$DESTDIR$prefix/bin/ip" ]; then
	ln -sf /elsewhere "$DESTDIR$prefix/bin/ip"
fi
"$source/tools/uninstall.sh" "$build" "$prefix" >"$dir/out"
left=$(installed | grep -vx bin/ip)
[ "$left" = share/man/man1/other.1 ] || fail "make uninstall leaves: $left"
[ "$prefix" = /usr ] || [ "$(readlink "$DESTDIR$prefix/bin/ip")" = /elsewhere ] ||
	fail "make uninstall takes another's link"
[ ! -e "$DESTDIR$prefix/include/graft" ] || fail "make uninstall leaves its directories"
