/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exit statuses of the command line, as `docker run` and the shell have them. */
#pragma once

enum {
	EXIT_MISUSE = 2,
	EXIT_GRAFT_FAILED = 125,
	EXIT_CANNOT_EXECUTE = 126,
	EXIT_NOT_FOUND = 127,
	EXIT_SIGNAL_BASE = 128,
};
