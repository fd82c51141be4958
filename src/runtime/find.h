/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy of a container, from what its config.json says and the administrator's
 * files. docs/containers.md says what engines put there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct docker;
struct json_object;
struct policy;
struct settings;

#define FIND_SUMMARY_SIZE 512

struct found {
	struct policy *policy;           /* sealed; NULL: none */
	bool has_ports;                  /* it has rules for Docker's published ports */
	bool has_kit;                    /* and those are RootlessKit's to let go */
	char summary[FIND_SUMMARY_SIZE]; /* where it came from */
};

/* Return: 0, ret->policy is the caller's; -errno after one line. */
int find_policy(struct json_object *config, const char *id, const struct docker *docker,
		const struct settings *settings, struct found *ret);
/* Why grafts would hand the container more than its policy says, or NULL. */
const char *find_danger(struct json_object *config);
/* Has its runtime to look at processes outside: to execute hooks, or to join namespaces
 * by their /proc/PID/ns? */
bool find_looks_outside(struct json_object *config);
