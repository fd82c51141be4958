#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# root.sh BUILD PREFIX PEER MODULES DIRECTORY: makes DIRECTORY/initrd, a system of this
# machine's own files:
#
#	/init, busybox		copies /image into a tmpfs, which becomes the root file system:
#				the first one cannot be pivoted away from, as services in a
#				sandbox do
#	/image			systemd as PID 1, what its sandbox, graft and the checks need
#	/image/PREFIX		`meson install`
#	/image/lib/modules	those of the kernel, for it to load by itself
#	/image/checks		lib.sh, guest.sh and its library, peer
#
# and starts the checks as a service, after whose end the machine is at its end, too.
# Everything in it is root's, so an ordinary user can make one.
set -eu
BUILD=$1 PREFIX=$2 PEER=$3 MODULES=$4 DIR=$5
PATH=$PATH:/usr/sbin:/sbin
HERE=$(cd "$(dirname "$0")" && pwd)
IMAGE=$DIR/tree/image
UNITS=/lib/systemd/system
PROGRAMS=(/lib/systemd/systemd /lib/systemd/systemd-journald /lib/systemd/systemd-shutdown
	bash systemctl systemd-analyze journalctl ip mount umount setpriv nsenter)

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

make_directories()
{
	local name
	mkdir -p "$IMAGE"/usr/{bin,sbin,lib,lib64} "$IMAGE"/{proc,sys,dev,run,tmp,var/tmp,root} \
		"$IMAGE"/{home,opt,srv} "$IMAGE"/etc/{graft,systemd/system}
	for name in bin sbin lib lib64; do
		ln -s "usr/$name" "$IMAGE/$name"
	done
	chmod 1777 "$IMAGE/tmp" "$IMAGE/var/tmp"
	chmod 700 "$IMAGE/root"
	ln -s /run "$IMAGE/var/run"
}

make_users()
{
	printf '%s\n' root:x:0:0::/root:/bin/bash alice:x:1000:1000::/alice:/bin/bash \
		nobody:x:65534:65534::/:/bin/false >"$IMAGE/etc/passwd"
	printf '%s\n' root:x:0: alice:x:1000: systemd-journal:x:999: nogroup:x:65534: \
		>"$IMAGE/etc/group"
	printf '%s\n' passwd:files group:files hosts:files >"$IMAGE/etc/nsswitch.conf"
	echo guest >"$IMAGE/etc/hostname"
	# With one it is no first boot, on which systemd has more to do.
	echo 0123456789abcdef0123456789abcdef >"$IMAGE/etc/machine-id"
}

put_programs()
{
	local program
	for program in "${PROGRAMS[@]}"; do
		program=$(command -v "$program")
		put_file "$program"
		put_libraries "$program"
	done
	cp "$(command -v busybox)" "$IMAGE/bin/busybox"
	for program in $(busybox --list); do
		[ -e "$IMAGE/bin/$program" ] || [ -e "$IMAGE/sbin/$program" ] ||
			ln -s busybox "$IMAGE/bin/$program"
	done
	# Where the kernel looks for it.
	[ -e "$IMAGE/sbin/modprobe" ] || ln -s ../bin/busybox "$IMAGE/sbin/modprobe"

}

# The machine's own units, but nothing that would be started beside the journal.
put_units()
{
	local name
	mkdir -p "$IMAGE$UNITS/sockets.target.wants" "$IMAGE$UNITS/sysinit.target.wants"
	cp "$UNITS"/*.{target,slice,socket,service} "$IMAGE$UNITS/"
	for name in systemd-journald.socket systemd-journald-dev-log.socket; do
		ln -s "../$name" "$IMAGE$UNITS/sockets.target.wants/"
	done
	ln -s ../systemd-journald.service "$IMAGE$UNITS/sysinit.target.wants/"
	cat >"$IMAGE/etc/systemd/system/checks.service" <<END
[Unit]
Description=The checks
After=basic.target systemd-journald.service
Wants=basic.target
SuccessAction=reboot-immediate
FailureAction=reboot-immediate
[Service]
Type=oneshot
Environment=PREFIX=$PREFIX
ExecStart=/bin/bash -c 'exec /bin/bash /checks/tests/vm/guest.sh >/dev/ttyS1'
END
}

put_graft()
{
	local file
	DESTDIR=$IMAGE meson install -C "$BUILD" --no-rebuild --quiet >/dev/null
	while IFS= read -r file; do
		put_libraries "$file"
	done < <(find "$IMAGE$PREFIX" -type f -perm -100)
	# Elsewhere systemd does not look for units. Not links: those `systemctl disable`
	# takes away.
	case $PREFIX in
	/usr | /usr/local) ;;
	*) cp "$IMAGE$PREFIX"/lib/systemd/system/graftd.* "$IMAGE/etc/systemd/system/" ;;
	esac
	mkdir -p "$IMAGE/checks/tests/vm"
	cp "$HERE/../lib.sh" "$IMAGE/checks/tests/"
	cp "$HERE/guest.sh" "$HERE/lib_guest.sh" "$IMAGE/checks/tests/vm/"
	cp "$PEER" "$IMAGE/checks/peer"
	put_libraries "$PEER"
}

# MODULES holds a directory of the kernel's version.
put_modules()
{
	local version
	[ -n "$MODULES" ] || return 0
	version=$(ls "$MODULES")
	mkdir -p "$IMAGE/lib/modules"
	cp -R "$MODULES/$version" "$IMAGE/lib/modules/"
	busybox depmod -b "$IMAGE" "$version"
}

make_init()
{
	mkdir -p "$DIR/tree/bin" "$DIR/tree/new"
	cp "$(command -v busybox)" "$DIR/tree/bin/busybox"
	cat >"$DIR/tree/init" <<'END'
#!/bin/busybox sh
busybox mount -t tmpfs -o mode=755,size=80% root /new
busybox cp -a /image/. /new
exec busybox switch_root /new /lib/systemd/systemd
END
	chmod 755 "$DIR/tree/init"
}

rm -rf "$DIR/tree"
umask 022
make_directories
make_users
put_programs
put_units
put_graft
put_modules
make_init
cd "$DIR/tree"
find . -print0 | sort -z | cpio --null --create --quiet --format=newc --owner=+0:+0 >"$DIR/initrd"
rm -rf "$DIR/tree"
