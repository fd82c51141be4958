/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connecting, and sending, to a goal.
 *
 * The socket in hand will do if it is in the right stack and has the right source; else
 * another takes its place: one of a supply, by what was granted before, or one that the
 * broker grants now. A local address that the program bound goes along where a rule
 * allows it, and so does the name of a UNIX socket. With the kernel module see
 * goal_module.c.
 */
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/preload/goal.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/module.h"
#include "intercept/preload/state.h"
#include "intercept/preload/unix_name.h"
#include "stack/stack.h"

int goal_may_move(const struct subject *subject)
{
	int r = subject_can_move(subject, POLICY_CONNECT);

	return r < 0 && subject->proto == POLICY_TCP && !subject->is_unix ? MOVE_E_NOT
									  : r;
}

/*
 * Gives the new socket the old one's local address. In the program's own stack that is
 * as much of it as there is. Anywhere else an address must come from a rule for it, else
 * moving would be a way round the rules on bind; without one, any port will do.
 */
void goal_carry_binding(const struct subject *old, int new, bool to_own)
{
	struct route bound;
	union address *local = &bound.asked;

	if (old->is_unix)
		return;
	route_init(&bound, POLICY_BIND);
	if (subject_local(old, local, &bound.asked_size) == 0)
		return;
	if (to_own) {
		if (bind(new, &local->any, bound.asked_size) == 0)
			return;
	} else {
		judge(old, &bound);
		grant_release(&bound.grant);
		if (bound.goal.name && goal_is_plain_host(&bound.goal) &&
		    bound.verdict.address.ss_family == local->any.sa_family &&
		    bind(new, (const struct sockaddr *)&bound.verdict.address,
			 bound.verdict.address_len) == 0)
			return;
	}
	/* A TCP socket gets its port when it connects. */
	if (old->proto == POLICY_TCP)
		return;
	address_set_port(local, 0);
	address_set_wildcard(local);
	/* Without one, sending picks a port. */
	if (bind(new, &local->any, bound.asked_size) < 0)
		return;
}

/*
 * A datagram socket that became AF_UNIX goes on as it is: others know it by its name, and
 * what they sent waits in it. Abstract names are those of one namespace.
 */
bool goal_stays_unix(const struct subject *subject, const struct route *route,
		     uint64_t netns)
{
	return subject->is_unix && subject->type == SOCK_DGRAM &&
	       (route->address.un.sun_path[0] || netns == subject->netns);
}

/* A UNIX socket in place of an inet one takes its name along. */
static int become_unix(struct subject *subject, struct route *route, int new,
		       uint64_t netns)
{
	union address local;
	socklen_t size;
	uint16_t port = subject_local(subject, &local, &size);
	int r = goal_may_move(subject);

	if (r) {
		close(new);
		return r;
	}
	r = address_is_inet(&route->asked)
		    ? unix_name_bind(new, subject->domain, &route->asked, port)
		    : 0;
	if (r < 0) {
		close(new);
		return r;
	}
	return swap(subject, new, AF_UNIX, netns, SWAP_OPTIONS, &route->moving);
}

int goal_connect_own_path(struct subject *subject, struct route *route)
{
	int new;

	route->address.storage = route->verdict.address;
	route->size = route->verdict.address_len;
	if (goal_stays_unix(subject, route, place_own()))
		return 0;
	new = socket(AF_UNIX, subject->type | SOCK_CLOEXEC, 0);
	if (new < 0)
		return -errno;
	return become_unix(subject, route, new, place_own());
}

