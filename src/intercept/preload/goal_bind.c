/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Binding at a goal.
 *
 * A bind is always asked for, the program's socket with it: the broker carries its
 * options over, binds, and knows who is there. The exceptions are a UNIX path without a
 * run, and a socket that is in the host's stack already and needs no more right than it
 * has. With the kernel module see goal_module.c.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/preload/goal.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/state.h"

int goal_bind_here(int fd, const struct route *route)
{
	const struct policy_verdict *verdict = &route->verdict;
	int r;

	if (route->goal.endpoint)
		r = bind(fd, (const struct sockaddr *)&verdict->address,
			 verdict->address_len);
	else
		r = bind(fd, &route->asked.any, route->asked_size);
	return r < 0 ? -errno : 0;
}

bool goal_clear_path(const struct goal *goal, int type)
{
	const struct endpoint *endpoint = goal->endpoint;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_fd_ int probe = -1;
	struct stat st;

	if (!endpoint || endpoint->kind != ENDPOINT_UNIX || endpoint->path[0] != '/' ||
	    lstat(endpoint->path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	memcpy(address.sun_path, endpoint->path,
	       strnlen(endpoint->path, sizeof(address.sun_path) - 1));
	probe = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (probe < 0 ||
	    connect(probe, (struct sockaddr *)&address, sizeof(address)) == 0 ||
	    errno != ECONNREFUSED)
		return false;
	return unlink(endpoint->path) == 0;
}

/* A path left behind by a server that is gone gives way. */
static int bind_path(int fd, const struct route *route)
{
	int r = goal_bind_here(fd, route);

	if (r != -EADDRINUSE ||
	    !goal_clear_path(&route->goal, kernel_option(fd, SO_TYPE, SOCK_STREAM)))
		return r;
	return goal_bind_here(fd, route) < 0 ? -EADDRINUSE : 0;
}

int goal_bind_own_path(struct subject *subject, struct route *route)
{
	_cleanup_fd_ int new = socket(AF_UNIX, subject->type | SOCK_CLOEXEC, 0);
	int r;

	if (new < 0)
		return -errno;
	r = bind_path(new, route);
	if (r < 0)
		return r;
	return swap(subject, fd_steal(&new), AF_UNIX, place_own(), SWAP_OPTIONS,
		    &route->moving);
}

static int bind_by_broker(struct subject *subject, struct route *route)
{
	struct wire_ask what;
	struct grant grant;
	int domain, r;

	goal_fill_ask(subject, route, &what);
	r = goal_ask(&what, subject->number, &grant);
	if (r < 0)
		return r;
	domain = kernel_option(grant.fd, SO_DOMAIN, subject->domain);
	r = swap(subject, fd_steal(&grant.fd), domain, grant.netns, SWAP_NOTHING,
		 &route->moving);
	grant_release(&grant);
	return r;
}

static int bind_in_host(const struct subject *subject, struct route *route)
{
	int r = goal_bind_here(subject->number, route);

	/* The broker may do what we may not. */
	if (r == -EACCES && !state_has_module())
		return GOAL_E_FAR;
	route->is_done = true;
	return r;
}

int goal_bind_reach(struct subject *subject, struct route *route)
{
	const struct goal *goal = &route->goal;

	return !goal->endpoint && goal_is_plain_host(goal) && subject_is_in_host(subject)
		       ? bind_in_host(subject, route)
		       : GOAL_E_FAR;
}

int goal_bind_move(struct subject *subject, struct route *route)
{
	int r = subject_can_move(subject, POLICY_BIND);

	if (r < 0)
		return r;
	route->is_done = true;
	if (goal_is_own_path(&route->goal))
		return goal_bind_own_path(subject, route);
	return state_has_module() ? goal_module_bind(subject, route)
				  : bind_by_broker(subject, route);
}
