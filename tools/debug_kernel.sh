#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds, from Debian's sources, the kernel that watches af_graft.ko in
# `make check-kernel-debug`, with what tests/kmod/debug.config asks for:
#
#	tools/debug_kernel.sh DIRECTORY
#
# It is kept in DIRECTORY, whose trees are named by what they were made of: version of the
# sources, options, compiler. One that is there is not built again. The last line on stdout
# is the tree's path: its arch/x86/boot/bzImage boots, and
#
#	make -C TREE M=$PWD/kmod modules
#
# builds a module for it. What goes on is said on stderr. The first time takes root (for
# what is not installed yet), a network, 3 GB and half an hour of two processors.
set -eu
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")/.." && pwd)
package=linux-source-6.1
options=$here/tests/kmod/debug.config

die()
{
	echo "debug_kernel.sh: $*" >&2
	exit 1
}

say()
{
	echo "debug kernel: $*" >&2
}

# Each option of the list has to come out as it stands there.
check_options()
{
	grep -E '^(CONFIG_|# CONFIG_.* is not set$)' "$options" | while IFS= read -r line; do
		grep -qxF "$line" "$1/.config" || {
			name=${line#\# }
			# An option that is gone, or cannot be asked for, is as good as not set.
			[ "$name" != "$line" ] && ! grep -q "^${name%% *}=" "$1/.config" ||
				echo "${name%%[ =]*}"
		}
	done
}

configure()
{
	make -s -C "$1" allnoconfig >>"$log" 2>&1 || return 1
	cat "$options" >>"$1/.config"
	make -s -C "$1" olddefconfig >>"$log" 2>&1 || return 1
	missing=$(check_options "$1")
	# shellcheck disable=SC2086 # names are words
	[ -z "$missing" ] || die "the kernel's options do not come out as asked for:" $missing
}

# Whoever waits wants to see that something happens.
show_progress()
{
	while sleep 60 >/dev/null 2>&1 9>&-; do
		say "$(grep -c '^  CC  ' "$log" || true) files compiled of about 1150"
	done
}

# Who watches need not be watched, and is called all the time.
watchers="lockdep kmemleak debugobjects ref_tracker stackdepot list_debug fault-inject"

build()
{
	unwatched=
	for name in $watchers; do
		unwatched="$unwatched KASAN_SANITIZE_$name.o=n UBSAN_SANITIZE_$name.o=n"
	done
	show_progress &
	progress=$!
	status=0
	# shellcheck disable=SC2086 # words
	make -C "$1" -j "$(nproc)" $unwatched KBUILD_BUILD_USER=graft KBUILD_BUILD_HOST=graft \
		bzImage modules >>"$log" 2>&1 || status=1
	kill "$progress"
	progress=
	return "$status"
}

leave()
{
	[ -z "${progress-}" ] || kill "$progress" 2>/dev/null || true
}

[ $# = 1 ] || {
	echo "Usage: tools/debug_kernel.sh DIRECTORY" >&2
	exit 2
}
[ "$(uname -m)" = x86_64 ] || die "for x86_64 only"
"$here/tools/deps.sh" kernel >&2
mkdir -p "$1"
cd "$1"
trap leave EXIT
trap 'exit 1' INT TERM HUP
# Two clones may share a directory.
exec 9>lock
flock -n 9 || {
	say "another one is at work in $PWD; waiting"
	flock 9
}
version=$(dpkg-query -W -f '${Version}' "$package")
key=$({ echo "$version"; gcc --version; cat "$options"; } | sha256sum | cut -c 1-12)
tree=$PWD/linux-$version-$key
log=$tree.log
if [ ! -e "$tree/graft.complete" ]; then
	say "unpacking $package $version"
	rm -rf "$tree" "$tree.new"
	mkdir "$tree.new"
	tar -xf "/usr/src/$package.tar.xz" -C "$tree.new" --strip-components=1
	mv "$tree.new" "$tree"
	: >"$log"
	configure "$tree" || { tail -n 20 "$log" >&2; die "cannot configure the kernel"; }
	say "building in $tree; this takes a while"
	build "$tree" || { tail -n 20 "$log" >&2; die "cannot build the kernel"; }
	: >"$tree/graft.complete"
	say "done"
fi
ln -sfn "${tree##*/}" tree
echo "$tree"
