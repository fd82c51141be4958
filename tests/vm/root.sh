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
set -eu
BUILD=$1 PREFIX=$2 PEER=$3 MODULES=$4 DIR=$5
IMAGE=$DIR/tree/image
UNITS=/lib/systemd/system
PROGRAMS=(/lib/systemd/systemd /lib/systemd/systemd-journald /lib/systemd/systemd-shutdown
	bash systemctl systemd-analyze journalctl ip mount umount setpriv nsenter)
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/../lib_image.sh"

put_settings()
{
	mkdir -p "$IMAGE"/etc/{graft,systemd/system}
	# With one it is no first boot, on which systemd has more to do.
	echo 0123456789abcdef0123456789abcdef >"$IMAGE/etc/machine-id"
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

put_checks()
{
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
put_directories
put_users
put_settings
put_programs "${PROGRAMS[@]}"
put_busybox
put_units
put_graft "$BUILD" "$PREFIX"
put_checks
[ -z "$MODULES" ] || put_modules "$MODULES"
make_init
pack "$DIR/tree" "$DIR/initrd"
rm -rf "$DIR/tree"
