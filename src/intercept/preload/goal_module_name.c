/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connecting by name, with the kernel module, to an endpoint that only its registry
 * knows.
 *
 * A stream gets there with the call itself, so what is known only then is noted after it.
 * Datagram sockets are put there first, by connect(), which sends nothing and can be
 * undone.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "intercept/preload/goal_module.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/module.h"
#include "intercept/preload/unix_name.h"
#include "intercept/preload/view.h"

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
	int r = placing_begin(&placing, subject);

	if (r < 0)
		return r;
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
	int r = placing_begin(&placing, subject);

	if (r < 0)
		return r;
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

int goal_connect_named(struct subject *subject, struct route *route, const char *name)
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
	place_learn(goal_is_at_host(&route->goal) ? WIRE_NAME_HOST : route->goal.name,
		    netns);
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
