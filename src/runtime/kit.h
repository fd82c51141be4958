/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ports that a rootless Docker publishes. In the host's network namespace RootlessKit
 * holds them, and copies what comes to Docker's in its own. A server of a container with
 * a policy takes their place: RootlessKit lets a port go, by its API, when the server
 * binds, and the server has it at the host's own speed, with its clients' addresses.
 */
#pragma once

#include <stdbool.h>

struct docker;
struct endpoint;
struct policy;
struct policy_error;

/* Is a port of the host's RootlessKit's to let go? */
bool kit_is_there(void);
/*
 * Adds to @policy what -p of graft run would for each published port of @docker's that
 * was asked for by its number. A random one is not known yet, and where a port has
 * several of the host's a socket cannot be at all of them: those stay RootlessKit's.
 * Return: how many; -EINVAL with @ret_error; -errno.
 */
int kit_publish(const struct docker *docker, struct policy *policy,
		struct policy_error *ret_error);
/* Before a bind of @endpoint: lets its port go, if Docker publishes it of this container.
 * Waits for RootlessKit, some seconds at most. Return: 0: the way is free as far as it is
 * concerned; -errno. */
int kit_let_go(const struct docker *docker, const struct endpoint *endpoint);
