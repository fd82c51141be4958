/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goal.c, goal_bind.c and goal_connect.c share.
 */
#pragma once

#include <stdbool.h>

#include "intercept/preload/hijack.h"

/* Is it an endpoint of the policy with an IPv4 or IPv6 address? */
static inline bool goal_is_inet(const struct goal *goal)
{
	return goal->endpoint && (goal->endpoint->kind == ENDPOINT_IPV4 ||
				  goal->endpoint->kind == ENDPOINT_IPV6);
}

/* The program's own rights and its own root directory count for a path. In a run, binds
 * are told to the broker all the same, for `bound` endpoints. */
bool goal_is_own_path(const struct goal *goal);
/* Without a run nobody but the program knows of the endpoints in its policy. */
bool goal_is_plain_host(const struct goal *goal);

void goal_set_address(struct wire_address *to, const void *address, socklen_t len);
/* The path of a grant as this process can name it; its descriptor becomes @route's. */
void goal_set_path(struct route *route, struct grant *grant);

/* What the broker is asked for when @subject goes where route->goal leads. */
void goal_fill_ask(const struct subject *subject, const struct route *route,
		   struct wire_ask *ask);
/* As channel_ask(); takes note of the namespace it was granted in. */
int goal_ask(const struct wire_ask *what, int socket, struct grant *ret);

/* goal_reach() and goal_move() for binds, and for all else. */
int goal_bind_reach(struct subject *subject, struct route *route);
int goal_bind_move(struct subject *subject, struct route *route);
int goal_connect_reach(struct subject *subject, struct route *route);
int goal_connect_move(struct subject *subject, struct route *route);

/* --- goal_bind.c --- */

/* To the goal, or the address asked for: nothing but the bind is left to do. */
int goal_bind_here(int fd, const struct route *route);
int goal_bind_own_path(struct subject *subject, struct route *route);
/* Return: whether the path of a UNIX endpoint of the policy was left behind by a server
 * that is gone, and is free now. */
bool goal_clear_path(const struct goal *goal, int type);

/* --- goal_connect.c --- */

/*
 * Whether a socket may be replaced for a connect. A stream that is connected or on its
 * way is left to the kernel: connect() once more tells how it went. Datagram sockets may
 * be connected, or send, over and over. Return: 0; -errno; or MOVE_E_NOT.
 */
#define MOVE_E_NOT 1
int goal_may_move(const struct subject *subject);
/* Gives @new, which takes the place of @old, its local address, as far as it may. */
void goal_carry_binding(const struct subject *old, int new, bool to_own);
/* A UNIX datagram socket that can reach route->address as it is. */
bool goal_stays_unix(const struct subject *subject, const struct route *route,
		     uint64_t netns);
/* The address to connect to, or the source, in the stack that the socket is in. */
int goal_connect_here(struct subject *subject, struct route *route);
int goal_connect_own_path(struct subject *subject, struct route *route);

/* --- goal_module.c: the same by the kernel module --- */

int goal_module_bind(struct subject *subject, struct route *route);
int goal_module_connect(struct subject *subject, struct route *route);
