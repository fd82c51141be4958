#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs steps in a machine of its own whose kernel watches itself (tools/debug_kernel.sh), and
# fails those during which it complained:
#
#	debug_machine.sh KERNEL STEPS [FILE...]
#
#	KERNEL	a bzImage
#	STEPS	a file, a line each: name | command, for the shell of busybox
#	FILE	what the steps need: modules and data, which are in / there, and programs, which
#		are in /bin, with the libraries they take
#
#	emulated machine, two processors
#	    first serial line	console: what the kernel says, "graft-step: NAME" between
#	    second serial line	debug_guest.sh: what the steps say and how they ended
#
# Afterwards the kernel looks for memory nobody refers to any more, and has to have all its
# checks still on: lockdep ends with the first thing it finds. Output is TAP, a point for
# each step and for these. Exit status: 0 passed, 1 failed, 77 skipped.
#
# Environment: PATIENCE, seconds for the machine; MEMORY, its megabytes; PROGRESS, to name
# each step when it begins; KEEP, a directory for what its serial lines said.
set -u
PATH=$PATH:/usr/sbin:/sbin
HERE=$(cd "$(dirname "$0")" && pwd)
PATIENCE=${PATIENCE-600}
MEMORY=${MEMORY-1024}

# Where memory runs out on purpose a call trace is no complaint. "kmemleak:" is none either:
# a thing it suspects in one look may be found in the next, and what is left over counts.
COMPLAINTS=$(grep -vx 'Call Trace' "$HERE/complaints" | paste -s -d '|')
COMPLAINTS+='|self-detected stall|DEBUG_LOCKS_WARN_ON|unreferenced object|possible reason: '

skip()
{
	echo "1..0 # SKIP $*"
	exit 77
}

die()
{
	echo "Bail out! $*"
	exit 1
}

put_libraries() # PROGRAM
{
	local file
	for file in $(ldd "$1" 2>/dev/null | sed -n 's,^[^/]*\(/[^ ]*\) (0x.*,\1,p'); do
		mkdir -p "$TREE${file%/*}"
		cp -L "$file" "$TREE$file"
	done
}

make_initrd() # FILE...
{
	local file
	mkdir -p "$TREE"/{bin,dev,lib,proc,sys,tmp,run}
	cp -L "$(command -v busybox)" "$TREE/bin/busybox"
	for file in $(busybox --list); do
		[ -e "$TREE/bin/$file" ] || ln -s busybox "$TREE/bin/$file"
	done
	ln -s bin "$TREE/sbin"
	cp "$HERE/debug_guest.sh" "$TREE/init"
	cp "$STEPS" "$TREE/steps"
	for file; do
		if [ -x "$file" ]; then
			cp "$file" "$TREE/bin/"
			put_libraries "$file"
		else
			cp "$file" "$TREE/"
		fi
	done
	chmod 755 "$TREE/init"
	(cd "$TREE" && find . -print0 |
		cpio --null --create --quiet --format=newc --owner=+0:+0) >"$DIR/initrd"
}

# Each step when it begins, on stderr.
show_progress()
{
	tail -n +1 -s 2 --pid="$MACHINE" -F "$DIR/steps" 2>/dev/null |
		sed -un 's/^step [0-9]* /# /p' >&2
}

# Two sockets of a processor, since the BIOS tells of those only. Emulation under KASAN is slow; that alone is no complaint. A kernel that has oopsed ends at
# once instead of waiting for the locks the task held.
run_machine()
{
	local options="console=ttyS0 loglevel=7 oops=panic panic=-1 reboot=k"
	options+=" kasan_multi_shot tsc=reliable watchdog_thresh=60"
	options+=" rcupdate.rcu_cpu_stall_timeout=300 rcupdate.rcu_exp_cpu_stall_timeout=0"
	options+=" sysctl.kernel.hung_task_timeout_secs=240 random.trust_cpu=on"
	timeout -k 5 "$PATIENCE" qemu-system-x86_64 -nodefaults -no-user-config \
		-machine pc -accel tcg,thread=multi -cpu max -smp 2,sockets=2 -m "$MEMORY" \
		-display none -no-reboot -kernel "$KERNEL" -initrd "$DIR/initrd" \
		-append "$options" -serial "file:$DIR/console" -serial "file:$DIR/steps" \
		</dev/null >"$DIR/qemu" 2>&1 &
	MACHINE=$!
	[ -z "${PROGRESS-}" ] || show_progress &
	wait "$MACHINE"
	MACHINE_STATUS=$?
	MACHINE=
}

