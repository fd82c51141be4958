#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Makes a small Debian in a directory, for tests to install packages into, as root:
#
#	tools/debian_root.sh SUITE DIRECTORY PACKAGE...
#
#	DIRECTORY/root		the essential packages, and those that are named
#	DIRECTORY/complete	what it was made for
#
# One that is there, for the same packages, is left alone, and then it takes no network;
# remove DIRECTORY to have newer ones. A test puts a layer of its own over it, and never
# writes to it. Says what is wrong in one line, and then its status is 1.
#
# The mirror is the one this machine's apt has Debian from.
set -eu
export LC_ALL=C
umask 022
PATH=$PATH:/usr/sbin:/sbin

die()
{
	echo "$*"
	exit 1
}

[ $# -gt 2 ] || {
	echo "Usage: tools/debian_root.sh SUITE DIRECTORY PACKAGE..." >&2
	exit 2
}
SUITE=$1
mkdir -p "$2"
DIR=$(cd "$2" && pwd)
shift 2
WANTED="$SUITE $(printf '%s\n' "$@" | sort -u | xargs)"

is_complete()
{
	[ "$(cat "$DIR/complete" 2>/dev/null)" = "$WANTED" ]
}

# Mounts and processes of the installation are in namespaces that end with it.
# shellcheck disable=SC2016 # apt expands that
make_root()
{
	local mirror packages
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
		"Codename: $(. /etc/os-release && echo "${VERSION_CODENAME-}")" | head -n 1)
	[ -n "$mirror" ] || die "apt has no mirror of Debian"
	packages=${WANTED#* }
	rm -rf "$DIR/root" "$DIR/complete"
	timeout -k 5 900 unshare --mount --pid --fork --kill-child --mount-proc \
		--propagation private mmdebstrap --quiet --mode=root --variant=minbase \
		--include="${packages// /,}" "$SUITE" "$DIR/root" \
		"deb $mirror $SUITE main" </dev/null >"$DIR/log" 2>&1 ||
		die "cannot make it: $(grep -E '^E: ' "$DIR/log" | head -n 1)"
}

is_complete && exit 0
[ "$(id -u)" = 0 ] || die "takes root"
for program in apt-get mmdebstrap flock unshare; do
	command -v "$program" >/dev/null || die "$program is not installed"
done
# Two tests, or two clones, may want the same one.
exec 9>"$DIR/lock"
flock 9
is_complete && exit 0
make_root
echo "$WANTED" >"$DIR/complete"
