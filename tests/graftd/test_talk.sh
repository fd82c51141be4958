#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# graftd as its clients see it; the cases are in talk.py. Root, ordinary users, and
# processes in namespaces of their own talk to one that runs in "the host".
. "$(dirname "$0")/../lib_graftd.sh"
enter_host "$@"
need ip setpriv "$PYTHON"
need_graftd
cp "$LIB_DIR"/graftd/{talk,wire}.py "$T/bin/" && chmod 644 "$T"/bin/*.py
mkdir -m 755 "$T/talk"
timeout -k 2 200 "$PYTHON" -B "$T/bin/talk.py" "$GRAFTD" "$T/talk"
