#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The kernel's own rules for what is in the kernel's own style, without those that
#
#	LINUX_VERSION_CODE	is what makes a module that is not in the kernel's tree
#	CONSTANT_COMPARISON	mistakes that very line for a comparison the wrong way round
#	LONG_LINE*, OPEN_ENDED_LINE	are .clang-format's business: 90 columns, and where
#				lines break
#	BLOCK_COMMENT_STYLE	are this tree's own: a comment of two lines ends on the second
#	CONST_STRUCT		assume that nobody copies a table of operations to change it
#	COMPLEX_MACRO, FUNCTION_ARGUMENTS	take accept()'s parameters, which are a macro of
#				compat.h, for an expression
set -eu
. "$(dirname "$0")/lib.sh"
need perl
scripts=${GRAFT_CACHE:-$build/cache}/kernels/scripts
reason=$("$root/tools/kernel_scripts.sh" "$scripts" 2>&1) || skip "$reason"

check()
{
	files '^kmod/.*\.[ch]$' | xargs -r -d '\n' perl "$scripts/scripts/checkpatch.pl" \
		--no-tree --strict --terse --no-summary --show-types --max-line-length=90 \
		--ignore "LINUX_VERSION_CODE,CONSTANT_COMPARISON,LONG_LINE,\
LONG_LINE_COMMENT,BLOCK_COMMENT_STYLE,CONST_STRUCT,OPEN_ENDED_LINE,COMPLEX_MACRO,\
FUNCTION_ARGUMENTS" -f | grep -E '^[^ ]+:[0-9]+: ' || true
}

finish "$(check)"
