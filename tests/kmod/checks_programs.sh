# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What checks are made with is there, and works in this machine.

programs()
{
	local program
	for program in "ip -V" "ss -V" "modinfo --version" "graft --version" "graftd --version" \
		"iperf3 --version" "nginx -v" "curl --version" "wrk -v | grep wrk" \
		"$PYTHON -c 'import asyncio, json, socket, subprocess'"; do
		if ! has "${program%% *}"; then
			skip_point "${program%% *}" "not installed where the machine was made"
			continue
		fi
		check "${program%% *} works here" eval "$program"
	done
}

# By hand only: the cases of tests/conformance on the kernel's own sockets.
conformance()
{
	check "conformance" "$PYTHON" /checks/tests/conformance/run.py \
		--program /checks/conformance --engine native
}
