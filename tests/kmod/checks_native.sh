# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The cases of native/, each on sockets of the module.

native()
{
	load || return
	/checks/native >"$T/native.tap" 2>&1
	take_points native "$T/native.tap"
	check "native: nothing holds the module" unload
}
