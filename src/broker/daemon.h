/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of graftd, from options to the end.
 */
#pragma once

#include <stdbool.h>

struct daemon_options {
	bool foreground;
	const char *socket, *state, *config, *group; /* NULL: the default */
	unsigned int verbose;
};

/* Return: the exit status. */
int daemon_run(const struct daemon_options *options);