/* Takes what was granted; @grant->fd may be -1 if the socket in hand will do. */
static int use_grant(struct subject *subject, struct route *route, struct grant *grant)
{
	bool is_unix = grant->said.family == AF_UNIX;
	int domain, r;

	if (route->goal.op == WIRE_OP_CONNECT && grant->said.address.len) {
		route->address.storage = grant->said.address.address;
		route->size = grant->said.address.len;
	}
	if (is_unix) {
		goal_set_path(route, grant);
		if (goal_stays_unix(subject, route, grant->netns)) {
			grant->fd = fd_close(grant->fd);
			return 0;
		}
		return become_unix(subject, route, fd_steal(&grant->fd), grant->netns);
	}
	if (grant->fd < 0 ||
	    (route->goal.op == WIRE_OP_CONNECT && !subject->is_unix &&
	     grant->netns == subject->netns &&
	     (!route->is_any_family || grant->said.family == (uint32_t)subject->domain)))
		return 0;
	r = goal_may_move(subject);
	if (r)
		return r;
	if (route->goal.op == WIRE_OP_CONNECT)
		goal_carry_binding(subject, grant->fd, false);
	domain = kernel_option(grant->fd, SO_DOMAIN, subject->domain);
	return swap(subject, fd_steal(&grant->fd), domain, grant->netns, SWAP_OPTIONS,
		    &route->moving);
}

