/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reaching a goal with the kernel module, which puts sockets there by name.
 *
 *	goal			name			and then
 *	host			MODULE_HOST		the address asked for
 *	inet endpoint of the	bind: its own		-
 *	policy, in a run	else: its namespace's	its address, or from there
 *	the same, without	MODULE_HOST		its address, or from there
 *	a run
 *	any other		its own			-
 *	UNIX path of the	bind: its own		-
 *	policy, in a run	else: -			goal_connect.c
 *	the same, without	-			goal_bind.c, goal_connect.c
 *
 * A loose socket is put there as it is: all its numbers, in whatever process, and all
 * epoll registrations stay. One that is loose no more, or was never of AF_GRAFT, is
 * swapped for one that is. Which of the two it is, trying tells.
 *
 * Connecting to others by name is in goal_module_name.c.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/preload/goal_module.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/module.h"
#include "intercept/preload/state.h"
#include "intercept/preload/unix_options.h"

/* No endpoint can be called so. */
#define NO_NAME "/"

/* --- names --- */

/* In a run, is it one that the run added? */
static bool is_defined(const struct goal *goal)
{
	return state.is_run && goal->endpoint && goal->endpoint->kind != ENDPOINT_NAMED;
}

static int name_of(const struct goal *goal, char ret[MODULE_NAME_SIZE])
{
	if (goal_is_plain_host(goal))
		module_set_name(ret, MODULE_HOST);
	else if (is_defined(goal))
		module_name(goal->endpoint, ret);
	else if (module_has_room(goal->name))
		module_set_name(ret, goal->name);
	else
		return -ENOENT;
	return 0;
}

bool goal_is_at_host(const struct goal *goal)
{
	const struct endpoint *endpoint = goal->endpoint;

	if (!endpoint || goal_is_plain_host(goal))
		return goal_is_plain_host(goal);
	return is_defined(goal) && endpoint->netns.kind == NETNS_DEFAULT;
}

/* ENOENT would say that there is no such endpoint, and the fault is not the program's. */
static int tell(const char *name, int r)
{
	bool is_ours = !strncmp(name, MODULE_PREFIX, strlen(MODULE_PREFIX));

	return r == -ENOENT && is_ours ? -ENETDOWN : r;
}

/* --- placing --- */

