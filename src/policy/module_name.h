/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the af_graft module calls what a policy speaks of. `graft run --engine af_graft`
 * adds these names in the program's namespace, and the library in the program binds and
 * connects by them:
 *
 *	the host		MODULE_HOST, without an address
 *	endpoint		its own name, if that is one of the module's; else "run-N"
 *	namespace of it		"run-ns-N", without an address, if it is not the host's
 *
 * N is its index in the policy, which stays when the policy is printed and parsed again.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "policy/policy.h"

#define MODULE_NAME_MAX  16 /* AF_GRAFT_EPNAME_MAX */
#define MODULE_NAME_SIZE (MODULE_NAME_MAX + 1)
#define MODULE_PREFIX    "run-"
#define MODULE_HOST      MODULE_PREFIX "host"

static inline bool module_has_room(const char *name)
{
	return strlen(name) <= MODULE_NAME_MAX;
}

/* Cut, if it has no room. */
static inline void module_set_name(char ret[MODULE_NAME_SIZE], const char *name)
{
	size_t size = strnlen(name, MODULE_NAME_MAX);

	memcpy(ret, name, size);
	ret[size] = '\0';
}

static inline void module_name(const struct endpoint *endpoint,
			       char ret[MODULE_NAME_SIZE])
{
	bool is_ours = !strncmp(endpoint->name, MODULE_PREFIX, strlen(MODULE_PREFIX));

	if (module_has_room(endpoint->name) && !is_ours)
		module_set_name(ret, endpoint->name);
	else
		snprintf(ret, MODULE_NAME_SIZE, MODULE_PREFIX "%u",
			 endpoint->index % POLICY_ENDPOINTS_MAX);
}

static inline void module_namespace_name(const struct endpoint *endpoint,
					 char ret[MODULE_NAME_SIZE])
{
	if (endpoint->netns.kind == NETNS_DEFAULT)
		module_set_name(ret, MODULE_HOST);
	else
		snprintf(ret, MODULE_NAME_SIZE, MODULE_PREFIX "ns-%u",
			 endpoint->index % POLICY_ENDPOINTS_MAX);
}
