#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Installs, by apt, what building, testing or measuring graft needs on a bare Debian 12:
#
#	tools/deps.sh build|test|bench|demo|kernel|deb|dev
#	tools/deps.sh --list build|test|bench|demo|kernel|deb|dev
#
# What is installed already is left alone, so a second run needs neither network nor
# root. Services that come with a package (nginx, postgresql, ssh ...) are kept from
# starting by a policy-rc.d, which is put back as it was.
#
# dpkg-dev tells meson that libraries belong into lib/x86_64-linux-gnu, where the linker
# looks, and not into lib64.
# shellcheck disable=SC2086 # lists of packages are words
set -eu
# What packages make while they are installed is for everybody.
umask 022

build="gcc libc6-dev make meson ninja-build pkg-config dpkg-dev
	libseccomp-dev libcap-ng-dev libjson-c-dev libmnl-dev libnftnl-dev libsystemd-dev libcmocka-dev
	libbpf-dev bpftool clang"
demo="$build bash python3 iproute2 util-linux procps nginx-light iperf3 curl"
# Not the registry of that name.
docker=docker.""io
# Debian packages of graft.
deb="$build build-essential debhelper dh-dkms xz-utils"
engines="containerd docker-compose containernetworking-plugins podman conmon uidmap rootlesskit
	slirp4netns python3-grpcio python3-yaml"
test="$demo $deb runc crun $docker $engines iptables nftables redis-server redis-tools memcached postgresql haproxy
	openssh-server openssh-client golang-go libclang-rt-14-dev clang-format
	clang-tidy shellcheck mandoc codespell git strace
	socat libc6-dev-i386 gcc-multilib musl-tools binutils wrk
	systemd qemu-system-x86 cpio busybox-static
	kmod dkms sparse coccinelle libpython3-dev linux-source-6.1 pahole patchelf xz-utils zstd
	lintian mmdebstrap"
bench="$demo runc $docker iptables nftables rootlesskit wrk redis-server redis-tools passt slirp4netns
	uidmap"
# A kernel of our own, modules for it, and a machine to run them in.
kernel="gcc libc6-dev make flex bison bc libelf-dev libssl-dev xz-utils kmod
	linux-source-6.1 qemu-system-x86 cpio busybox-static"
dev="$test $bench gdb valgrind"

die()
{
	echo "deps.sh: $*" >&2
	exit 1
}

# Any flavour of nginx will do.
is_installed()
{
	case $1 in
	nginx-light) [ -x /usr/sbin/nginx ] && return 0 ;;
	esac
	dpkg-query -W -f '${Status}\n' "$1" 2>/dev/null | grep -q ' installed$'
}

list=
if [ "${1-}" = --list ]; then
	list=yes
	shift
fi
case ${1-} in
build) packages=$build ;;
test) packages=$test ;;
bench) packages=$bench ;;
demo) packages=$demo ;;
kernel) packages=$kernel ;;
deb) packages=$deb ;;
dev) packages=$dev ;;
*)
	echo "Usage: tools/deps.sh [--list] build|test|bench|demo|kernel|deb|dev" >&2
	exit 2
	;;
esac
packages=$(printf '%s\n' $packages | sort -u)
if [ -n "$list" ]; then
	echo "$packages"
	exit 0
fi

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	die "needs a Debian with apt; install these by other means:" $packages
fi
missing=
for package in $packages; do
	is_installed "$package" || missing="$missing $package"
done
if [ -z "$missing" ]; then
	echo "deps: $1: everything is installed"
	exit 0
fi
[ "$(id -u)" = 0 ] || die "not root, and these are missing:$missing"

policy=/usr/sbin/policy-rc.d
saved=
log=$(mktemp)
restore()
{
	if [ -n "$saved" ]; then
		mv -f "$saved" "$policy"
	else
		rm -f "$policy"
	fi
	rm -f "$log"
}
if [ -e "$policy" ] || [ -L "$policy" ]; then
	saved=$policy.graft-deps.$$
	mv "$policy" "$saved"
fi
trap restore EXIT
trap 'exit 1' INT TERM HUP
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

apt()
{
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 \
		-o DPkg::Lock::Timeout=120 "$@" </dev/null >"$log" 2>&1
}

# A bare image has no package lists; one that has them needs no second look.
if ! apt --no-install-recommends --simulate install $missing; then
	echo "deps: $1: reading the package lists"
	apt update || { tail -n 5 "$log" >&2; die "apt-get update failed"; }
fi
echo "deps: $1: installing$missing"
if ! apt --no-install-recommends install $missing; then
	# Lists may name versions that are gone from the mirror.
	apt update || true
	if ! apt --no-install-recommends install $missing; then
		grep -E '^(E|W):' "$log" | tail -n 5 >&2
		die "could not install:$missing"
	fi
fi
echo "deps: $1: done"
