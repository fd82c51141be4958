#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# container.sh ROOT SHARED LAYER: becomes the systemd of a Debian, whose first service is
# guest.sh, and after that its last. To be called in mount, pid, net, ipc, uts and cgroup
# namespaces of its own, so that all of it ends with this process.
#
#	ROOT	is below, and stays as it is
#	LAYER	is above: what is written, in a file system of its own
#	SHARED	is /shared there: packages, scripts; the points come back in SHARED/tap
set -eu
ROOT=$1 SHARED=$2 LAYER=$3
TOP=$LAYER/root

put_devices()
{
	local name
	mount -t tmpfs -o mode=755 dev "$TOP/dev"
	for name in null zero full random urandom tty; do
		: >"$TOP/dev/$name"
		mount --bind "/dev/$name" "$TOP/dev/$name"
	done
	mkdir "$TOP/dev/pts" "$TOP/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=666 devpts "$TOP/dev/pts"
	ln -s pts/ptmx "$TOP/dev/ptmx"
	ln -s /proc/self/fd "$TOP/dev/fd"
}

# The checks are a unit of /run, which is no part of what they look at.
put_checks()
{
	mkdir -p "$TOP/run/systemd/system"
	cat >"$TOP/run/systemd/system/checks.service" <<'END_OF_UNIT'
[Unit]
Description=The checks
After=basic.target
Wants=basic.target
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
IgnoreSIGPIPE=no
StandardOutput=append:/shared/tap
ExecStart=/bin/bash /shared/tests/packages/guest.sh
END_OF_UNIT
}

mkdir -p "$LAYER"
mount -t tmpfs -o mode=755 layer "$LAYER"
mkdir "$LAYER/up" "$LAYER/work" "$TOP"
mount -t overlay -o "lowerdir=$ROOT,upperdir=$LAYER/up,workdir=$LAYER/work" root "$TOP"
mkdir "$TOP/shared"
mount --bind "$SHARED" "$TOP/shared"
mount -t proc proc "$TOP/proc"
mount -t sysfs sysfs "$TOP/sys"
mount -t cgroup2 cgroup2 "$TOP/sys/fs/cgroup"
mount -t tmpfs -o mode=755 run "$TOP/run"
put_devices
put_checks
ip link set lo up
hostname graft-packages
# Not by chroot alone: within one the kernel makes no user namespaces.
cd "$TOP"
pivot_root . mnt
umount -l mnt
exec chroot . /usr/bin/env -i container=graft-test LANG=C.UTF-8 \
	PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --system --unit=checks.service --log-target=console
