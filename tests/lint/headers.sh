#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every header includes what it needs: each compiles alone. The installed ones also do as
# C99 without extensions and, when there is a C++ compiler, as C++. NAME.bpf.h are parts of
# BPF programs, for another compiler.
set -eu
. "$(dirname "$0")/lib.sh"
cc=${CC:-cc}
need "${cc%% *}"

private=$(mktemp -d)
trap 'rm -rf "$private"' EXIT
echo '#define GRAFT_VERSION "0"' >"$private/config.h"
echo 'extern int graft_lint_unit;' >"$private/unit"

# alone HEADER COMPILER...
alone()
{
	header=$1
	shift
	if ! "$@" -I"$private" -Isrc -Iinclude -Iinclude/uapi -fsyntax-only -include "$header" \
		"$private/unit" >"$private/log" 2>&1; then
		echo "$header: does not compile alone ($*)"
		grep -E 'error|warning' "$private/log" | head -n 3
	fi
}

check()
{
	files '^(src|tests|bench)/.*\.h$' | grep -v '\.bpf\.h$' | while IFS= read -r header; do
		# shellcheck disable=SC2086 # CC may hold options
		alone "$header" $cc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror \
			-Wno-unused-function -Wno-missing-field-initializers \
			-I"$(dirname "$header")" -x c
	done
	files '^include/.*\.h$' | while IFS= read -r header; do
		# shellcheck disable=SC2086
		alone "$header" $cc -std=c99 -pedantic -Wall -Wextra -Werror -x c
		if command -v c++ >/dev/null; then
			alone "$header" c++ -Wall -Wextra -Werror -x c++
		fi
	done
}

finish "$(check)"
