#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Common misspellings. Words of ours that look like one stand in spell.words.
set -eu
. "$(dirname "$0")/lib.sh"
need codespell

check()
{
	files '' | grep -vE '^LICENSES/|\.(svg|png)$|/corpus/|^tests/lint/selftest\.sh$' |
		xargs -r -d '\n' codespell -I tests/lint/spell.words || true
}

finish "$(check)"
