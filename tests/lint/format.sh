#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The look of C is .clang-format's business, checked, never discussed.
set -eu
. "$(dirname "$0")/lib.sh"
need clang-format

check()
{
	files '\.[ch]$' | xargs -r -d '\n' clang-format --dry-run -Werror 2>&1 |
		grep -E '(error|warning):' || true
}

finish "$(check)"
