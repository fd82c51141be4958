#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The tree speaks of the project alone: no paths of one machine, no hosts that packages
# come from, no words that only those who wrote it would understand. words.patterns holds
# one extended regular expression a line, written so that it does not match itself.
set -eu
. "$(dirname "$0")/lib.sh"

check()
{
	patterns=$(sed '/^#/d;/^$/d' tests/lint/words.patterns)
	files '' | grep -vE '^LICENSES/|\.(png)$' |
		xargs -r -d '\n' grep -nIiE -e "$patterns" /dev/null || true
}

finish "$(check)"
