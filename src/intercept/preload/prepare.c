/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What bind, connect, listen and sends with a name share: from the address a program
 * named to the socket and address the kernel is given.
 *
 *	place of the socket	verdict's stack		what happens
 *	the same		the same		nothing moves
 *	own / host / unix	another			swap, if it still can
 *	other (nested netns)	-			no policy: done as asked
 *
 * An address is judged when the kernel would use it. All others (too short, of a family
 * the socket does not speak, AF_UNSPEC in connect) are handed on unjudged, for the
 * kernel refuses them or dissolves the association, and its errno is the right one.
 */
#include <errno.h>

#include "base/fd.h"
#include "intercept/preload/hijack.h"
#include "intercept/preload/view.h"

#define SIZE_V6_SHORTEST 24 /* RFC 2133's sockaddr_in6, which the kernel accepts */

static bool is_usable(const struct subject *subject, const struct route *route)
{
	switch (route->asked.any.sa_family) {
	case AF_INET:
		return route->asked_size >= sizeof(struct sockaddr_in);
	case AF_INET6:
		return subject->domain == AF_INET6 &&
		       route->asked_size >= SIZE_V6_SHORTEST;
	default:
		return false;
	}
}

/*
 * A datagram server that a rule put on the host answers whoever wrote to it, and no rule
 * names its clients.
 */
static bool is_answer(const struct subject *subject, const struct route *route)
{
	return route->op == POLICY_CONNECT && subject->proto == POLICY_UDP &&
	       subject->place == PLACE_HOST && route->verdict.target == POLICY_OWN &&
	       route->verdict.reason != POLICY_R_RULE && bound_has(subject);
}

/*
 * TCP bind to a wildcard address and port 0 with no rule for it says nothing about the
 * stack: clients do it before they connect. The socket stays where it is, for connect or
 * listen to decide.
 */
static bool is_undecided(const struct subject *subject, const struct route *route)
{
	return route->op == POLICY_BIND && subject->proto == POLICY_TCP &&
	       route->verdict.target == POLICY_OWN && !route->verdict.rule &&
	       address_port(&route->asked) == 0 && address_is_wildcard(&route->asked);
}

static int stay(struct subject *subject, struct route *route)
{
	if (is_undecided(subject, route) ||
	    (subject->place == PLACE_OWN && !subject->is_unix) ||
	    is_answer(subject, route))
		return 0;
	return goal_return(subject, route);
}

/* What the program hears when nobody knows an endpoint of that name. */
static int tell_inet(const struct route *route, int r)
{
	if (r != -ENOENT)
		return r;
	return route->op == POLICY_BIND ? -EADDRNOTAVAIL : -ECONNREFUSED;
}

int prepare(struct subject *subject, struct route *route)
{
	int r;

	route->address = route->asked;
	route->size = route->asked_size;
	if (!is_usable(subject, route) || subject->place == PLACE_OTHER)
		return 0;
	judge(subject, route);
	if (route->verdict.target == POLICY_DENY)
		return -route->verdict.deny_errno;
	if (route->op == POLICY_CONNECT)
		guess_learn(subject, route->goal.name ? &route->goal : NULL);
	if (!route->goal.name)
		r = stay(subject, route);
	else if (route->op == POLICY_BIND)
		r = goal_bind(subject, route);
	else
		r = goal_connect(subject, route);
	return tell_inet(route, r);
}

static void note(const struct subject *subject, const struct route *route)
{
	if (route->op != POLICY_BIND)
		return;
	if (route->goal.name)
		bound_note(subject->cookie);
	view_note_bind(subject->number, route->goal.name ? &route->asked : NULL);
}

ssize_t conclude(const struct subject *subject, struct route *route, ssize_t result)
{
	if (result >= 0 && route->is_judged)
		note(subject, route);
	swap_finish(&route->moving);
	grant_release(&route->grant);
	route->path = fd_close(route->path);
	if (route->is_judged)
		judge_say(subject, route, result);
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}
