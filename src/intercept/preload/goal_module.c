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
 * A stream that connects by name gets there with the call itself, so what is known only
 * then is noted after it. Other sockets are put there first: datagrams by connect(),
 * which sends nothing and can be undone.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/preload/goal.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/module.h"
#include "intercept/preload/state.h"
#include "intercept/preload/unix_name.h"
#include "intercept/preload/unix_options.h"
#include "intercept/preload/view.h"

/* No endpoint can be called so. */
#define NO_NAME "/"

/* A socket on its way to where a name leads. */
struct placing {
	int fd;
	bool is_new; /* it will take the place of the program's */
	struct unix_options options;
};

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

/* Whether the namespace it leads to is the host's. */
static bool is_at_host(const struct goal *goal)
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

/* Takes the program's socket if @takes_own, or else a loose one. Return: 0 or -errno. */
static int placing_begin(struct placing *ret, const struct subject *subject,
			 bool takes_own)
{
	*ret = (struct placing){ .fd = subject->number, .is_new = !takes_own };
	if (ret->is_new)
		ret->fd = open_loose(subject);
	return ret->fd < 0 ? ret->fd : 0;
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

/* The same, and binds it to @name: usually the program's socket is loose. */
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
	r = placing_begin(ret, subject, false);
	return r < 0 ? r : bind_name(ret->fd, subject, route, name);
}

/* @r: what became of it. On failure a new one goes; the program's may be there already. */
static int placing_end(struct placing *placing, struct subject *subject,
		       struct route *route, int r)
{
	uint64_t netns = kernel_cookie(placing->fd, SO_NETNS_COOKIE);
	int domain = kernel_option(placing->fd, SO_DOMAIN, subject->domain);

	if (placing->is_new && r < 0) {
		fd_close(placing->fd);
		return r;
	}
	if (netns != place_own())
		place_learn(is_at_host(&route->goal) ? WIRE_NAME_HOST : route->goal.name,
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
	if (is_at_host(goal))
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

/* --- connect by name --- */

/* An AF_INET6 socket reaches IPv4 by mapped addresses. */
static struct sockaddr_in6 map(const struct sockaddr_in *v4)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = v4->sin_port };

	memset(&v6.sin6_addr.s6_addr[10], 0xff, 2);
	memcpy(&v6.sin6_addr.s6_addr[12], &v4->sin_addr, 4);
	return v6;
}

/* Where @subject connects to; for the wildcard that is loopback. */
static void set_address(const struct subject *subject, struct route *route,
			const struct module_place *place)
{
	union address *address = &route->address;

	*address = place->address;
	route->size = place->size;
	if (place->family == AF_INET && address_is_wildcard(address))
		address->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (place->family == AF_INET6 && address_is_wildcard(address))
		address->v6.sin6_addr = in6addr_loopback;
	if (place->family == AF_INET && subject->domain == AF_INET6) {
		const struct sockaddr_in v4 = address->v4;

		address->v6 = map(&v4);
		route->size = sizeof(address->v6);
	}
}

/* Can the socket reach @place as it is? */
static bool reaches(const struct subject *subject, struct route *route,
		    const struct module_place *place)
{
	if (!place->size)
		return false;
	route->address = place->address;
	route->size = place->size;
	if (place->family == AF_UNIX)
		return goal_stays_unix(subject, route, place->netns);
	set_address(subject, route, place);
	return !subject->is_unix && subject->netns == place->netns &&
	       subject->domain == route->address.any.sa_family;
}

/* The call itself takes it there, if the socket is loose. */
static int prepare_stream(struct subject *subject, struct route *route, const char *name,
			  const struct module_place *place)
{
	struct placing placing;
	int r = placing_begin(&placing, subject, is_loose(subject));

	if (r < 0)
		return r;
	unix_options_take(subject->number, &placing.options);
	if (placing.is_new)
		r = placing_end(&placing, subject, route, 0);
	if (r < 0)
		return r;
	module_set_name(route->via, name);
	route->options = placing.options;
	memset(&route->address, 0, sizeof(route->address));
	if (place->size && place->family != AF_UNIX)
		set_address(subject, route, place);
	return 0;
}

static int name_datagram(const struct subject *subject, const struct route *route, int fd)
{
	union address local;
	socklen_t size;

	return unix_name_bind(fd, subject->domain,
			      address_is_inet(&route->asked) ? &route->asked : NULL,
			      subject_local(subject, &local, &size));
}

/* Connected for a moment, so that it is there and its peer's address known. */
static int prepare_datagram(struct subject *subject, struct route *route,
			    const char *name)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	union address peer = { 0 };
	socklen_t size = sizeof(peer);
	struct placing placing;
	int r = placing_begin(&placing, subject, is_loose(subject));

	if (r < 0)
		return r;
	unix_options_take(subject->number, &placing.options);
	r = module_connect(placing.fd, name);
	if (r == 0 && getpeername(placing.fd, &peer.any, &size) < 0)
		r = -errno;
	if (r == 0 && peer.any.sa_family == AF_UNIX)
		r = name_datagram(subject, route, placing.fd);
	if (r == 0 && connect(placing.fd, &nobody, sizeof(nobody)) < 0)
		r = -errno;
	route->address = peer;
	route->size = size;
	return placing_end(&placing, subject, route, r);
}

static int connect_named(struct subject *subject, struct route *route, const char *name)
{
	struct module_place place;
	int r = module_find_any(name, subject->type, &place);

	if (r < 0)
		return r;
	if (address_is_inet(&place.address) && !address_port(&place.address))
		return -ECONNREFUSED;
	if (reaches(subject, route, &place))
		return 0;
	r = goal_may_move(subject);
	if (r)
		return r;
	return subject->type == SOCK_DGRAM ? prepare_datagram(subject, route, name)
					   : prepare_stream(subject, route, name, &place);
}

int goal_module_connect(struct subject *subject, struct route *route)
{
	const struct goal *goal = &route->goal;
	char name[MODULE_NAME_SIZE];
	int r = name_of(goal, name);

	if (r < 0)
		return r;
	if (goal_is_plain_host(goal))
		return connect_plain(subject, route);
	if (is_defined(goal) && goal_is_inet(goal))
		return connect_defined(subject, route);
	if (goal->op == WIRE_OP_FROM)
		return connect_from(subject, route, name);
	return connect_named(subject, route, name);
}

int goal_connect_via(const struct subject *subject, const struct route *route)
{
	return module_connect(subject->number, route->via);
}

void goal_arrived(const struct subject *subject, const struct route *route,
		  int64_t result)
{
	int domain = kernel_option(subject->number, SO_DOMAIN, subject->domain);
	uint64_t netns = kernel_cookie(subject->number, SO_NETNS_COOKIE);
	union address peer = route->address;
	socklen_t size = sizeof(peer);
	struct subject now = *subject;

	if (result < 0 && result != -EINPROGRESS && result != -EINTR)
		return;
	place_learn(is_at_host(&route->goal) ? WIRE_NAME_HOST : route->goal.name, netns);
	if (domain == AF_UNIX) {
		unix_name_bind(subject->number, subject->domain, &route->asked, 0);
		unix_options_give(subject->number, &route->options);
	}
	swap_remember(&now, domain, netns);
	if (domain == AF_UNIX || (peer.any.sa_family == AF_UNSPEC &&
				  getpeername(subject->number, &peer.any, &size) < 0))
		return;
	view_note_peer(subject->number, &peer, &route->asked);
}
