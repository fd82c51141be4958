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
 * A bind is always asked for, the program's socket with it: the broker carries its
 * options over, binds, and knows who is there. The exceptions are a UNIX path without a
 * run, and a socket that is in the host's stack already and needs no more right than it
 * has.
 */
#include <errno.h>
#include <linux/graft.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/preload/hijack.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/state.h"
#include "intercept/preload/unix_name.h"
#include "stack/stack.h"

static bool is_inet_endpoint(const struct endpoint *endpoint)
{
	return endpoint &&
	       (endpoint->kind == ENDPOINT_IPV4 || endpoint->kind == ENDPOINT_IPV6);
}

/* The program's own rights and its own root directory count for a path. In a run, binds
 * are told to the broker all the same, for `bound` endpoints. */
static bool is_own_path(const struct goal *goal)
{
	return goal->endpoint && goal->endpoint->kind == ENDPOINT_UNIX &&
	       (!state.is_run ||
		(goal->op != WIRE_OP_BIND && goal->endpoint->path[0] == '/'));
}

/* Without a run nobody but the program knows of the endpoints in its policy. */
static bool is_plain_host(const struct goal *goal)
{
	return !goal->endpoint ? !strcmp(goal->name, WIRE_NAME_HOST)
			       : !state.is_run && is_inet_endpoint(goal->endpoint) &&
					 goal->endpoint->netns.kind == NETNS_DEFAULT;
}

static bool is_in_host(const struct subject *subject)
{
	uint64_t host = place_host();

	if (subject->is_unix)
		return false;
	return host ? subject->netns == host : subject->place == PLACE_HOST;
}

static void set_address(struct wire_address *to, const void *address, socklen_t len)
{
	memcpy(&to->address, address, len);
	to->len = len;
}

static socklen_t inet_size(const union address *address)
{
	return address->any.sa_family == AF_INET ? sizeof(struct sockaddr_in)
						 : sizeof(struct sockaddr_in6);
}

static void fill_ask(const struct subject *subject, const struct route *route,
		     struct wire_ask *ask)
{
	const struct goal *goal = &route->goal;
	bool is_host = is_plain_host(goal);

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
		set_address(&ask->address, &route->verdict.address,
			    route->verdict.address_len);
	else if (address_is_inet(&route->asked) && route->verdict.rule)
		/* What stands for a name means something in this process alone. */
		set_address(&ask->address, &route->asked, inet_size(&route->asked));
}

/*
 * Whether a socket may be replaced for a connect. A stream that is connected or on its
 * way is left to the kernel: connect() once more tells how it went. Datagram sockets may
 * be connected, or send, over and over. Return: 0; -errno; or MOVE_E_NOT.
 */
#define MOVE_E_NOT 1

static int may_move(const struct subject *subject)
{
	int r = subject_can_move(subject, POLICY_CONNECT);

	return r < 0 && subject->proto == POLICY_TCP && !subject->is_unix ? MOVE_E_NOT
									  : r;
}

static int ask(const struct wire_ask *what, int socket, struct grant *ret)
{
	int r = channel_ask(what, socket, ret);

	if (r == 0)
		place_learn(what->name, ret->netns);
	return r;
}

/* --- binding --- */

