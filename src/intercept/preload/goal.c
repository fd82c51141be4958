/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reaching what a verdict names: the host's stack, or an endpoint.
 *
 *	goal			known here		taken from
 *	host			nothing			supply, or the broker
 *	endpoint of the		address; whether it	supply, or the broker; the host's
 *	policy, in a run	is bound: the broker	stack will do if we are in it
 *	the same, without	address			the host's stack
 *	a run
 *	endpoint of the		what was granted	supply, or the broker
 *	registry		before
 *	UNIX path of the	path			socket(AF_UNIX): a path is the
 *	policy						program's own affair
 *
 * How a socket gets there is in goal_bind.c and goal_connect.c; here is what can be said
 * of a goal without one, and what the broker is asked about it.
 */
#include <linux/graft.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "intercept/preload/goal.h"
#include "intercept/preload/state.h"

bool goal_is_own_path(const struct goal *goal)
{
	return goal->endpoint && goal->endpoint->kind == ENDPOINT_UNIX &&
	       (!state.is_run ||
		(goal->op != WIRE_OP_BIND && goal->endpoint->path[0] == '/'));
}

bool goal_is_plain_host(const struct goal *goal)
{
	return !goal->endpoint ? !strcmp(goal->name, WIRE_NAME_HOST)
			       : !state.is_run && goal_is_inet(goal) &&
					 goal->endpoint->netns.kind == NETNS_DEFAULT;
}

void goal_set_address(struct wire_address *to, const void *address, socklen_t len)
{
	memcpy(&to->address, address, len);
	to->len = len;
}

static socklen_t inet_size(const union address *address)
{
	return address->any.sa_family == AF_INET ? sizeof(struct sockaddr_in)
						 : sizeof(struct sockaddr_in6);
}

void goal_fill_ask(const struct subject *subject, const struct route *route,
		   struct wire_ask *ask)
{
	const struct goal *goal = &route->goal;
	bool is_host = goal_is_plain_host(goal);

	*ask = (struct wire_ask){
		.op = is_host && goal->op == WIRE_OP_FROM ? WIRE_OP_CONNECT : goal->op,
		.family = route->is_any_family && !is_host ? AF_GRAFT
							   : (uint32_t)subject->domain,
		.type = (uint32_t)subject->type,
		.protocol = (uint32_t)(subject->protocol == IPPROTO_MPTCP
					       ? IPPROTO_TCP
					       : subject->protocol),
		.flags = subject_is_v6only(subject) ? WIRE_F_V6ONLY : 0,
	};
	if (subject->is_unix)
		ask->protocol = subject->type == SOCK_STREAM  ? IPPROTO_TCP
				: subject->type == SOCK_DGRAM ? IPPROTO_UDP
							      : 0;
	wire_set_text(ask->name, sizeof(ask->name),
		      is_host ? WIRE_NAME_HOST : goal->name);
	if (is_host && goal->endpoint && goal->op != WIRE_OP_FROM)
		goal_set_address(&ask->address, &route->verdict.address,
				 route->verdict.address_len);
	else if (address_is_inet(&route->asked) && route->verdict.rule)
		/* What stands for a name means something in this process alone. */
		goal_set_address(&ask->address, &route->asked, inet_size(&route->asked));
}

int goal_ask(const struct wire_ask *what, int socket, struct grant *ret)
{
	int r = channel_ask(what, socket, ret);

	if (r == 0)
		place_learn(what->name, ret->netns);
	return r;
}

void goal_set_path(struct route *route, struct grant *grant)
{
	if (grant->path < 0)
		return;
	route->path = fd_steal(&grant->path);
	route->address.un.sun_family = AF_UNIX;
	route->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				  (size_t)snprintf(route->address.un.sun_path,
						   sizeof(route->address.un.sun_path),
						   "/proc/self/fd/%d", route->path));
}

int goal_reach(struct subject *subject, struct route *route)
{
	return route->goal.op == WIRE_OP_BIND ? goal_bind_reach(subject, route)
					      : goal_connect_reach(subject, route);
}

int goal_move(struct subject *subject, struct route *route)
{
	return route->goal.op == WIRE_OP_BIND ? goal_bind_move(subject, route)
					      : goal_connect_move(subject, route);
}

int goal_find(const struct subject *subject, struct route *route, uint64_t *ret_netns)
{
	const struct goal *goal = &route->goal;
	struct wire_ask what;
	struct grant grant;
	int r;

	route->address.storage = route->verdict.address;
	route->size = route->verdict.address_len;
	*ret_netns = place_own();
	if (goal_is_own_path(goal))
		return 0;
	if (goal_is_plain_host(goal) && goal->endpoint && goal->endpoint->dynamic)
		return -ECONNREFUSED; /* nobody knows the port */
	goal_fill_ask(subject, route, &what);
	r = goal_ask(&what, -1, &grant);
	if (r < 0)
		return r;
	*ret_netns = grant.netns;
	if (!goal_is_plain_host(goal)) {
		route->address.storage = grant.said.address.address;
		route->size = grant.said.address.len;
	}
	goal_set_path(route, &grant);
	grant_release(&grant);
	return 0;
}

int goal_take(const struct goal *goal, int family, int type, int protocol, int flags,
	      uint64_t *ret_netns)
{
	bool is_host = goal_is_plain_host(goal);
	struct wire_ask what = {
		.op = is_host ? WIRE_OP_CONNECT : goal->op,
		.family = (uint32_t)family,
		.type = (uint32_t)type,
		.protocol = (uint32_t)protocol,
	};
	int fd;

	if (goal_is_own_path(goal) || goal->op == WIRE_OP_BIND)
		return -EAGAIN;
	wire_set_text(what.name, sizeof(what.name),
		      is_host ? WIRE_NAME_HOST : goal->name);
	fd = supply_take(&what, flags, true, ret_netns);
	if (fd >= 0)
		place_learn(what.name, *ret_netns);
	return fd;
}
