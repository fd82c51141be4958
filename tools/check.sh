#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Behind `make check`: installs what tests need, then builds and tests
#
#	build		everything, every suite
#	build-asan	address and undefined behaviour sanitizers; what is quick
#	build-fuzz	clang; each fuzz harness runs for some seconds
#
# and ends with one line, "N passed, N failed, N skipped". Without root it does what it
# can and says what it leaves out. `make test` sets QUICK=1: what is quick of the first.
# `make check-long` sets LONG=1: also what the suite "long" has, and all tries of the races.
#
# Tests that boot a machine (suite "machine") go one after another beside all the others:
# an emulated machine is at work all the time, and most other tests wait most of theirs.
# Their lines begin with a bar.
set -u
cd "$(dirname "$0")/.." || exit 1

jobs=$(nproc)
logs=$PWD/build/check
machines=
not_long=--no-suite=long
[ -z "${LONG-}" ] || {
	not_long=
	export TIDY_SECONDS=1500
}

say()
{
	echo "== $*"
}

# A step that cannot even start counts as a failed test.
fail()
{
	echo "== FAILED: $*"
	printf '{"name": "%s", "result": "FAIL", "returncode": 1}\n' "$1" \
		>"$(mktemp "$logs/broken-XXXXXX.json")"
}

# forget DIRECTORY: meson remembers what it did not find (cmocka, 32-bit libraries) even
# when it has been installed since, so it is made to look again.
forget()
{
	if [ -f "$1/build.ninja" ] && [ "$(cat "$1/installed" 2>/dev/null)" != "$installed" ]; then
		meson setup --wipe "$1" >/dev/null 2>&1 || rm -rf "$1"
	fi
}

# build DIRECTORY SETUP-OPTION...: quiet unless it fails. TARGETS: what of it, instead of all.
build()
{
	local dir=$1 targets=${TARGETS:-all meson-test-prereq}
	shift
	say "building $dir"
	# shellcheck disable=SC2086 # targets are words
	if [ ! -f "$dir/build.ninja" ]; then
		meson setup "$dir" "$@" >"$logs/$dir.log" 2>&1
	else
		meson configure "$dir" "$@" >"$logs/$dir.log" 2>&1
	fi && echo "$installed" >"$dir/installed" &&
		ninja -C "$dir" -j "$jobs" $targets >>"$logs/$dir.log" 2>&1 && return 0
	tail -n 30 "$logs/$dir.log"
	fail "build of $dir"
	return 1
}

has_suite() # DIRECTORY SUITE
{
	meson test -C "$1" --list --suite "$2" 2>/dev/null | grep -q " / "
}

# run DIRECTORY SUITE [MESON-OPTION...]: one log per run, kept for the summary.
run()
{
	local dir=$1 suite=$2
	shift 2
	has_suite "$dir" "$suite" || return 0
	say "$dir: $suite"
	# What ran before must not be counted again should meson fail to start.
	rm -f "$dir/meson-logs/testlog-$suite.json"
	# shellcheck disable=SC2086 # an option or none
	meson test -C "$dir" --no-rebuild --suite "$suite" $not_long \
		--logbase "testlog-$suite" --print-errorlogs "$@" </dev/null
	[ -s "$dir/meson-logs/testlog-$suite.json" ] || fail "$dir: $suite did not run"
}

# Tests of the sanitizer build: all units and corpora, and of the slower suites these.
asan_names='nginx curl asyncio exit own_side'

asan_quick() # SUITE NAME...
{
	suite=$1
	shift
	known=$(meson test -C build-asan --list --suite "$suite" 2>/dev/null |
		sed 's,.* / ,,')
	names=
	for name; do
		if echo "$known" | grep -qx "$name"; then names="$names $name"; fi
	done
	[ -n "$names" ] || return 0
	# shellcheck disable=SC2086 # names are words
	run build-asan "$suite" $names
}

# In a process group of its own, to be ended with us.
start_machines()
{
	set -m
	run build machine --num-processes 1 2>&1 | sed -u 's/^/    | /' &
	set +m
	machines=$(jobs -p)
	trap 'kill -- -"$machines" 2>/dev/null' EXIT
	trap 'exit 130' INT TERM HUP
}

wait_for_machines()
{
	[ -n "$machines" ] || return 0
	say "waiting for the machines"
	wait
	trap - EXIT
}

tools/deps.sh test
deps=$?
# shellcheck disable=SC2046 # names of packages are words
installed=$(dpkg-query -W $(tools/deps.sh --list test) 2>/dev/null | sha256sum)
for dir in build build-asan build-fuzz; do
	forget "$dir"
done
mkdir -p "$logs" || exit 1
rm -f "$logs"/broken-*.json build*/meson-logs/testlog-*.json
if [ "$deps" != 0 ]; then
	[ "$(id -u)" = 0 ] && fail "tools/deps.sh test"
	say "going on with what is installed"
fi
[ "$(id -u)" = 0 ] || say "not root: tests that need it are skipped and say so"

export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
if [ -n "${QUICK-}" ]; then
	if build build; then
		run build lint --no-suite slow
		run build unit
		run build fuzz
		run build everyday
	fi
else
	if build build; then
		run build lint
		start_machines
		for suite in unit fuzz conformance escape net cgroup graftd kmod runtime packages; do
			run build "$suite" --no-suite machine
		done
		# What is in both has been run.
		run build preload --no-suite net
	fi
	if build build-asan -Db_sanitize=address,undefined -Db_lundef=false; then
		run build-asan unit
		run build-asan fuzz
		# Units show leaks; a front process that ends with its program need not
		# have freed what it still uses.
		# shellcheck disable=SC2086 # names are words
		ASAN_OPTIONS=detect_leaks=0 asan_quick net $asan_names
		ASAN_OPTIONS=detect_leaks=0 asan_quick graftd crash hostile
		ASAN_OPTIONS=detect_leaks=0 asan_quick cgroup cases attach
		# The preload library is never sanitized; the broker of its runs is.
		asan_quick conformance everyday
	fi
	if ! command -v clang >/dev/null; then
		say "no clang: no fuzzing"
	elif TARGETS=fuzzers CC=clang build build-fuzz -Dfuzz=true -Db_sanitize=address,undefined \
		-Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link; then
		run build-fuzz fuzz
	fi
	wait_for_machines
fi

set --
for log in "$logs"/broken-*.json build*/meson-logs/testlog-*.json; do
	[ ! -s "$log" ] || set -- "$@" "$log"
done
echo
exec python3 tools/summary.py "$@"
