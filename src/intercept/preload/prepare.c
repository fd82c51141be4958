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
#include "intercept/preload/claim.h"
#include "intercept/preload/hijack.h"
#include "intercept/preload/kernel.h"
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
	return route->op == POLICY_BIND && !route->listens &&
	       subject->proto == POLICY_TCP && route->verdict.target == POLICY_OWN &&
	       !route->verdict.rule && address_port(&route->asked) == 0 &&
	       address_is_wildcard(&route->asked);
}

/* Return: 0, -errno, or GOAL_E_FAR. */
static int reach(struct subject *subject, struct route *route)
{
	if (route->goal.name)
		return goal_reach(subject, route);
	return is_undecided(subject, route) ||
			       (subject->place == PLACE_OWN && !subject->is_unix) ||
			       is_answer(subject, route)
		       ? 0
		       : GOAL_E_FAR;
}

/* Has another thread put another socket there since we looked? */
static int look_again(struct subject *subject)
{
	struct subject now;
	int r;

	if (kernel_cookie(subject->number, SO_COOKIE) == subject->cookie)
		return 0;
	r = subject_open(subject->number, &now);
	if (r == 0 && !subject_is_inet(&now))
		r = -EBADF;
	if (r == 0)
		*subject = now;
	return r;
}

static int move(struct subject *subject, struct route *route)
{
	struct claim claim;
	int r;

	claim_take(&claim, subject->number);
	r = look_again(subject);
	if (r == 0)
		r = reach(subject, route);
	if (r == GOAL_E_FAR)
		r = route->goal.name ? goal_move(subject, route)
				     : goal_return(subject, route);
	claim_release(&claim);
	return r;
}

/* What the program hears when nobody knows an endpoint of that name. */
static int tell_inet(const struct route *route, int r)
{
	if (r != -ENOENT)
		return r;
	return route->op == POLICY_BIND ? -EADDRNOTAVAIL : -ECONNREFUSED;
}

int prepare_goal(struct subject *subject, struct route *route)
{
	int r = reach(subject, route);

	return r == GOAL_E_FAR ? move(subject, route) : r;
}

int prepare_judged(struct subject *subject, struct route *route)
{
	if (route->verdict.target == POLICY_DENY)
		return -route->verdict.deny_errno;
	return tell_inet(route, prepare_goal(subject, route));
}

int prepare(struct subject *subject, struct route *route)
{
	route->address = route->asked;
	route->size = route->asked_size;
	if (!is_usable(subject, route) || subject->place == PLACE_OTHER)
		return 0;
	judge(subject, route);
	if (route->op == POLICY_CONNECT && route->verdict.target != POLICY_DENY)
		guess_learn(subject, route->goal.name ? &route->goal : NULL);
	return prepare_judged(subject, route);
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
	if (*route->via)
		goal_arrived(subject, route, result);
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