leave()
{
	[ -z "${MACHINE-}" ] || kill "$MACHINE" 2>/dev/null
	rm -rf "$DIR"
}

# The console without what is the kernel's own mistake, told in one piece with its stack:
#	fib4_rules_init		in a namespace that cannot be made to its end Linux 6.1 takes
#				IPv4's rules down without the lock they want
without_known()
{
	awk '/WARNING: suspicious RCU usage/ { inside = 1; text = ""; known = 0 }
		!inside { print; next }
		{ text = text $0 "\n" }
		/ fib4_rules_init\+/ { known = 1 }
		/<\/TASK>/ { if (!known) printf "%s", text; inside = 0 }
		END { if (inside) printf "%s", text }' "$DIR/console"
}

# What the kernel said from one step's start to the next's, or before the first.
console_of() # NAME
{
	awk -v name="$1" -v here="$([ "$COUNT" = 1 ] && echo 1)" '
		/graft-step: / { here = substr($0, index($0, "graft-step: ") + 12) == name; next }
		/ommand line/ || /stall warnings timeout/ { next }
		here' <(without_known)
}

said_in() # NUMBER
{
	awk -v n="$1" '/^(step|end) / { here = $1 == "step" && $2 == n; next } here' \
		"$DIR/steps"
}

# Points are made here: a machine that is dead reports nothing.
report_step() # NAME
{
	local status said
	COUNT=$((COUNT + 1))
	status=$(sed -n "s/^end $COUNT //p" "$DIR/steps")
	said=$(console_of "$1" | grep -nE "$COMPLAINTS" | head -n 20)
	if [ "$status" = 0 ] && [ -z "$said" ]; then
		echo "ok $COUNT - $1"
		said_in "$COUNT"
		return
	fi
	FAILED=$((FAILED + 1))
	echo "not ok $COUNT - $1"
	said_in "$COUNT"
	if [ -z "$status" ]; then
		echo "# did not end; QEMU: status $MACHINE_STATUS $(tail -n 5 "$DIR/qemu")"
	elif [ "$status" != 0 ]; then
		echo "# its status is $status"
	fi
	[ -z "$said" ] || printf '# the kernel complains:\n%s\n' "$said" | sed '2,$s/^/#   /'
	echo "# --- console"
	console_of "$1" | if [ -n "$said" ]; then
		# From the first complaint on; it says most.
		awk -v all="$COMPLAINTS" '$0 ~ all { found = 1 } found' | head -n 120
	else
		tail -n 30
	fi | sed 's/^/#   /'
}

report()
{
	local name
	while IFS= read -r name; do
		report_step "$name"
	done < <(
		echo "the machine starts"
		sed -n '/^#/d; s/ *|.*//p' "$STEPS"
		echo "no memory is lost"
		echo "the kernel's checks are still on"
	)
	echo "1..$COUNT"
}

[ $# -ge 2 ] || die "Usage: debug_machine.sh KERNEL STEPS [FILE...]"
KERNEL=$1 STEPS=$2 COUNT=0 FAILED=0
shift 2
[ "$(uname -m)" = x86_64 ] || skip "for x86_64 only"
for program in qemu-system-x86_64 busybox cpio; do
	command -v "$program" >/dev/null || skip "$program is not installed"
done
DIR=$(mktemp -d) || die "no directory"
trap leave EXIT
trap 'exit 1' INT TERM HUP
TREE=$DIR/tree
make_initrd "$@" || die "cannot make a root file system"
rm -rf "$TREE"
run_machine
for file in console steps; do
	tr -d '\r' <"$DIR/$file" >"$DIR/clean"
	mv "$DIR/clean" "$DIR/$file"
done
report
if [ -n "${KEEP-}" ]; then
	mkdir -p "$KEEP"
	cp "$DIR/console" "$DIR/steps" "$KEEP/"
fi
[ "$FAILED" = 0 ]
