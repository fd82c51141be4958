/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "intercept/preload/calls.h"
#include "intercept/preload/claim.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/graft_name.h"
#include "intercept/preload/hijack.h"
#include "intercept/preload/state.h"
#include "intercept/preload/view.h"

/* "host" is no endpoint. */
int graft_take_name(const struct route *route, char name[MEMBER_NAME_SIZE])
{
	const struct sockaddr_gr *address = (const struct sockaddr_gr *)&route->asked;

	if (route->asked_size < sizeof(*address))
		return -EINVAL;
	memcpy(name, address->sgr_epname, AF_GRAFT_EPNAME_MAX);
	name[AF_GRAFT_EPNAME_MAX] = '\0';
	if (!*name)
		return -EINVAL;
	return strcmp(name, WIRE_NAME_HOST) ? 0 : -ENOENT;
}

/* Return: of which family the endpoint is, AF_UNSPEC: only the registry knows. */
static int family_of(const char *name)
{
	const struct endpoint *endpoint = policy_find_endpoint(state.policy, name);

	if (!endpoint || endpoint->kind == ENDPOINT_NAMED)
		return AF_UNSPEC;
	return endpoint->kind == ENDPOINT_IPV4   ? AF_INET
	       : endpoint->kind == ENDPOINT_IPV6 ? AF_INET6
						 : AF_UNIX;
}

/* Asks the registry, where it makes a difference to options: of no use with an error. */
static int ask_family(const struct subject *subject, const char *name)
{
	struct wire_ask ask = {
		.op = WIRE_OP_CONNECT,
		.family = AF_GRAFT,
		.type = (uint32_t)subject->type,
		.protocol = (uint32_t)subject->protocol,
	};
	struct grant grant;
	int family = AF_UNSPEC;

	wire_set_text(ask.name, sizeof(ask.name), name);
	if (channel_ask(&ask, -1, &grant) == 0) {
		family = (int)grant.said.family;
		grant_release(&grant);
	}
	return family;
}

/* What stands in for the socket is of the endpoint's family. */
static int take_family(struct subject *subject, struct route *route, int family)
{
	int new;

	if ((family != AF_INET && family != AF_INET6) || family == subject->domain ||
	    subject->is_unix || subject->place != PLACE_OWN)
		return 0;
	new = socket(family, subject->type | SOCK_CLOEXEC, subject->protocol);
	if (new < 0)
		return -errno;
	return swap(subject, new, family, place_own(), SWAP_OPTIONS, &route->moving);
}

static int tell(int r)
{
	return r == -EAFNOSUPPORT || r == -EPROTONOSUPPORT || r == -ESOCKTNOSUPPORT
		       ? -EPROTOTYPE
		       : r;
}

/* Takes the socket to where @name is. */
static int go(struct subject *subject, struct route *route, const char *name, int family)
{
	int r = take_family(subject, route, family);

	if (r < 0)
		return r;
	route->is_any_family = true;
	judge_name(subject, route, name);
	return tell(prepare_goal(subject, route));
}

/* --- bind --- */

static void set_bound(const struct subject *subject, const char *name)
{
	struct member member;

	bound_note(subject->cookie);
	if (!member_find(subject->number, &member))
		return;
	member.flags |= MEMBER_BOUND;
	memcpy(member.name, name, sizeof(member.name));
	member_put(subject->number, &member);
}

int graft_bind_name(struct subject *subject, struct route *route, struct member *member,
		    const char name[MEMBER_NAME_SIZE])
{
	int family = family_of(name), r;

	r = subject_can_move(subject, POLICY_BIND);
	if (r < 0)
		return r;
	if (family == AF_UNSPEC && member->flags & MEMBER_HAS_V6)
		family = ask_family(subject, name);
	r = take_family(subject, route, family);
	if (r < 0)
		return tell(r);
	graft_run_delayed(subject->number, member);
	r = go(subject, route, name, family);
	if (r == 0)
		set_bound(subject, name);
	return r;
}

/* --- destinations --- */

/* Return: 0: it is bound now, or there is none. */
static int bind_source(struct subject *subject, struct route *route,
		       struct member *member)
{
	const char name[MEMBER_NAME_SIZE] = GRAFT_DEFAULT_SOURCE;
	struct route bound;
	union address local;
	struct claim claim;
	socklen_t size;
	int r;

	if (member->flags & (MEMBER_BOUND | MEMBER_CONNECTED | MEMBER_NO_SOURCE) ||
	    (!subject->is_unix && subject_local(subject, &local, &size) != 0))
		return 0;
	route_init(&bound, POLICY_BIND);
	claim_take(&claim, subject->number);
	r = graft_bind_name(subject, &bound, member, name);
	claim_release(&claim);
	route->moving = bound.moving;
	if (!member_find(subject->number, member))
		return -EBADF;
	if (r != -ENOENT && r != -ENETDOWN)
		return r;
	member->flags |= MEMBER_NO_SOURCE;
	member_put(subject->number, member);
	return 0;
}

/* To an endpoint, from the socket as it is. */
static int find_name(struct subject *subject, struct route *route, const char *name)
{
	uint64_t netns;
	int r;

	route->is_any_family = subject->is_unix;
	judge_name(subject, route, name);
	r = goal_find(subject, route, &netns);
	if (r < 0)
		return tell(r);
	if (route->address.any.sa_family == AF_UNIX && route->address.un.sun_path[0])
		return 0;
	return netns == subject->netns ? 0 : -ENETUNREACH;
}

static int prepare_name(struct subject *subject, struct route *route,
			struct member *member)
{
	char name[MEMBER_NAME_SIZE];
	int r = graft_take_name(route, name);

	if (r < 0)
		return r;
	if (member->flags & MEMBER_BOUND)
		return find_name(subject, route, name);
	/* What is delayed is for bind(), and this takes its place. */
	graft_run_delayed(subject->number, member);
	r = go(subject, route, name, family_of(name));
	if (r == 0 && member_find(subject->number, member)) {
		member->flags |= MEMBER_CONNECTED;
		member_put(subject->number, member);
	}
	return r;
}

/* Anything: a stream that has its peer, or is on its way, is the kernel's to tell of. */
static void set_nowhere(const struct subject *subject, struct route *route)
{
	memset(&route->address, 0, sizeof(route->address));
	route->address.any.sa_family =
		(sa_family_t)(subject->is_unix ? AF_UNIX : subject->domain);
	route->size = subject->is_unix ? sizeof(struct sockaddr_un)
				       : sizeof(struct sockaddr_in6);
}

int graft_find_destination(struct subject *subject, struct route *route)
{
	bool is_name = route->asked.any.sa_family == AF_GRAFT;
	struct member member;
	int r;

	route->address = route->asked;
	route->size = route->asked_size;
	if (!member_find(subject->number, &member))
		return -EAFNOSUPPORT;
	if (is_name && route->size < sizeof(struct sockaddr_gr))
		return -EINVAL;
	if (!is_name && !address_is_inet(&route->asked))
		return 0;
	if (subject->type != SOCK_DGRAM &&
	    subject_can_move(subject, POLICY_CONNECT) < 0) {
		if (is_name)
			set_nowhere(subject, route);
		return 0;
	}
	r = bind_source(subject, route, &member);
	if (r < 0)
		return r;
	if (is_name)
		return prepare_name(subject, route, &member);
	if (member.flags & MEMBER_BOUND)
		return 0;
	r = prepare(subject, route);
	if (r == 0 && route->is_judged && !subject->is_unix)
		view_note_peer(subject->number, &route->address, &route->asked);
	return r;
}
