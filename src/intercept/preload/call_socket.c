/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * socket and socketpair. Where the policy's default, or what was learned, leads outside,
 * the socket is taken from a supply; if there is none at hand, it is made in the
 * program's own stack and moves when it is named.
 */
#include <errno.h>
#include <unistd.h>

#include "intercept/preload/calls.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/hijack.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/module.h"
#include "intercept/preload/state.h"

#define TYPE_FLAGS (SOCK_CLOEXEC | SOCK_NONBLOCK)

/* The protocol that a socket of @type without one has, or 0: none that is guessed. */
static int protocol_of(int type, int protocol)
{
	switch (type & ~TYPE_FLAGS) {
	case SOCK_STREAM:
		return protocol == 0 || protocol == IPPROTO_TCP ? IPPROTO_TCP : 0;
	case SOCK_DGRAM:
		return protocol == 0 || protocol == IPPROTO_UDP ? IPPROTO_UDP : 0;
	default:
		return 0;
	}
}

/* Where the rules can do something to it, a socket is remembered. */
static bool is_judged(int family, int type)
{
	const struct policy_reach *reach = &state.reach;
	unsigned int proto = (type & ~TYPE_FLAGS) == SOCK_STREAM  ? POLICY_TCP
			     : (type & ~TYPE_FLAGS) == SOCK_DGRAM ? POLICY_UDP
								  : POLICY_OTHER;

	return (family == AF_INET || family == AF_INET6) &&
	       (reach->bind_leaves | reach->connect_leaves | reach->denies) & proto;
}

static int take(int family, int type, int protocol, uint64_t *ret_netns)
{
	const struct goal *goal =
		guess_goal(family, protocol == IPPROTO_TCP ? POLICY_TCP : POLICY_UDP);

	if (!goal || place_is_nested())
		return -EAGAIN;
	return goal_take(goal, family, type & ~TYPE_FLAGS, protocol, type & TYPE_FLAGS,
			 ret_netns);
}

/* A loose one, or where nothing else is left one that is at the host. Protocols that the
 * module does not have are made as ever. */
static int take_loose(int family, int type, int protocol, int usual)
{
	const struct goal *goal;
	int fd;

	if (place_is_nested())
		return -EAGAIN;
	fd = module_socket(family, type, protocol);
	if (fd < 0 || !usual)
		return fd;
	goal = guess_goal(family, usual == IPPROTO_TCP ? POLICY_TCP : POLICY_UDP);
	if (goal && module_bind(fd, MODULE_HOST) == 0)
		place_learn(WIRE_NAME_HOST, kernel_cookie(fd, SO_NETNS_COOKIE));
	return fd;
}

static void remember(int fd, int family, int type, int protocol, uint64_t netns)
{
	struct known known = {
		/* A loose one may be put elsewhere before it is read. */
		.cookie = state_has_module() ? kernel_cookie(fd, SO_COOKIE) : 0,
		.netns = netns ? netns : kernel_cookie(fd, SO_NETNS_COOKIE),
		.domain = family,
		.type = type & ~TYPE_FLAGS,
		.protocol = protocol,
	};

	known_add(fd, &known);
}

int hijack_socket(int family, int type, int protocol)
{
	int saved = errno, usual, fd = -1;
	uint64_t netns = 0;

	if (family == AF_GRAFT)
		return graft_socket(type, protocol);
	if (!is_judged(family, type))
		return socket(family, type, protocol);
	usual = protocol_of(type, protocol);
	if (state_has_module())
		fd = take_loose(family, type, protocol, usual);
	else if (usual)
		fd = take(family, type, usual, &netns);
	if (fd < 0)
		fd = socket(family, type, protocol);
	if (fd < 0)
		return fd;
	remember(fd, family, type,
		 usual ? usual : kernel_option(fd, SO_PROTOCOL, protocol), netns);
	errno = saved;
	return fd;
}

int hijack_socketpair(int family, int type, int protocol, int *pair)
{
	if (family != AF_GRAFT)
		return socketpair(family, type, protocol, pair);
	errno = EOPNOTSUPP;
	return -1;
}
