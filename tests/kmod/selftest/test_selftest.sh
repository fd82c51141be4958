#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_selftest.sh TREE: does debug_machine.sh see what it is there for? In machines with the
# kernel of TREE (tools/debug_kernel.sh) it loads a module that makes no mistake, which has to
# pass, and the same module with each of its mistakes, each of which has to fail for its own
# reason. Output is TAP. Exit status: 0 passed, 1 failed, 77 skipped.
set -u
TREE=$1
HERE=$(cd "$(dirname "$0")" && pwd)
KERNEL=$TREE/arch/x86/boot/bzImage
COUNT=0
FAILED=0

# mistake, and a word of what has to be said of it. The order matters: the kernel gives
# lockdep up after the first it found, and after what may have broken memory.
MISTAKES=(
	"rcu suspicious RCU usage"
	"order possible circular locking"
	"atomic sleeping function called"
	"count refcount_t: "
	"object ODEBUG: "
	"shift UBSAN: shift-out-of-bounds"
	"freed slab-use-after-free|use-after-free"
	"beyond out-of-bounds"
	"lost "
)

point() # NAME STATUS
{
	COUNT=$((COUNT + 1))
	if [ "$2" = 0 ]; then
		echo "ok $COUNT - $1"
		return
	fi
	echo "not ok $COUNT - $1"
	FAILED=$((FAILED + 1))
	head -n 200 "$DIR/of_it" | sed 's/^/# /'
}

machine() # runs $DIR/steps
{
	PATIENCE=${PATIENCE-400} "$HERE/../debug_machine.sh" "$KERNEL" "$DIR/steps" \
		"$DIR/selftest.ko" >"$DIR/said"
	STATUS=$?
	cp "$DIR/said" "$DIR/of_it"
	[ "$STATUS" != 77 ] || { cat "$DIR/said"; exit 77; }
}

put_step() # MISTAKE
{
	echo "$1 | insmod /selftest.ko mistake=$1 && rmmod selftest" >>"$DIR/steps"
}

# failed STEP WORD: a point: that step failed, and what was said of it has the word.
failed()
{
	awk -v step="$1" '
		/^(not )?ok / { here = $0 ~ "^not ok [0-9]+ - " step "$"; if (here) next }
		here' "$DIR/said" >"$DIR/of_it"
	grep -qE "$2" "$DIR/of_it"
	point "noticed: $1" $?
}

DIR=$(mktemp -d) || exit 1
trap 'rm -rf "$DIR"' EXIT
trap 'exit 1' INT TERM HUP
cp "$HERE/Kbuild" "$HERE"/*.c "$DIR/"
make -s -C "$TREE" M="$DIR" modules >"$DIR/of_it" 2>&1
point "a module is built" $?

: >"$DIR/steps"
put_step none
machine
point "no mistake, no complaint" "$STATUS"

: >"$DIR/steps"
for mistake in "${MISTAKES[@]}"; do
	put_step "${mistake%% *}"
done
machine
point "a machine that complained has failed" $((STATUS != 1))
for mistake in "${MISTAKES[@]}"; do
	name=${mistake%% *}
	[ "$name" != lost ] || continue
	failed "$name" "${mistake#* }"
done
failed "no memory is lost" "unreferenced object"
failed "the kernel's checks are still on" "debug_locks: *0"

: >"$DIR/steps"
put_step crash
put_step none
machine
failed crash "Oops|BUG: "
failed none "did not end"

: >"$DIR/steps"
echo "status | echo this is said; exit 3" >>"$DIR/steps"
machine
failed status "its status is 3"
echo "1..$COUNT"
[ "$FAILED" = 0 ]
