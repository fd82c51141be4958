#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kernel.sh DIRECTORY: Debian's kernel for virtual machines as DIRECTORY/vmlinuz, and those
# of its modules that graftd has it load in DIRECTORY/modules/VERSION, taken out of its
# package, which is not installed. What is there already is left alone; else it takes a
# network. Says what is wrong in one line, and then its status is 1.
set -eu
dir=$1
meta=linux-image-cloud-amd64

[ ! -s "$dir/vmlinuz" ] || exit 0
command -v apt-get >/dev/null || {
	echo "no apt-get to have a kernel from"
	exit 1
}
mkdir -p "$dir"
work=$(mktemp -d "$dir/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
cd "$work"

# apt TOOL ARGUMENT...: with package lists of our own once those of the machine did not do.
lists=
apt()
{
	tool=$1
	shift
	# shellcheck disable=SC2086 # two words, or none
	timeout -k 5 180 "$tool" -q -o APT::Sandbox::User=root -o Acquire::Retries=1 \
		-o Acquire::http::Timeout=20 $lists "$@" </dev/null 2>>"$work/log"
}

download()
{
	package=$(apt apt-cache depends "$meta" |
		sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
	[ -n "$package" ] && apt apt-get download "$package" >>"$work/log"
}

if ! download; then
	mkdir -p "$work/lists/partial"
	lists="-o Dir::State::lists=$work/lists"
	if ! { apt apt-get update >>"$work/log" && download; }; then
		echo "cannot download $meta: $(grep -E '^(E|W):.* fetch ' "$work/log" | tail -n 1)"
		exit 1
	fi
fi
dpkg-deb --fsys-tarfile linux-image-*.deb | tar -xf - --wildcards './boot/vmlinuz-*' \
	'./lib/modules/*/inet_diag.ko*' './lib/modules/*/tcp_diag.ko*' \
	'./lib/modules/*/udp_diag.ko*' './lib/modules/*/unix_diag.ko*'
mkdir modules
for file in lib/modules/*; do
	mkdir "modules/${file##*/}"
	find "$file" -type f -exec mv {} "modules/${file##*/}/" ";"
done
rm -rf "$dir/modules"
mv modules "$dir/modules"
# Last, since it says that all is there.
mv boot/vmlinuz-* "$dir/vmlinuz"
