#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds the libFuzzer harnesses with clang and runs each for so many seconds:
#
#	tools/fuzz.sh [SECONDS [HARNESS...]]
#
# New inputs and crashes are kept in build-fuzz/found/HARNESS.
set -eu
cd "$(dirname "$0")/.."

seconds=${1-60}
[ $# = 0 ] || shift
command -v clang >/dev/null || {
	echo "fuzz.sh: clang is missing; sudo tools/deps.sh test" >&2
	exit 1
}
[ -f build-fuzz/build.ninja ] ||
	CC=clang meson setup build-fuzz -Dfuzz=true -Db_sanitize=address,undefined \
		-Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link
ninja -C build-fuzz
failed=
for harness in build-fuzz/tests/fuzz/fuzz_*; do
	name=${harness##*/fuzz_}
	[ -f "$harness" ] && [ -x "$harness" ] || continue
	case " $* " in "  " | *" $name "*) ;; *) continue ;; esac
	found=build-fuzz/found/$name
	mkdir -p "$found"
	echo "== $name, $seconds s"
	"$harness" "-max_total_time=$seconds" "-artifact_prefix=$found/" \
		"$found" "tests/fuzz/corpus/$name" || failed="$failed $name"
done
[ -z "$failed" ] || {
	echo "fuzz.sh: crashed:$failed" >&2
	exit 1
}
