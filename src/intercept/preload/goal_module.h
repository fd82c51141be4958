/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goal_module.c and goal_module_name.c share.
 */
#pragma once

#include <stdbool.h>

#include "intercept/preload/goal.h"
#include "intercept/preload/unix_options.h"

/* A socket on its way to where a name leads. */
struct placing {
	int fd;
	bool is_new; /* it will take the place of the program's */
	struct unix_options options;
};

/* --- goal_module.c --- */

/* Whether the namespace it leads to is the host's. */
bool goal_is_at_host(const struct goal *goal);
/* Takes the program's socket if it is loose, or else one that is. Return: 0 or -errno. */
int placing_begin(struct placing *ret, const struct subject *subject);
/* @r: what became of it. If it failed a new one goes; the program's may be there now.
 * Return: @r or -errno. */
int placing_end(struct placing *placing, struct subject *subject, struct route *route,
		int r);

/* --- goal_module_name.c --- */

/* Connects to the endpoint @name, whose address the policy does not tell. */
int goal_connect_named(struct subject *subject, struct route *route, const char *name);
