#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The Debian packages, from the tree to the end of their life.
#
#	tools/deb.sh, in this tree	$T/built	as root
#	tools/deb.sh, unpacked sources	$T/elsewhere	as an ordinary user; the same, byte by byte
#	old.sh				$T/old		the former version, for upgrades
#	container.sh			a Debian of its own, with systemd, in which guest.sh
#					installs, upgrades, removes and purges them
#
# The TAP of guest.sh follows this test's.
#
# Environment: BUILD, GRAFT_CACHE: where a Debian to install into is kept; INSIDE, the program
# of tests/runtime.
CALLERS_PATH=$PATH
. "$(dirname "$0")/../lib.sh"
BUILD=${BUILD-$SOURCE_DIR/build}
INSIDE=${INSIDE-$BUILD/tests/runtime/inside}
ROOT=${GRAFT_CACHE:-$BUILD/cache}/packages/bookworm
HERE=$LIB_DIR/packages
PATIENCE=${PATIENCE-600} # seconds for a build, and for what is in the container
# What packages depend upon, what the checks are made with, and a kernel for the module:
# nothing is fetched once they begin.
INSTALLED=(libbpf1 libcap-ng0 libjson-c5 libmnl0 libnftnl11 libseccomp2 libsystemd0
	busybox gcc iproute2 libc6-dev man-db pkg-config procps runc systemd
	dkms linux-headers-cloud-amd64)

# Outside: there is no network in the host that enter_host makes.
make_root()
{
	local reason
	[ "$(id -u)" = 0 ] || skip "packages are installed by root"
	[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || skip "for Debian on amd64 only"
	need dpkg-buildpackage dh dh_dkms lintian mmdebstrap meson ninja clang
	reason=$("$SOURCE_DIR/tools/debian_root.sh" bookworm "$ROOT" "${INSTALLED[@]}" 2>&1) ||
		skip "no Debian to install into: ${reason##*$'\n'}"
}

[ -n "${GRAFT_TEST_INSIDE-}" ] || make_root
enter_host "$@"
PATH=$PATH:$CALLERS_PATH # meson may be anywhere
. "${0%/*}/../lib_cgroup.sh"
WHO=user
export DEB_BUILD_OPTIONS=nocheck

# build TREE DIRECTORY PREFIX...
build()
{
	local tree=$1 to=$2
	shift 2
	"$@" timeout -k 5 "$PATIENCE" "$tree/tools/deb.sh" "$to" >"$to.log" 2>&1
}

build_here()
{
	mkdir "$T/built"
	check "tools/deb.sh builds them" build "$SOURCE_DIR" "$T/built" env || finish
	equal "all of them" "graft graft-dkms libgraft-dev libgraft0" \
		"$(cd "$T/built" && printf '%s\n' *.deb | sed 's/_.*//' | grep -v dbgsym |
			LC_ALL=C sort | xargs)"
	VERSION=$(dpkg-deb -f "$T"/built/graft_*.deb Version)
}

# Neither the directory, nor its depth, nor the user, nor how the files were found.
build_elsewhere()
{
	local tree=$T/elsewhere/in/another/directory to=$T/elsewhere/built file
	own_dir "$tree" "$to"
	tar -xf "$T"/built/graft_*.orig.tar.xz --strip-components=1 -C "$tree"
	cp -r "$SOURCE_DIR/packaging/debian" "$tree/packaging/"
	identity user
	check "an ordinary user builds them from the unpacked sources" \
		build "$tree" "$to" "${IDENTITY[@]}" || return
	for file in "$T"/built/*.{deb,dsc,tar.xz}; do
		check "the same again: ${file##*/}" cmp "$file" "$to/${file##*/}"
	done
}

lint()
{
	identity user
	chmod -R a+rX "$T/built"
	spawn lintian nice "${IDENTITY[@]}" lintian -i --pedantic \
		--fail-on error,warning,info,pedantic "$T/built/graft_${VERSION}_amd64.changes"
}

linted()
{
	LIMIT=$PATIENCE status_of lintian
	equal "lintian --pedantic has nothing to say" "0 " "$STATUS $(grep -v '^N: *' \
		"$T/lintian.log")"
}

# Its points follow those there were.
report() # TAP
{
	local plan
	awk -v n="$COUNT" '
		/^(not )?ok [0-9]/ {
			i = $1 == "not" ? 3 : 2
			sub(/ok [0-9]+/, "ok " $i + n)
		}
		/^1\.\.[0-9]+$/ { $0 = "# " $0 }
		{ print }' "$1"
	plan=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$1")
	[ -n "$plan" ] || {
		comment "--- the container" "$(tail -n 30 "$T/container.log")"
		die "the container did not come to its end within $PATIENCE s"
	}
	COUNT=$((COUNT + plan))
	FAILED=$((FAILED + $(grep -c '^not ok' "$1")))
}

# A container of graft-runtime's, whose port 80 is published.
make_bundle()
{
	mkdir -p "$T/shared/bundle/rootfs/"{proc,dev,tmp}
	cp "$INSIDE" "$T/shared/bundle/rootfs/inside"
	"$PYTHON" "$LIB_DIR/runtime/bundle.py" "$T/shared/bundle" --cgroup /graft-packages \
		--annotation graft.publish.0=127.0.0.1:18095:80 -- /inside serve 80
}

live()
{
	mkdir "$T/shared"
	cp -r "$T/built" "$T/old" "$T/shared/"
	rm "$T"/shared/built/*-dbgsym_*
	cp -r "$SOURCE_DIR/packaging/debian/tests" "$T/shared/sessions"
	(cd "$SOURCE_DIR/man" && ls -- *.[1-9]) >"$T/shared/pages"
	mkdir -p "$T/shared/tests/packages"
	cp "$LIB_DIR/lib.sh" "$T/shared/tests/"
	cp "$HERE"/*.sh "$T/shared/tests/packages/"
	make_bundle || die "cannot make a bundle"
	: >"$T/shared/tap"
	in_cgroup "$TOP" timeout -k 5 "$PATIENCE" unshare --mount --pid --net --ipc --uts --cgroup \
		--fork --kill-child --propagation private "$HERE/container.sh" "$ROOT/root" \
		"$T/shared" "$T/layer" </dev/null >"$T/container.log" 2>&1 &
	wait $!
	report "$T/shared/tap"
}

build_here
lint
build_elsewhere
check "a former version is made of it" "$HERE/old.sh" "$T/built" "$T/old" || finish
live
linted
finish
