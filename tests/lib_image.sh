# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the root file systems of test machines are made of: this machine's own files, put into
# $IMAGE. Everything in it is root's, so an ordinary user can make one.
#
# Environment: IMAGE, a directory.
PATH=$PATH:/usr/sbin:/sbin
umask 022

put_file() # FILE: where it is here
{
	[ ! -e "$IMAGE$1" ] || return 0
	mkdir -p "$IMAGE${1%/*}"
	cp -L "$1" "$IMAGE$1"
}

# Those it has, each where the loader looks for it.
put_libraries() # FILE
{
	local file
	for file in $(ldd "$1" 2>/dev/null | sed -n 's,^[^/]*\(/[^ ]*\) (0x.*,\1,p'); do
		put_file "$file"
	done
}

put_directories()
{
	local name
	mkdir -p "$IMAGE"/usr/{bin,sbin,lib,lib64} "$IMAGE"/{proc,sys,dev,run,tmp,var/tmp,root} \
		"$IMAGE"/{home,opt,srv,etc}
	for name in bin sbin lib lib64; do
		ln -s "usr/$name" "$IMAGE/$name"
	done
	chmod 1777 "$IMAGE/tmp" "$IMAGE/var/tmp"
	chmod 700 "$IMAGE/root"
	ln -s /run "$IMAGE/var/run"
}

put_users()
{
	printf '%s\n' root:x:0:0::/root:/bin/bash alice:x:1000:1000::/alice:/bin/bash \
		nobody:x:65534:65534::/:/bin/false >"$IMAGE/etc/passwd"
	printf '%s\n' root:x:0: alice:x:1000: systemd-journal:x:999: nogroup:x:65534: \
		>"$IMAGE/etc/group"
	printf '%s\n' passwd:files group:files hosts:files >"$IMAGE/etc/nsswitch.conf"
	echo guest >"$IMAGE/etc/hostname"
}

put_programs() # NAME|PATH...
{
	local program
	for program; do
		program=$(command -v "$program")
		put_file "$program"
		put_libraries "$program"
	done
}

# After the programs that are to come first.
put_busybox()
{
	local program
	cp "$(command -v busybox)" "$IMAGE/bin/busybox"
	for program in $(busybox --list); do
		[ -e "$IMAGE/bin/$program" ] || [ -e "$IMAGE/sbin/$program" ] ||
			ln -s busybox "$IMAGE/bin/$program"
	done
	# Where the kernel looks for it.
	[ -e "$IMAGE/sbin/modprobe" ] || ln -s ../bin/busybox "$IMAGE/sbin/modprobe"
}

# What `meson install` installs, with its libraries.
put_graft() # BUILD PREFIX
{
	local file
	DESTDIR=$IMAGE meson install -C "$1" --no-rebuild --quiet >/dev/null
	while IFS= read -r file; do
		put_libraries "$file"
	done < <(find "$IMAGE$2" -type f -perm -100)
}

# DIRECTORY holds one of the kernel's version.
put_modules() # DIRECTORY
{
	mkdir -p "$IMAGE/lib/modules"
	cp -R "$1"/* "$IMAGE/lib/modules/"
}

pack() # DIRECTORY INITRD
{
	(cd "$1" && find . -print0 | sort -z |
		cpio --null --create --quiet --format=newc --owner=+0:+0) >"$2"
}
