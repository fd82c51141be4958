// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct sockaddr_gr: names in addresses, and where they lead to.
 */
#include <linux/in6.h>
#include <linux/string.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>

#include "endpoint.h"
#include "netlink.h"
#include "socket.h"

int graft_name_take(char name[AF_GRAFT_EPNAME_MAX],
		    const struct sockaddr_unsized *address, int len)
{
	const struct sockaddr_gr *gr = (const struct sockaddr_gr *)address;
	size_t size;

	if (len < (int)sizeof(*gr) || !gr->sgr_epname[0])
		return -EINVAL;
	size = strnlen(gr->sgr_epname, AF_GRAFT_EPNAME_MAX);
	memcpy(name, gr->sgr_epname, size);
	memset(name + size, 0, AF_GRAFT_EPNAME_MAX - size);
	return 0;
}

int graft_name_put(const struct graft_sock *gs, struct sockaddr *address)
{
	struct sockaddr_gr *gr = (struct sockaddr_gr *)address;

	gr->sgr_family = graft_family;
	memcpy(gr->sgr_epname, gs->name, sizeof(gr->sgr_epname));
	return sizeof(*gr);
}

/* An AF_INET6 socket reaches IPv4 by mapped addresses. */
static void map(struct graft_route *route)
{
	struct sockaddr_in in = *(struct sockaddr_in *)&route->address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&route->address;

	memset(in6, 0, sizeof(*in6));
	in6->sin6_family = AF_INET6;
	in6->sin6_port = in.sin_port;
	ipv6_addr_set_v4mapped(in.sin_addr.s_addr, &in6->sin6_addr);
	route->len = sizeof(*in6);
}

static int check_family(struct graft_route *route, const struct sock *sk)
{
	int family = READ_ONCE(sk->sk_family), to = route->address.ss_family;

	if (to == AF_INET && family == AF_INET6) {
		map(route);
		return 0;
	}
	return to == family ? 0 : -EPROTOTYPE;
}

/* A path leads anywhere; everything else stays in the namespace of the socket. */
static int check_namespace(const struct graft_endpoint *endpoint, const struct sock *sk)
{
	if (endpoint->spec.family == AF_UNIX && endpoint->spec.un.sun_path[0])
		return 0;
	/* That of a socket is alive, so this is no longer its pointer if it is dead. */
	if (READ_ONCE(endpoint->is_dead))
		return -ENOENT;
	return endpoint->target == sock_net(sk) ? 0 : -ENETUNREACH;
}

int graft_route_find(struct graft_route *route, const struct net *net, const char *name)
{
	struct graft_endpoint *endpoint;
	bool is_ruled;

	endpoint = graft_endpoint_use(net, name, GRAFT_USE_CONNECT, &is_ruled);
	if (IS_ERR(endpoint))
		return PTR_ERR(endpoint);
	route->endpoint = endpoint;
	route->len = endpoint->spec.family
			     ? graft_endpoint_where(endpoint, &route->address)
			     : -EINVAL;
	if (route->len >= 0)
		return 0;
	graft_endpoint_put(endpoint);
	return route->len;
}

void graft_route_take(struct graft_route *route)
{
	atomic64_inc(&route->endpoint->n_connects);
	graft_netlink_tell(route->endpoint, GRAFT_CMD_ENDPOINT_CONNECT);
	graft_root_enter(&route->root, route->endpoint);
}

void graft_route_end(struct graft_route *route)
{
	graft_root_leave(&route->root);
	graft_endpoint_put(route->endpoint);
}

int graft_route_begin(struct graft_route *route, const struct socket *sock,
		      const struct sockaddr_unsized *address, int len)
{
	const struct graft_sock *gs = graft_of(sock);
	char name[AF_GRAFT_EPNAME_MAX];
	int err;

	err = graft_name_take(name, address, len);
	if (!err)
		err = graft_route_find(route, sock_net(gs ? &gs->sk : sock->sk), name);
	if (err)
		return err;
	err = check_namespace(route->endpoint, sock->sk);
	if (!err)
		err = check_family(route, sock->sk);
	if (err)
		graft_endpoint_put(route->endpoint);
	else
		graft_route_take(route);
	return err;
}
