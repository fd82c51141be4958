#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# hops.sh N PROGRAM [ARGUMENT...]: PROGRAM as the child of N shells, each of which was
# executed by the one before.
n=$1
shift
if [ "$n" -gt 1 ]; then
	sh "$0" $((n - 1)) "$@"
else
	"$@"
fi
exit $?
