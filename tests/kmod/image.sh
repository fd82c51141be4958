#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# image.sh MODULE MODULES DIRECTORY [PROGRAM...]: makes DIRECTORY/initrd, a system of this
# machine's own files:
#
#	/init			busybox; mounts what is usual, and starts checks.sh
#	PREFIX			`meson install`
#	/lib/modules		MODULES, a directory of the kernel's version, and af_graft.ko
#	/checks			lib.sh, the files of tests/kmod, each PROGRAM
#
# and programs people run, those that are installed here.
#
# Environment: BUILD, what is installed; PREFIX.
set -eu
MODULE=$1 MODULES=$2 DIR=$3
shift 3
IMAGE=$DIR/tree
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/../lib_image.sh"
# busybox has some of these, too, but not all that they can.
TOOLS=(sh bash env timeout stat ip ss setpriv nsenter unshare
	insmod rmmod modprobe modinfo lsmod depmod)
SESSIONS=(iperf3 nginx curl wrk)
PYTHON=/usr/bin/python3

put_sessions()
{
	local program
	for program in "${SESSIONS[@]}"; do
		! command -v "$program" >/dev/null || put_programs "$program"
	done
	mkdir -p "$IMAGE"/var/{log,lib}/nginx
}

# Its library without what no test takes: half of it.
put_python()
{
	local library file
	[ -x "$PYTHON" ] || return 0
	put_programs "$PYTHON"
	library=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
	mkdir -p "$IMAGE$library"
	tar -C "$library" --exclude='./config-*' --exclude=./test --exclude=./lib2to3 \
		--exclude=./idlelib --exclude=./tkinter --exclude=./ensurepip \
		--exclude=./pydoc_data --exclude=./distutils --exclude='*.opt-?.pyc' \
		--exclude=./dist-packages --exclude=./sqlite3 --exclude=./curses \
		--exclude=./sitecustomize.py -cf - . | tar -C "$IMAGE$library" -xf -
	for file in "$library"/lib-dynload/*.so; do
		put_libraries "$file"
	done
}

put_module()
{
	local version
	version=$(ls "$MODULES")
	put_modules "$MODULES"
	mkdir -p "$IMAGE/lib/modules/$version/extra"
	cp "$MODULE" "$IMAGE/lib/modules/$version/extra/"
	depmod -b "$IMAGE" "$version" 2>/dev/null
}

put_checks() # PROGRAM...
{
	local program
	mkdir -p "$IMAGE/checks/tests/kmod"
	cp "$HERE/../lib.sh" "$IMAGE/checks/tests/"
	cp "$HERE"/checks*.sh "$HERE/lib_checks.sh" "$HERE/engine.py" "$HERE/complaints" \
		"$IMAGE/checks/tests/kmod/"
	cp -R "$HERE/../conformance" "$HERE/../cgroup" "$IMAGE/checks/tests/"
	for program; do
		cp "$program" "$IMAGE/checks/"
		put_libraries "$program"
	done
}

make_init()
{
	cat >"$IMAGE/init" <<END
#!/bin/busybox sh
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs devtmpfs /dev
busybox mount -t tmpfs -o mode=755 run /run
busybox mount -t tmpfs -o mode=1777 tmp /tmp
busybox mkdir /dev/pts /dev/shm /run/netns /run/lock
busybox mount -t devpts devpts /dev/pts
busybox mount -t tmpfs -o mode=1777 shm /dev/shm
busybox mount -t debugfs debugfs /sys/kernel/debug
busybox hostname guest
busybox ifconfig lo up
busybox stty -F /dev/ttyS1 -opost
PREFIX=$PREFIX /bin/bash /checks/tests/kmod/checks.sh >/dev/ttyS1
busybox reboot -f
END
	chmod 755 "$IMAGE/init"
}

rm -rf "$IMAGE"
put_directories
put_users
echo '127.0.0.1 localhost' >"$IMAGE/etc/hosts"
put_programs "${TOOLS[@]}"
put_sessions
put_python
put_busybox
put_graft "$BUILD" "$PREFIX"
put_module
put_checks "$@"
make_init
pack "$IMAGE" "$DIR/initrd"
rm -rf "$IMAGE"
