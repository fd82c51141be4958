#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# shellcheck over every script, known by its name or its first line.
set -eu
. "$(dirname "$0")/lib.sh"
need shellcheck

check()
{
	scripts | xargs -r -d '\n' shellcheck -x -P SCRIPTDIR -f gcc || true
}

finish "$(check)"
