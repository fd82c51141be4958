#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Behind `make check-kernel-debug`: af_graft.ko in a kernel that watches itself, under calls
# at random and under faults:
#
#	tests/kmod/check_debug.sh [LENGTH]
#
#	LENGTH	seconds of random calls, half of them with faults (default: 600)
#
#	tools/debug_kernel.sh		the kernel, built once
#	selftest/test_selftest.sh	does the machine see mistakes at all?
#	debug_machine.sh		the module: loaded with each allocation failing in turn,
#					scenarios likewise (fault_calls), calls at random
#					(fuzz_calls), unloaded
#
# Ends with "N passed, N failed". Exit status: 0 when none failed.
#
# Environment: GRAFT_CACHE, where kernels are kept, for all clones that say so (default:
# build/cache, this one's); SEED, of the random calls; SELFTEST=no
# to do without it; PATIENCE, seconds until the machine is given up.
set -u
umask 022
HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=${HERE%/tests/kmod}
LENGTH=${1-600}
SEED=${SEED-$(date +%s)}
OUT=$ROOT/build/check-kernel-debug
CACHE=${GRAFT_CACHE:-$ROOT/build/cache}/kernel-debug

end() # with what was counted
{
	local n_passed n_failed
	n_passed=$(grep -c '^ok ' "$OUT/points")
	n_failed=$(grep -cE '^(not ok |Bail out)' "$OUT/points")
	echo "$n_passed passed, $n_failed failed"
	[ "$n_failed" = 0 ]
	exit
}

not_ok() # NAME LOG: what else there is to do is in vain
{
	echo "not ok - $1" | tee -a "$OUT/points"
	[ -z "${2-}" ] || tail -n 40 "$2" | sed 's/^/# /'
	end
}

build_module()
{
	rm -rf "$OUT/kmod"
	"$ROOT/tools/module_source.sh" "$OUT/kmod"
	make -s -C "$TREE" M="$OUT/kmod" modules >"$OUT/log" 2>&1 &&
		! grep -i warning: "$OUT/log"
}

# What debug_guest.sh asks when a namespace does not go.
build_holders()
{
	rm -rf "$OUT/selftest"
	cp -R "$HERE/selftest" "$OUT/selftest"
	make -s -C "$TREE" M="$OUT/selftest" modules >"$OUT/log" 2>&1
}

build_program() # NAME FILE...
{
	local name=$1
	shift
	gcc -std=gnu11 -D_GNU_SOURCE -O1 -g -pthread -Wall -Wextra -Wno-unused-parameter \
		-Wno-missing-field-initializers -I "$ROOT/include/uapi" \
		-o "$OUT/$name" "$@" >"$OUT/log" 2>&1
}

make_steps()
{
	local name
	echo "loading with faults | fault_calls --load /af_graft.ko"
	echo "loading | insmod /af_graft.ko"
	"$OUT/fault_calls" --list | while IFS= read -r name; do
		echo "faults: $name | fault_calls '$name'"
	done
	echo "calls at random | fuzz_calls --seconds $((LENGTH / 2)) --seed $SEED"
	echo "calls at random with faults |" \
		"fuzz_calls --faults --seconds $((LENGTH / 2)) --seed $SEED"
	echo "namespaces go | /init gone"
	echo "unloading | rmmod af_graft"
}

mkdir -p "$OUT"
: >"$OUT/points"
[ -e "$ROOT/kmod/Kbuild" ] || not_ok "there is no kmod/Kbuild"
TREE=$("$ROOT/tools/debug_kernel.sh" "$CACHE") || not_ok "the kernel is built"
KERNEL=$TREE/arch/x86/boot/bzImage
build_module || not_ok "af_graft.ko is built" "$OUT/log"
build_holders || not_ok "holders.ko is built" "$OUT/log"
build_program fuzz_calls "$HERE"/fuzz_*.c || not_ok "fuzz_calls is built" "$OUT/log"
build_program fault_calls "$HERE"/fault_*.c "$HERE"/fuzz_{netlink,message,random}.c ||
	not_ok "fault_calls is built" "$OUT/log"
if [ "${SELFTEST-}" != no ]; then
	echo "== does the machine see mistakes?"
	"$HERE/selftest/test_selftest.sh" "$TREE" | tee -a "$OUT/points"
fi
make_steps >"$OUT/steps"
echo "== af_graft.ko, random calls for $LENGTH s; the console: $OUT/console"
PATIENCE=${PATIENCE-$((3 * LENGTH + 3600))} MEMORY=1536 PROGRESS=yes KEEP=$OUT \
	"$HERE/debug_machine.sh" "$KERNEL" "$OUT/steps" \
	"$OUT/kmod/af_graft.ko" "$OUT/selftest/holders.ko" "$OUT/fuzz_calls" "$OUT/fault_calls" |
	tee -a "$OUT/points"
end
