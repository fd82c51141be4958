/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor of one container.
 */
#pragma once

#include <stdbool.h>

struct bundle;
struct docker;
struct door;
struct policy;
struct settings;

struct supervise {
	const struct settings *settings;
	const struct bundle *bundle; /* swapped: to be put back */
	const struct docker *docker;
	bool has_ports; /* the policy's, for those of @docker */
	bool has_kit;   /* to be let go by RootlessKit */
	struct door *door;
	const struct policy *policy;
	const char *id, *command, *summary, *metadata;
	unsigned int traps;
};

/*
 * Starts it, beside the caller, who goes on to become the runtime. Return: 0: all of the
 * above is the supervisor's affair from now on, the door's path included, and the
 * caller's descriptors are for exec to close; or -errno.
 */
int supervise_start(const struct supervise *supervise);
