#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Takes a kernel for virtual machines, and what a module for it is built with, out of their
# packages, which are not installed:
#
#	tools/kernel_package.sh SUITE DIRECTORY
#
#	SUITE				bookworm, bookworm-backports, trixie-backports ...
#	DIRECTORY/version		as `uname -r` says it
#	DIRECTORY/vmlinuz		what QEMU boots
#	DIRECTORY/modules/VERSION	what tests have it load, not compressed, with modules.dep
#	DIRECTORY/headers		make -C DIRECTORY/headers M=... modules
#	DIRECTORY/tree			the packages
#
# What is there already is left alone, and then it takes no network; remove DIRECTORY to
# have a newer kernel. One that was moved is put right. Says what is wrong in one line, and
# then its status is 1.
#
# The mirror is the one this machine's apt has Debian from; lists and state are of our own,
# and signatures are checked as ever.
#
# Headers bring programs (modpost, objtool ...) and name a compiler, and Debian's compiler
# options are those of that compiler: gcc 12 does not know all that Linux 7 is built with.
# So, when a machine has not got that compiler, or a libc too old for those programs, all
# that the headers depend on is unpacked, too (75 MB), and each program there is told where
# its loader and libraries are. Then headers/.kernelvariables names that compiler.
set -eu
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
FORMAT=2 # of DIRECTORY
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
MODULES=(inet_diag tcp_diag udp_diag raw_diag unix_diag mptcp_diag tls sctp sctp_diag
	veth dummy gcm ctr ghash_generic)

die()
{
	echo "$*"
	exit 1
}

[ $# = 2 ] || {
	echo "Usage: tools/kernel_package.sh SUITE DIRECTORY" >&2
	exit 2
}
SUITE=$1
mkdir -p "$2"
DIR=$(cd "$2" && pwd)

is_complete()
{
	[ "$(cat "$DIR/complete" 2>/dev/null)" = "$FORMAT $DIR" ]
}

# --- packages ----------------------------------------------------------------------------

# apt TOOL ARGUMENT...
apt()
{
	local tool=$1
	shift
	timeout -k 5 600 "$tool" -q "${APT[@]}" "$@" </dev/null 2>>"$WORK/log"
}

failed() # WHAT
{
	die "cannot $1: $(grep -E '^E:|^W:.* fetch ' "$WORK/log" | head -n 1)"
}

# Lists of SUITE, and of what it is built upon.
# shellcheck disable=SC2016 # apt expands that
read_lists()
{
	local mirror suite
	[ -r "$KEYRING" ] || die "$KEYRING is missing"
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
		"Codename: $(. /etc/os-release && echo "${VERSION_CODENAME-}")" | head -n 1)
	[ -n "$mirror" ] || die "apt has no mirror of Debian"
	mkdir -p "$WORK"/{lists,cache/archives}/partial "$WORK/packages"
	: >"$WORK/status"
	for suite in "${SUITE%-backports}" "$SUITE"; do
		echo "deb [signed-by=$KEYRING] $mirror $suite main"
	done | sort -u >"$WORK/sources.list"
	APT=(-o APT::Sandbox::User=root -o Acquire::Retries=2 -o Acquire::http::Timeout=20
		-o "Dir::State::lists=$WORK/lists" -o "Dir::State::status=$WORK/status"
		-o "Dir::Etc::sourcelist=$WORK/sources.list" -o Dir::Etc::sourceparts=-
		-o "Dir::Cache=$WORK/cache" -t "$SUITE" --no-install-recommends)
	apt apt-get update --error-on=any >>"$WORK/log" || failed "read the lists of $SUITE"
}

# NAME=VERSION of a package and all it depends on
with_dependencies() # PACKAGE
{
	apt apt-get --simulate install "$1" >"$WORK/simulated" || failed "find $1"
	sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p' "$WORK/simulated"
}

unpack() # NAME=VERSION...
{
	local file
	(cd "$WORK/packages" && apt apt-get download "$@" >>"$WORK/log") ||
		failed "download packages"
	for file in "$WORK"/packages/*.deb; do
		dpkg-deb -x "$file" "$TREE"
		rm "$file"
	done
}

# --- the kernel --------------------------------------------------------------------------

put_kernel()
{
	local image
	[ -d "$TREE/lib/modules" ] || {
		mkdir -p "$TREE/lib"
		mv "$TREE/usr/lib/modules" "$TREE/lib/"
	}
	VERSION=$(ls "$TREE/lib/modules")
	for image in "$TREE/boot/vmlinuz-$VERSION" "$TREE/lib/modules/$VERSION/vmlinuz"; do
		[ ! -e "$image" ] || mv "$image" "$NEW/vmlinuz"
	done
	[ -s "$NEW/vmlinuz" ] || die "no kernel in the packages of $VERSION"
	echo "$VERSION" >"$NEW/version"
}

# Of all its modules those of the list and what they depend on.
put_modules()
{
	local name file to=$NEW/modules/$VERSION
	mkdir -p "$to"
	depmod -b "$TREE" "$VERSION"
	for name in "${MODULES[@]}"; do
		modprobe -d "$TREE" -S "$VERSION" --show-depends "$name" 2>>"$WORK/log" || true
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u >"$WORK/modules"
	while IFS= read -r file; do
		name=${file##*/}
		case $name in
		*.xz) xz -dc "$file" >"$to/${name%.xz}" ;;
		*.zst) zstd -qdc "$file" >"$to/${name%.zst}" ;;
		*) cp "$file" "$to/" ;;
		esac
	done <"$WORK/modules"
	cp "$TREE/lib/modules/$VERSION"/modules.{builtin,order} "$to/"
	# It wants to find them in lib/.
	mkdir -p "$WORK/base/lib"
	ln -s "$NEW/modules" "$WORK/base/lib/modules"
	depmod -b "$WORK/base" "$VERSION" 2>>"$WORK/log"
	rm -rf "${TREE:?}"/{boot,lib/modules}
}