/* A path left behind by a server that is gone gives way. */
static int bind_path(int fd, const struct sockaddr *address, socklen_t len)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)address;
	_cleanup_fd_ int probe = -1;
	struct stat st;

	if (bind(fd, address, len) == 0)
		return 0;
	if (errno != EADDRINUSE || un->sun_path[0] == '\0' ||
	    lstat(un->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return -errno;
	probe = socket(AF_UNIX, kernel_option(fd, SO_TYPE, SOCK_STREAM) | SOCK_CLOEXEC,
		       0);
	if (probe < 0 || connect(probe, address, len) == 0 || errno != ECONNREFUSED)
		return -EADDRINUSE;
	if (unlink(un->sun_path) < 0 || bind(fd, address, len) < 0)
		return -EADDRINUSE;
	return 0;
}

static int bind_own_path(struct subject *subject, struct route *route)
{
	_cleanup_fd_ int new = socket(AF_UNIX, subject->type | SOCK_CLOEXEC, 0);
	const struct policy_verdict *verdict = &route->verdict;
	int r;

	if (new < 0)
		return -errno;
	r = bind_path(new, (const struct sockaddr *)&verdict->address,
		      verdict->address_len);
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

	fill_ask(subject, route, &what);
	r = ask(&what, subject->number, &grant);
	if (r < 0)
		return r;
	domain = kernel_option(grant.fd, SO_DOMAIN, subject->domain);
	r = swap(subject, fd_steal(&grant.fd), domain, grant.netns, SWAP_NOTHING,
		 &route->moving);
	grant_release(&grant);
	return r;
}

static int move_to_bind(struct subject *subject, struct route *route)
{
	int r = subject_can_move(subject, POLICY_BIND);

	if (r < 0)
		return r;
	route->is_done = true;
	return is_own_path(&route->goal) ? bind_own_path(subject, route)
					 : bind_by_broker(subject, route);
}

/* --- connecting --- */

/*
 * Gives the new socket the old one's local address. In the program's own stack that is
 * as much of it as there is. Anywhere else an address must come from a rule for it, else
 * moving would be a way round the rules on bind; without one, any port will do.
 */
static void carry_binding(const struct subject *old, int new, bool to_own)
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
		if (bound.goal.name && is_plain_host(&bound.goal) &&
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

int goal_return(struct subject *subject, struct route *route)
{
	int protocol = subject->is_unix ? 0 : subject->protocol;
	int new, r;

	if (route->op == POLICY_CONNECT)
		r = may_move(subject);
	else
		r = route->listens ? 0 : subject_can_move(subject, POLICY_BIND);
	if (r)
		return r == MOVE_E_NOT ? 0 : r;
	new = socket(subject->domain, subject->type | SOCK_CLOEXEC, protocol);
	if (new < 0)
		return -errno;
	carry_binding(subject, new, true);
	return swap(subject, new, subject->domain, place_own(), SWAP_OPTIONS,
		    &route->moving);
}

/*
 * A datagram socket that became AF_UNIX goes on as it is: others know it by its name, and
 * what they sent waits in it. Abstract names are those of one namespace.
 */
static bool stays_unix(const struct subject *subject, const struct route *route,
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
	int r = may_move(subject);

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

static int connect_own_path(struct subject *subject, struct route *route)
{
	int new;

	route->address.storage = route->verdict.address;
	route->size = route->verdict.address_len;
	if (stays_unix(subject, route, place_own()))
		return 0;
	new = socket(AF_UNIX, subject->type | SOCK_CLOEXEC, 0);
	if (new < 0)
		return -errno;
	return become_unix(subject, route, new, place_own());
}

/* The path of a grant as this process can name it. */
static void set_path(struct route *route, struct grant *grant)
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
		set_path(route, grant);
		if (stays_unix(subject, route, grant->netns)) {
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
	r = may_move(subject);
	if (r)
		return r;
	if (route->goal.op == WIRE_OP_CONNECT)
		carry_binding(subject, grant->fd, false);
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
		fill_ask(subject, route, &what);
		r = connect_as_before(subject, route, &what);
		if (r == -EAGAIN && subject->proto == POLICY_TCP)
			r = may_move(subject) ?: -EAGAIN;
		if (r != -EAGAIN)
			return r;
		r = ask(&what, -1, &grant);
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

	if (is_in_host(subject))
		return 0;
	r = may_move(subject);
	if (r)
		return r;
	fill_ask(subject, route, &what);
	grant.fd = supply_take(&what, SOCK_CLOEXEC, false, &grant.netns);
	if (grant.fd < 0)
		r = ask(&what, -1, &grant);
	else
		place_learn(WIRE_NAME_HOST, grant.netns);
	if (r < 0)
		return r;
	carry_binding(subject, grant.fd, false);
	r = swap(subject, fd_steal(&grant.fd), subject->domain, grant.netns, SWAP_OPTIONS,
		 &route->moving);
	grant_release(&grant);
	return r;
}

/* In a run: an endpoint whose address cannot be another, in the stack we are in. */
static bool is_at_hand(const struct subject *subject, const struct route *route)
{
	const struct endpoint *endpoint = route->goal.endpoint;

	if (!is_inet_endpoint(endpoint) || endpoint->netns.kind != NETNS_DEFAULT ||
	    !place_host() || !is_in_host(subject))
		return false;
	return route->goal.op == WIRE_OP_FROM ||
	       (!endpoint->dynamic && !(endpoint->options & ENDPOINT_BOUND));
}

static int connect_at_hand(struct subject *subject, struct route *route)
{
	struct wire_grant source = { 0 };

	if (route->goal.op == WIRE_OP_CONNECT) {
		route->address.storage = route->verdict.address;
		route->size = route->verdict.address_len;
		return 0;
	}
	set_address(&source.address, &route->verdict.address, route->verdict.address_len);
	return has_source(subject, &source) ? 0 : -EADDRNOTAVAIL;
}

static int connect_plain_host(struct subject *subject, struct route *route)
{
	const struct goal *goal = &route->goal;
	int r;

	if (goal->endpoint && goal->op == WIRE_OP_CONNECT && goal->endpoint->dynamic)
		return -ECONNREFUSED; /* nobody knows the port */
	r = connect_in_host(subject, route);
	return r || !goal->endpoint ? r : connect_at_hand(subject, route);
}

/* A source that was bound by the program, or before, is not changed. */
static bool has_its_source(const struct subject *subject, const struct route *route)
{
	union address local;
	socklen_t size;

	return route->goal.op == WIRE_OP_FROM && subject->place == PLACE_HOST &&
	       !subject->is_unix && subject_local(subject, &local, &size) != 0;
}

static int bind_in_host(const struct subject *subject, struct route *route)
{
	int r = bind(subject->number, &route->asked.any, route->asked_size);

	/* The broker may do what we may not. */
	if (r < 0 && errno == EACCES)
		return GOAL_E_FAR;
	route->is_done = true;
	return r < 0 ? -errno : 0;
}

int goal_reach(struct subject *subject, struct route *route)
{
	const struct goal *goal = &route->goal;

	if (goal->op == WIRE_OP_BIND)
		return !goal->endpoint && is_plain_host(goal) && is_in_host(subject)
			       ? bind_in_host(subject, route)
			       : GOAL_E_FAR;
	if (has_its_source(subject, route))
		return 0;
	if (!goal->endpoint && is_plain_host(goal))
		return is_in_host(subject) ? 0 : GOAL_E_FAR;
	if (!is_own_path(goal) && is_at_hand(subject, route))
		return connect_at_hand(subject, route);
	return GOAL_E_FAR;
}

int goal_move(struct subject *subject, struct route *route)
{
	const struct goal *goal = &route->goal;
	int r;

	if (goal->op == WIRE_OP_BIND)
		return move_to_bind(subject, route);
	if (is_own_path(goal))
		r = connect_own_path(subject, route);
	else if (is_plain_host(goal))
		r = connect_plain_host(subject, route);
	else
		r = connect_by_broker(subject, route);
	return r == MOVE_E_NOT ? 0 : r;
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
	if (is_own_path(goal))
		return 0;
	if (is_plain_host(goal) && goal->endpoint && goal->endpoint->dynamic)
		return -ECONNREFUSED; /* nobody knows the port */
	fill_ask(subject, route, &what);
	r = ask(&what, -1, &grant);
	if (r < 0)
		return r;
	*ret_netns = grant.netns;
	if (!is_plain_host(goal)) {
		route->address.storage = grant.said.address.address;
		route->size = grant.said.address.len;
	}
	set_path(route, &grant);
	grant_release(&grant);
	return 0;
}

int goal_take(const struct goal *goal, int family, int type, int protocol, int flags,
	      uint64_t *ret_netns)
{
	bool is_host = is_plain_host(goal);
	struct wire_ask what = {
		.op = is_host ? WIRE_OP_CONNECT : goal->op,
		.family = (uint32_t)family,
		.type = (uint32_t)type,
		.protocol = (uint32_t)protocol,
	};
	int fd;

	if (is_own_path(goal) || goal->op == WIRE_OP_BIND)
		return -EAGAIN;
	wire_set_text(what.name, sizeof(what.name),
		      is_host ? WIRE_NAME_HOST : goal->name);
	fd = supply_take(&what, flags, true, ret_netns);
	if (fd >= 0)
		place_learn(what.name, *ret_netns);
	return fd;
}