static int open_loose(const struct subject *subject)
{
	int protocol = subject->is_unix                     ? 0
		       : subject->protocol == IPPROTO_MPTCP ? IPPROTO_TCP
							    : subject->protocol;
	int fd = module_socket(subject->domain, subject->type | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		return module_family() < 0 ? -ENETDOWN : fd;
	swap_carry(subject, fd);
	return fd;
}

static bool is_loose(const struct subject *subject)
{
	return !subject->is_unix && module_bind(subject->number, NO_NAME) == -ENOENT;
}

static int take_new(struct placing *ret, const struct subject *subject)
{
	ret->is_new = true;
	ret->fd = open_loose(subject);
	return ret->fd < 0 ? ret->fd : 0;
}

int placing_begin(struct placing *ret, const struct subject *subject)
{
	*ret = (struct placing){ .fd = subject->number };
	unix_options_take(subject->number, &ret->options);
	return is_loose(subject) ? 0 : take_new(ret, subject);
}

/* Is there an endpoint that may be AF_UNIX? */
static bool may_be_unix(const struct goal *goal)
{
	return !goal_is_plain_host(goal) && !(is_defined(goal) && goal_is_inet(goal));
}

static int bind_name(int fd, const struct subject *subject, const struct route *route,
		     const char *name)
{
	int r = module_bind(fd, name);

	return r == -EADDRINUSE && goal_clear_path(&route->goal, subject->type)
		       ? module_bind(fd, name)
		       : r;
}

/* The same, bound to @name: usually the program's socket is loose. */
static int placing_bind(struct placing *ret, const struct subject *subject,
			const struct route *route, const char *name)
{
	struct unix_options options = { 0 };
	int r = -EINVAL;

	if (may_be_unix(&route->goal))
		unix_options_take(subject->number, &options);
	if (!subject->is_unix)
		r = bind_name(subject->number, subject, route, name);
	*ret = (struct placing){ .fd = subject->number, .options = options };
	if (r != -EINVAL && r != -EAFNOSUPPORT)
		return r;
	r = take_new(ret, subject);
	return r < 0 ? r : bind_name(ret->fd, subject, route, name);
}

int placing_end(struct placing *placing, struct subject *subject, struct route *route,
		int r)
{
	uint64_t netns = kernel_cookie(placing->fd, SO_NETNS_COOKIE);
	int domain = kernel_option(placing->fd, SO_DOMAIN, subject->domain);

	if (placing->is_new && r < 0) {
		fd_close(placing->fd);
		return r;
	}
	if (netns != place_own())
		place_learn(goal_is_at_host(&route->goal) ? WIRE_NAME_HOST
							  : route->goal.name,
			    netns);
	if (placing->is_new)
		return swap(subject, placing->fd, domain, netns, SWAP_NOTHING,
			    &route->moving);
	swap_remember(subject, domain, netns);
	if (domain == AF_UNIX)
		unix_options_give(subject->number, &placing->options);
	return r;
}

/* Unbound, or at the source, where @name leads. */
static int go(struct subject *subject, struct route *route, const char *name)
{
	struct placing placing;
	int r = placing_bind(&placing, subject, route, name);

	if (r == 0 && placing.is_new && route->op == POLICY_CONNECT)
		goal_carry_binding(subject, placing.fd, false);
	return placing_end(&placing, subject, route, tell(name, r));
}

/* --- bind --- */

int goal_module_bind(struct subject *subject, struct route *route)
{
	char name[MODULE_NAME_SIZE];
	struct placing placing;
	int r = name_of(&route->goal, name);

	if (r < 0)
		return r;
	r = tell(name, placing_bind(&placing, subject, route, name));
	if (r == 0 && goal_is_plain_host(&route->goal))
		r = goal_bind_here(placing.fd, route);
	return placing_end(&placing, subject, route, r);
}

/* --- connect, where the address is known or not asked for --- */

static int connect_plain(struct subject *subject, struct route *route)
{
	const struct goal *goal = &route->goal;
	int r;

	if (goal->endpoint && goal->op == WIRE_OP_CONNECT && goal->endpoint->dynamic)
		return -ECONNREFUSED; /* nobody knows the port */
	if (!subject_is_in_host(subject)) {
		r = goal_may_move(subject) ?: go(subject, route, MODULE_HOST);
		if (r)
			return r;
	}
	return goal->endpoint ? goal_connect_here(subject, route) : 0;
}

/* Is it in the namespace that @name leads to? */
static bool is_there(const struct subject *subject, const struct goal *goal,
		     const char *name)
{
	struct module_place place;

	if (subject->is_unix || subject->place != PLACE_HOST)
		return false;
	if (goal_is_at_host(goal))
		return subject_is_in_host(subject);
	return module_find(name, &place) == 0 && place.netns == subject->netns;
}

/* The port that a dynamic endpoint of the run is at. */
static int find_port(const struct endpoint *endpoint, struct route *route)
{
	char name[MODULE_NAME_SIZE];
	struct module_place place;

	module_name(endpoint, name);
	if (module_find(name, &place) < 0 || !address_port(&place.address))
		return -ECONNREFUSED;
	address_set_port(&route->address, address_port(&place.address));
	return 0;
}

static int connect_defined(struct subject *subject, struct route *route)
{
	const struct goal *goal = &route->goal;
	char name[MODULE_NAME_SIZE];
	int r = 0;

	module_namespace_name(goal->endpoint, name);
	if (!is_there(subject, goal, name))
		r = goal_may_move(subject) ?: go(subject, route, name);
	if (r == 0)
		r = goal_connect_here(subject, route);
	if (r == 0 && goal->op == WIRE_OP_CONNECT && goal->endpoint->dynamic)
		r = find_port(goal->endpoint, route);
	return r;
}

/* From an endpoint of the module's own registry: bound there, to whatever port. */
static int connect_from(struct subject *subject, struct route *route, const char *name)
{
	const int on = 1;
	int r = goal_may_move(subject);

	if (r)
		return r;
	setsockopt(subject->number, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	known_mark_option(subject->number, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
	return go(subject, route, name);
}

int goal_module_connect(struct subject *subject, struct route *route)
{
	const struct goal *goal = &route->goal;
	char name[MODULE_NAME_SIZE];
	int r = module_family() < 0 ? -ENETDOWN : name_of(goal, name);

	if (r < 0)
		return r;
	if (goal_is_plain_host(goal))
		return connect_plain(subject, route);
	if (is_defined(goal) && goal_is_inet(goal))
		return connect_defined(subject, route);
	if (goal->op == WIRE_OP_FROM)
		return connect_from(subject, route, name);
	return goal_connect_named(subject, route, name);
}
