#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# clang-tidy over the compilation database, our own files only. Slow, so a file found
# clean is remembered in the build directory until it, a header or a .clang-tidy changes,
# and after TIDY_SECONDS the rest waits for the next run, which the output says. What was
# changed last comes first.
# shellcheck disable=SC2016 # the inner shell's own variables
set -eu
. "$(dirname "$0")/lib.sh"
need clang-tidy
[ -f "$build/compile_commands.json" ] || skip "no $build/compile_commands.json"

clean=$build/lint-tidy
mkdir -p "$clean"
headers=$(files '(^|/)\.clang-tidy$|\.h$' | xargs -r -d '\n' sha256sum | sha256sum)
export root build clean headers
TIDY_END=$(($(date +%s) + ${TIDY_SECONDS:-120}))
export TIDY_END

# newest_first: by the history, where there is one; of paths relative to the build directory
newest_first()
{
	{
		git -C "$root" log --format= --name-only -- '*.c' 2>/dev/null | sed 's,^,rank ,'
		cat
	} | awk '$1 == "rank" { if (!($2 in rank)) rank[$2] = ++n; next }
		{ name = $0; sub(/^(\.\.\/)+/, "", name)
		  print (name in rank ? rank[name] : n + 1) "\t" $0 }' |
		sort -s -n -k 1,1 | cut -f 2-
}

# Paths in the database are relative to the build directory.
cd "$build"
findings=$(sed -n 's/^ *"file": "\(.*\.c\)",*$/\1/p' compile_commands.json | sort -u |
	while IFS= read -r file; do
		case $(realpath "$file") in
		"$build"/*) ;; # generated
		"$root"/*) printf '%s\n' "$file" ;;
		esac
	done | newest_first |
	xargs -r -d '\n' -P 2 -n 1 sh -c '
		key=$( (echo "$headers"; echo "$0"; cat "$0") | sha256sum | cut -c 1-32)
		[ ! -e "$clean/$key" ] || exit 0
		if [ "$(date +%s)" -ge "$TIDY_END" ]; then
			echo "$0: LATER"
			exit 0
		fi
		if found=$(clang-tidy -p "$build" --quiet --header-filter=".*" \
			--extra-arg=-Wno-unknown-warning-option "$0" 2>/dev/null); then
			: >"$clean/$key"
		elif printf "%s\n" "$found" | grep -qE "(error|warning):"; then
			printf "%s\n" "$found" | grep -E "(error|warning):" |
				sed "s,^\($build/\)*\.\./,,;s/,-warnings-as-errors\]/]/"
		else
			echo "$0: clang-tidy failed: $found"
		fi')

late=$(printf '%s\n' "$findings" | grep -c ': LATER$' || true)
[ "$late" -eq 0 ] || echo "$late files left for the next run: the time was up"
finish "$(printf '%s\n' "$findings" | grep -v ': LATER$' | sort -u)"
