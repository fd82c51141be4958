#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The first and only program of debug_machine.sh's machine: does the steps, each marked on the
# console, and says on the second serial line
#
#	step NUMBER NAME
#	# what it says
#	end NUMBER STATUS
#
# then looks for lost memory, and ends the machine.
export PATH=/bin
number=0

# The list of steps stays ours: descriptors at random would read it away.
step() # NAME COMMAND
{
	number=$((number + 1))
	echo "graft-step: $1" >/dev/kmsg
	echo "step $number $1"
	echo 1 >/tmp/status
	{
		sh -c "$2" </dev/null 2>&1 3<&-
		echo $? >/tmp/status
	} | while IFS= read -r said; do echo "# $said"; done
	echo "end $number $(cat /tmp/status)"
}

scan()
{
	echo scan >/sys/kernel/debug/kmemleak
}

start()
{
	mount -t debugfs debugfs /sys/kernel/debug && ifconfig lo 127.0.0.1 up &&
		[ -e /sys/kernel/debug/kmemleak ]
}

# But for what the kernel lost before there was a program, and what is its own mistake:
#	sysfs_slab_add	does not free a kmem_cache's name when it cannot add it
suspected()
{
	awk '/^unreferenced object/ { if (!known) printf "%s", text; text = ""; known = 0 }
		/comm "swapper|sysfs_slab_add/ { known = 1 }
		{ text = text $0 "\n" }
		END { if (!known) printf "%s", text }' /sys/kernel/debug/kmemleak
}

# It counts nothing younger than five seconds, nor what has changed since it looked last.
# What is on its way from one place to another it may miss once, but not again.
lost()
{
	sleep 6
	scan && scan || return 1
	if [ -n "$(suspected)" ]; then
		scan
		suspected >/tmp/lost
		cat /tmp/lost
		[ ! -s /tmp/lost ]
	fi
}

gone_within() # SECONDS
{
	for second in $(seq "$1"); do
		grep -q watch /proc/net/dev || {
			echo "after $second s"
			return 0
		}
		sleep 1
	done
	grep watch /proc/net/dev
	return 1
}

# fuzz_calls has left a device watchN for each of its namespaces, which goes with it, and a
# namespace with its last socket: one that nobody has a descriptor of any more may still be
# talking to its peer. When it takes too long the console says who holds it; and those that
# would wait for ever, by a fault and not by the module, are ended.
gone()
{
	gone_within 300 && return
	insmod /holders.ko 2>/dev/null
	dmesg | grep "lost its FIN"
	gone_within 60
}

# Tainted by a module that is not the kernel's own, and by nothing else.
watching()
{
	grep debug_locks: /proc/lockdep_stats
	echo "tainted: $(cat /proc/sys/kernel/tainted)"
	grep -qE 'debug_locks: +1$' /proc/lockdep_stats &&
		[ $(($(cat /proc/sys/kernel/tainted) & ~4096)) = 0 ]
}

case ${1-} in
start | gone | lost | watching)
	"$1"
	exit
	;;
esac
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t tmpfs tmpfs /tmp
stty -F /dev/ttyS1 -opost
exec >/dev/ttyS1 2>&1
step "the machine starts" "/init start"
while IFS= read -r line <&3; do
	case $line in
	'#'* | '') continue ;;
	esac
	name=${line%%|*}
	step "${name% }" "${line#*|}"
done 3</steps
step "no memory is lost" "/init lost"
step "the kernel's checks are still on" "/init watching"
sync
reboot -f
