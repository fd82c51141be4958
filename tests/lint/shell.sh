#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Checks every script with shellcheck, known by its name or its first line.
set -eu
. "$(dirname "$0")/lib.sh"
need shellcheck

check()
{
	scripts | xargs -r -d '\n' shellcheck -x -P SCRIPTDIR -f gcc || true
}

finish "$(check)"
