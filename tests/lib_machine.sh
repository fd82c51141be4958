# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A virtual machine to run tests in, on top of lib.sh:
#
#	QEMU, emulated, so it runs wherever QEMU does; no network, no disk
#		first serial line	console, in $DIR/console
#		second serial line	TAP, in $DIR/tap and then $DIR/points
#
# Environment: DIR, a directory of the test's own, which leave_machine removes; KERNEL;
# DIR/initrd; PATIENCE, seconds for the machine; MEMORY, its megabytes.
# shellcheck disable=SC2034 # used by those who source this
MEMORY=${MEMORY-1024}

need_machine()
{
	[ "$(uname -m)" = x86_64 ] || skip "for x86_64 only"
	need qemu-system-x86_64 busybox cpio
	! ldd "$(command -v busybox)" >/dev/null 2>&1 || skip "busybox is not a static program"
}

# Where packaged kernels are kept; several clones may share it.
cache_of() # SUITE
{
	echo "${GRAFT_CACHE:-$BUILD/cache}/kernels/$1"
}

# packaged_kernel SUITE...: of the first of them that has one -> PACKAGED, the directory
packaged_kernel()
{
	local suite reason
	for suite; do
		PACKAGED=$(cache_of "$suite")
		if reason=$("$SOURCE_DIR/tools/kernel_package.sh" "$suite" "$PACKAGED" 2>&1); then
			return 0
		fi
	done
	skip "no kernel: ${reason##*$'\n'}"
}

# Two of two processors: what races is to have the chance. That emulation beside other work
# is slow is nothing to complain about. Without cmpxchg16b: after it QEMU 7.2 gets the flags
# wrong now and then, and the kernel uses it in each allocation.
#
# With COUNTED set there is one, whose clock counts instructions and stands still while it
# waits: what is measured there is the same whatever else this machine does. Clearing memory
# is not one of them for each byte then.
run_machine() # KERNEL-OPTION...
{
	local kind=(-accel "tcg,thread=multi" -cpu "${CPU-max,-cx16}" -smp 2)
	[ -z "${COUNTED-}" ] || kind=(-accel "tcg,thread=single" -icount "shift=0,sleep=off"
		-cpu "max,-cx16,-erms,-fsrm" -smp 1)
	timeout -k 5 "$PATIENCE" qemu-system-x86_64 -nodefaults -no-user-config \
		-machine pc "${kind[@]}" -m "$MEMORY" \
		-display none -no-reboot -kernel "$KERNEL" -initrd "$DIR/initrd" \
		-append "console=ttyS0 oops=panic panic=-1 mitigations=off no_timer_check \
watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=300 $*" \
		-serial "file:$DIR/console" -serial "file:$DIR/tap" </dev/null >"$DIR/qemu" 2>&1 &
	MACHINE=$!
	wait "$MACHINE"
	MACHINE_STATUS=$?
	MACHINE=
}

leave_machine()
{
	[ -z "${MACHINE-}" ] || kill "$MACHINE" 2>/dev/null
	rm -rf "$DIR"
}

last_words()
{
	local found
	tr -d '\r' <"$DIR/console" >"$DIR/words"
	found=$(grep -n -m 1 -E 'BUG: |BUG at |Oops|double fault|Kernel panic' "$DIR/words")
	if [ -n "$found" ]; then
		tail -n "+${found%%:*}" "$DIR/words" | head -n 80
	else
		tail -n 40 "$DIR/words"
	fi
}

# The points of the machine follow those there were. That there are none, or not all, is one
# of ours.
report_machine()
{
	local plan
	tr -d '\r' <"$DIR/tap" | awk -v n="$COUNT" '
		/^(not )?ok [0-9]/ {
			i = $1 == "not" ? 3 : 2
			sub(/ok [0-9]+/, "ok " $i + n)
		}
		/^1\.\.[0-9]+$/ { $0 = "1.." substr($0, 4) + n }
		{ print }' >"$DIR/points"
	plan=$(grep -c '^1\.\.[0-9]' "$DIR/points")
	cat "$DIR/points"
	[ "$plan" != 1 ] || return 0
	comment "--- QEMU: status $MACHINE_STATUS" "$(tail -n 5 "$DIR/qemu")"
	comment "--- console, from what is worst, or its end" "$(last_words)"
	die "the machine did not come to its end within $PATIENCE s"
}