# --- what modules are built with ---------------------------------------------------------

compiler_of() # HEADERS
{
	sed -n 's/^CC = .*\(gcc-[0-9]*\)$/\1/p' "$1/.kernelvariables"
}

elf_programs() # DIRECTORY...
{
	local file
	find "$@" -type f -perm -100 2>/dev/null | while IFS= read -r file; do
		! readelf -lW "$file" 2>/dev/null | grep -q 'program interpreter' || echo "$file"
	done
}

# Does this machine have what they take, and run them? pahole writes what BPF wants to know.
runs_here() # HEADERS
{
	local file
	command -v "$(compiler_of "$1")" >/dev/null || return 1
	[ ! -e "$1/vmlinux" ] || command -v pahole >/dev/null || return 1
	for file in $(elf_programs "$TREE"/usr/lib/linux-kbuild-*); do
		! ldd "$file" 2>&1 | grep -q 'not found' || return 1
	done
}

# Headers name one another by absolute paths, programs their loader.
settle() # DIRECTORY
{
	local tree=$1/tree final=$DIR/tree triplet=x86_64-linux-gnu headers file loader
	headers=$(echo "$tree"/usr/src/linux-headers-*-cloud-*)
	ln -sfn "tree${headers#"$tree"}" "$1/headers"
	sed -i "s,[^ =]*/usr/src/,$final/usr/src/," "$headers/Makefile"
	sed -i '/^# Ours$/,$d' "$headers/.kernelvariables"
	loader=$(find "$tree" -path "*/$triplet/ld-linux-*.so.*" | head -n 1)
	[ -n "$loader" ] || return 0
	command -v patchelf >/dev/null || die "patchelf is not installed"
	printf '%s\n' '# Ours' "override CROSS_COMPILE = $final/usr/bin/$triplet-" \
		"override PAHOLE = $final/usr/bin/pahole" >>"$headers/.kernelvariables"
	elf_programs "$tree/usr/bin" "$tree/usr/lib/gcc" "$tree/usr/libexec" \
		"$tree"/usr/lib/linux-kbuild-* | while IFS= read -r file; do
		patchelf --set-interpreter "$final${loader#"$tree"}" --force-rpath \
			--set-rpath "$final/usr/lib/$triplet:$final/lib/$triplet" "$file"
	done
}

make_all()
{
	local all
	NEW=$WORK/new TREE=$WORK/new/tree
	mkdir -p "$TREE"
	read_lists
	# shellcheck disable=SC2046 # words
	unpack $(with_dependencies linux-image-cloud-amd64 | grep '^linux-')
	put_kernel
	put_modules
	all=$(with_dependencies "linux-headers-$VERSION")
	# shellcheck disable=SC2046
	unpack $(grep '^linux-[hk]' <<<"$all")
	# shellcheck disable=SC2046
	runs_here "$TREE/usr/src/linux-headers-$VERSION" ||
		unpack $(grep -vE '^linux-|^debconf=|^lib(a|hwa|l|t|ub)san' <<<"$all")
	find "$TREE" -name '*lto-dump*' -delete
	rm -rf "$TREE/usr/share/doc"
	settle "$NEW"
	rm -rf "$DIR"/{version,vmlinuz,modules,headers,tree}
	mv "$NEW"/* "$DIR/"
}

is_complete && exit 0
[ "$(uname -m)" = x86_64 ] || die "for x86_64 only"
for program in apt-get dpkg-deb depmod modprobe xz zstd readelf flock; do
	command -v "$program" >/dev/null || die "$program is not installed"
done
# Two tests, or two clones, may want the same one.
exec 9>"$DIR/lock"
flock 9
is_complete && exit 0
WORK=$(mktemp -d "$DIR/fetch.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
trap 'exit 1' INT TERM HUP
case $(cat "$DIR/complete" 2>/dev/null) in
"$FORMAT "*) settle "$DIR" ;;
*) make_all ;;
esac
echo "$FORMAT $DIR" >"$DIR/complete"