/* Is the socket in hand, of the right namespace, bound to the right source? */
static bool has_source(const struct subject *subject, const struct wire_grant *said)
{
	const union address *source = (const union address *)&said->address.address;
	int on = 1;
	union address local;
	socklen_t size;

	if (!address_is_inet(source) || source->any.sa_family != subject->domain)
		return false;
	if (subject_local(subject, &local, &size) != 0)
		return true;
	if (address_is_wildcard(source) && address_port(source) == 0)
		return true;
	if (subject->domain == AF_INET
		    ? local.v4.sin_addr.s_addr == source->v4.sin_addr.s_addr
		    : IN6_ARE_ADDR_EQUAL(&local.v6.sin6_addr, &source->v6.sin6_addr))
		return true;
	setsockopt(subject->number, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	return bind(subject->number, &source->any, said->address.len) == 0;
}

/* By what was granted before. Return: 0; -EAGAIN: it has to be asked for. */
static int connect_as_before(struct subject *subject, struct route *route,
			     const struct wire_ask *what)
{
	struct grant grant = { .fd = -1, .path = -1 };
	bool is_there;
	int r;

	if (!cache_find(what, &grant.said, &grant.netns))
		return -EAGAIN;
	if (grant.said.family == AF_UNIX) {
		if (!(grant.said.flags & WIRE_F_LOCAL))
			return -EAGAIN;
		grant.netns = place_own();
		grant.fd = socket(AF_UNIX, subject->type | SOCK_CLOEXEC, 0);
		return grant.fd < 0 ? -errno : use_grant(subject, route, &grant);
	}
	is_there = !subject->is_unix && grant.netns == subject->netns &&
		   grant.said.family == (uint32_t)subject->domain;
	if (is_there && what->op == WIRE_OP_FROM)
		is_there = has_source(subject, &grant.said);
	if (!is_there) {
		grant.fd = supply_take(what, SOCK_CLOEXEC, false, &grant.netns);
		if (grant.fd < 0)
			return -EAGAIN;
	}
	r = use_grant(subject, route, &grant);
	grant_release(&grant);
	return r;
}

static int connect_by_broker(struct subject *subject, struct route *route)
{
	struct wire_ask what;
	struct grant grant;
	int r;

	if (route->has_grant) {
		route->has_grant = false;
		grant = route->grant;
		route->grant.fd = route->grant.path = -1;
		place_learn(route->goal.name, grant.netns);
	} else {
		goal_fill_ask(subject, route, &what);
		r = connect_as_before(subject, route, &what);
		if (r == -EAGAIN && subject->proto == POLICY_TCP)
			r = goal_may_move(subject) ?: -EAGAIN;
		if (r != -EAGAIN)
			return r;
		r = goal_ask(&what, -1, &grant);
		if (r < 0)
			return r;
		cache_keep(&what, &grant);
	}
	r = use_grant(subject, route, &grant);
	grant_release(&grant);
	return r;
}

/* From the host's stack, to an address that is known here. */
static int connect_in_host(struct subject *subject, struct route *route)
{
	struct grant grant = { .path = -1 };
	struct wire_ask what;
	int r;

	if (subject_is_in_host(subject))
		return 0;
	r = goal_may_move(subject);
	if (r)
		return r;
	goal_fill_ask(subject, route, &what);
	grant.fd = supply_take(&what, SOCK_CLOEXEC, false, &grant.netns);
	if (grant.fd < 0)
		r = goal_ask(&what, -1, &grant);
	else
		place_learn(WIRE_NAME_HOST, grant.netns);
	if (r < 0)
		return r;
	goal_carry_binding(subject, grant.fd, false);
	r = swap(subject, fd_steal(&grant.fd), subject->domain, grant.netns, SWAP_OPTIONS,
		 &route->moving);
	grant_release(&grant);
	return r;
}

/* In a run: an endpoint whose address cannot be another, in the stack we are in. */
static bool is_at_hand(const struct subject *subject, const struct route *route)
{
	const struct endpoint *endpoint = route->goal.endpoint;

	if (!goal_is_inet(&route->goal) || endpoint->netns.kind != NETNS_DEFAULT ||
	    !place_host() || !subject_is_in_host(subject))
		return false;
	return route->goal.op == WIRE_OP_FROM ||
	       (!endpoint->dynamic && !(endpoint->options & ENDPOINT_BOUND));
}

int goal_connect_here(struct subject *subject, struct route *route)
{
	struct wire_grant source = { 0 };

	if (route->goal.op == WIRE_OP_CONNECT) {
		route->address.storage = route->verdict.address;
		route->size = route->verdict.address_len;
		return 0;
	}
	goal_set_address(&source.address, &route->verdict.address,
			 route->verdict.address_len);
	return has_source(subject, &source) ? 0 : -EADDRNOTAVAIL;
}

static int connect_plain_host(struct subject *subject, struct route *route)
{
	const struct goal *goal = &route->goal;
	int r;

	if (goal->endpoint && goal->op == WIRE_OP_CONNECT && goal->endpoint->dynamic)
		return -ECONNREFUSED; /* nobody knows the port */
	r = connect_in_host(subject, route);
	return r || !goal->endpoint ? r : goal_connect_here(subject, route);
}

/* A source that was bound by the program, or before, is not changed. */
static bool has_its_source(const struct subject *subject, const struct route *route)
{
	union address local;
	socklen_t size;

	return route->goal.op == WIRE_OP_FROM && subject->place == PLACE_HOST &&
	       !subject->is_unix && subject_local(subject, &local, &size) != 0;
}

int goal_connect_reach(struct subject *subject, struct route *route)
{
	const struct goal *goal = &route->goal;

	if (has_its_source(subject, route))
		return 0;
	if (!goal->endpoint && goal_is_plain_host(goal))
		return subject_is_in_host(subject) ? 0 : GOAL_E_FAR;
	if (!goal_is_own_path(goal) && is_at_hand(subject, route))
		return goal_connect_here(subject, route);
	return GOAL_E_FAR;
}

int goal_connect_move(struct subject *subject, struct route *route)
{
	const struct goal *goal = &route->goal;
	int r;

	if (goal_is_own_path(goal))
		r = goal_connect_own_path(subject, route);
	else if (state_has_module())
		r = goal_module_connect(subject, route);
	else if (goal_is_plain_host(goal))
		r = connect_plain_host(subject, route);
	else
		r = connect_by_broker(subject, route);
	return r == MOVE_E_NOT ? 0 : r;
}

int goal_return(struct subject *subject, struct route *route)
{
	int protocol = subject->is_unix ? 0 : subject->protocol;
	int new, r;

	if (route->op == POLICY_CONNECT)
		r = goal_may_move(subject);
	else
		r = route->listens ? 0 : subject_can_move(subject, POLICY_BIND);
	if (r)
		return r == MOVE_E_NOT ? 0 : r;
	new = state_has_module() ? module_socket(subject->domain,
						 subject->type | SOCK_CLOEXEC, protocol)
				 : -1;
	if (new < 0)
		new = socket(subject->domain, subject->type | SOCK_CLOEXEC, protocol);
	if (new < 0)
		return -errno;
	goal_carry_binding(subject, new, true);
	return swap(subject, new, subject->domain, place_own(), SWAP_OPTIONS,
		    &route->moving);
}
