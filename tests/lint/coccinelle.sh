#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The semantic patches of Linux over the module: use after free, locks that are not given
# back, sizes of the wrong thing. What one of them is wrong about stands with its reason in
# coccinelle.exceptions: the patch, the file, the word of what is meant.
set -eu
. "$(dirname "$0")/lib.sh"
need spatch
scripts=${GRAFT_CACHE:-$build/cache}/kernels/scripts
reason=$("$root/tools/kernel_scripts.sh" "$scripts" 2>&1) || skip "$reason"
exceptions=tests/lint/coccinelle.exceptions
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Those that report, and do without a compiler of OCaml.
patches()
{
	find "$scripts/scripts/coccinelle" -name '*.cocci' | sort | while IFS= read -r file; do
		! grep -q 'script:ocaml\|initialize:ocaml' "$file" || continue
		! grep -qE '^virtual.*[ ,]report|^virtual report' "$file" || echo "$file"
	done
}

# run FILE: its findings, "patch: file:line: what"
run()
{
	# shellcheck disable=SC2046 # words
	spatch -D report --no-show-diff --very-quiet --cocci-file "$1" \
		$(sed -n 's,^// Options: *,,p' "$1" | head -n 1) \
		-I include/uapi --dir kmod 2>"$work/errors" |
		sed -n "s,^kmod/[^:]*:[0-9],${1##*/}: &,p" | grep -vF -f "$work/known" || true
	# Without the library of Python, which Debian has in libpython3-dev, it finds nothing.
	grep -m 1 -iE '^(fatal|exception|Py\.find_library)' "$work/errors" |
		sed "s,^,${1##*/}: ,;s/ \[.*//"
}

files '^kmod/.*\.[ch]$' >"$work/sources"
[ -s "$work/sources" ] || exit 0
sed -n '/^#/d; s/^\([^\t]*\)\t\([^\t]*\)\t.*/\1: \2:/p' "$exceptions" >"$work/known"
echo "(none)" >>"$work/known"
finish "$(patches | while IFS= read -r file; do run "$file"; done)"
