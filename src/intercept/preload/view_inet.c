/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets that stayed AF_INET or AF_INET6.
 *
 * A bind is noted under the address the socket really has, with its protocol and network
 * namespace, so that accepted sockets are found too: they have the listener's port. A
 * peer is noted once per address; only where a program asked for two different addresses
 * that lead to the same one, sockets are told apart by their cookie.
 *
 * Limits: 64 thousand notes of each kind, then old ones go. A socket that connected to
 * the endpoint's own address before any other was grafted there shows as the grafted.
 */
#include <stdatomic.h>
#include <string.h>

#include "intercept/preload/kernel.h"
#include "intercept/preload/notes.h"
#include "intercept/preload/reverse.h"
#include "intercept/preload/view.h"
#include "intercept/preload/view_internal.h"
#include "policy/policy.h"
#include "uapi/linux/graft.h"

/* Where a socket is, or its peer. */
struct spot {
	struct in6_addr address; /* IPv4: mapped */
	uint32_t port;
	uint32_t protocol; /* binds */
	uint64_t cookie;   /* binds: of the namespace; by_socket: of the socket */
};

struct peer {
	struct asked asked;
	uint64_t netns;
	uint64_t is_shared; /* asked for under several addresses: see by_socket */
};

static struct notes binds = NOTES_OF(struct spot, struct asked, 6, 10);
static struct notes peers = NOTES_OF(struct spot, struct peer, 6, 10);
static struct notes by_socket = NOTES_OF(struct spot, struct asked, 6, 10);

/* Ports that notes or rules speak of; others need no second look. */
#define PORT_BITS 1024

struct ports {
	_Atomic uint64_t bits[PORT_BITS / 64];
};

static struct ports bind_ports, peer_ports;
static bool reads_back;

static void ports_add(struct ports *ports, uint16_t port)
{
	atomic_fetch_or_explicit(&ports->bits[port % PORT_BITS / 64],
				 (uint64_t)1 << port % 64, memory_order_relaxed);
}

static bool ports_have(struct ports *ports, uint16_t port)
{
	uint64_t bits = atomic_load_explicit(&ports->bits[port % PORT_BITS / 64],
					     memory_order_relaxed);

	return bits >> port % 64 & 1;
}

static void set_mapped(struct in6_addr *ret, struct in_addr v4)
{
	memset(ret, 0, sizeof(*ret));
	memset(&ret->s6_addr[10], 0xff, 2);
	memcpy(&ret->s6_addr[12], &v4, sizeof(v4));
}

static struct spot spot_of(const union address *address)
{
	struct spot spot = { .port = address_port(address) };

	if (address->any.sa_family == AF_INET)
		set_mapped(&spot.address, address->v4.sin_addr);
	else
		spot.address = address->v6.sin6_addr;
	return spot;
}

/* Gives @to, of whichever family, the address of @from. */
static void copy_host(union address *to, const union address *from)
{
	union address v4 = *from;

	address_unmap(&v4);
	if (to->any.sa_family == AF_INET6 && from->any.sa_family == AF_INET)
		set_mapped(&to->v6.sin6_addr, from->v4.sin_addr);
	else if (to->any.sa_family == AF_INET6)
		to->v6.sin6_addr = from->v6.sin6_addr;
	else if (v4.any.sa_family == AF_INET)
		to->v4.sin_addr = v4.v4.sin_addr;
}

/* The kernel tells no flow label, and a scope only where it means something. */
static void strip(union address *address)
{
	if (address->any.sa_family != AF_INET6)
		return;
	address->v6.sin6_flowinfo = 0;
	if (!IN6_IS_ADDR_LINKLOCAL(&address->v6.sin6_addr))
		address->v6.sin6_scope_id = 0;
}

static unsigned int proto_of(uint32_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return POLICY_TCP;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return POLICY_UDP;
	}
	return POLICY_OTHER;
}

static uint32_t protocol_of(int fd)
{
	int protocol = kernel_option(fd, SO_PROTOCOL, 0);

	return protocol == 262 /* MPTCP */ ? IPPROTO_TCP : (uint32_t)protocol;
}

/* What is noted of @spot, or of the wildcard address there. */
static bool find_bind(const struct spot *spot, struct asked *ret, bool *ret_wildcard)
{
	struct spot wildcard = *spot;

	*ret_wildcard = false;
	if (notes_find(&binds, spot, ret))
		return true;
	*ret_wildcard = true;
	if (IN6_IS_ADDR_V4MAPPED(&spot->address)) {
		memset(&wildcard.address.s6_addr[12], 0, 4);
		if (notes_find(&binds, &wildcard, ret))
			return true;
	}
	wildcard.address = in6addr_any;
	return notes_find(&binds, &wildcard, ret);
}

static bool is_connected(int fd)
{
	union address peer;
	socklen_t len = sizeof(peer);

	return getpeername(fd, &peer.any, &len) == 0;
}

/*
 * What the program sees of @local, given what it asked for when it, or its listener, was
 * bound. Return: false for: just that.
 */
static bool show_local(int fd, const union address *local, bool is_elsewhere,
		       union address *asked)
{
	if (asked->any.sa_family == AF_UNSPEC)
		return false;
	if (asked->any.sa_family == AF_GRAFT)
		return true;
	strip(asked);
	if (!address_port(asked))
		address_set_port(asked, address_port(local));
	if (address_is_wildcard(asked) && !address_is_wildcard(local) &&
	    (is_elsewhere || is_connected(fd)))
		copy_host(asked, local);
	return true;
}

static bool ask_view(int fd, const union address *local, union address *ret)
{
	return view_ask_bind && view_ask_bind(fd, local, ret) &&
	       show_local(fd, local, false, ret);
}

static bool same_asked(const struct asked *a, const struct asked *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static bool find_by_socket(int fd, struct spot spot, struct asked *ret)
{
	if (notes_is_empty(&by_socket))
		return false;
	spot.cookie = kernel_cookie(fd, SO_COOKIE);
	return notes_find(&by_socket, &spot, ret);
}

static void note_shared(int fd, struct spot spot, struct peer *peer,
			const struct asked *value)
{
	if (!peer->is_shared) {
		peer->is_shared = 1;
		notes_set(&peers, &spot, peer);
	}
	spot.cookie = kernel_cookie(fd, SO_COOKIE);
	notes_set(&by_socket, &spot, value);
}

static void note_new_peer(int fd, const struct spot *spot, const struct asked *asked)
{
	struct peer peer = { .asked = *asked,
			     .netns = kernel_cookie(fd, SO_NETNS_COOKIE) };

	ports_add(&peer_ports, (uint16_t)spot->port);
	notes_set(&peers, spot, &peer);
}

/* The note may be that of a stream to the same place. */
static void turn_on(int fd)
{
	if (!view_is_on(VIEW_SOURCES))
		view_turn_on(VIEW_NAMES |
			     (protocol_of(fd) == IPPROTO_TCP ? 0 : VIEW_SOURCES));
}

void view_inet_start(const struct rule *rule)
{
	union address there = { 0 };
	struct policy_verdict verdict;

	if (rule->endpoint->kind != ENDPOINT_IPV4 &&
	    rule->endpoint->kind != ENDPOINT_IPV6)
		return;
	policy_endpoint_verdict(rule->endpoint, rule->op, AF_INET6, &verdict);
	memcpy(&there, &verdict.address, verdict.address_len);
	ports_add(rule->op == POLICY_BIND ? &bind_ports : &peer_ports,
		  address_port(&there));
}

void view_inet_read_back(void)
{
	reads_back = true;
}

void view_note_inet_bind(int fd, const union address *local, const union address *asked)
{
	struct spot spot = spot_of(local);
	union address shown;
	struct asked value;

	/* The bind was as asked; is there a note that says otherwise? */
	if (!asked && !view_inet_local_of(fd, local, &shown))
		return;
	value = asked_of(asked ? asked : local);
	if (asked && asked->any.sa_family == AF_GRAFT)
		value.words[3] = kernel_cookie(fd, SO_COOKIE);
	spot.protocol = protocol_of(fd);
	spot.cookie = kernel_cookie(fd, SO_NETNS_COOKIE);
	ports_add(&bind_ports, (uint16_t)spot.port);
	notes_set(&binds, &spot, &value);
	view_turn_on(VIEW_NAMES);
}

void view_note_inet_peer(int fd, const union address *actual, const union address *asked)
{
	struct spot spot = spot_of(actual);
	union address shown = asked ? *asked : *actual;
	struct asked value;
	struct peer peer;
	bool is_known;

	if (!asked && !ports_have(&peer_ports, (uint16_t)spot.port))
		return;
	is_known = notes_find(&peers, &spot, &peer);
	if (!asked && !is_known && !view_inet_peer_of(fd, actual, &shown))
		return;
	strip(&shown);
	if (address_is_inet(&shown) && address_is_wildcard(&shown))
		copy_host(&shown, &(union address){ .v4 = { .sin_family = AF_INET,
							    .sin_addr.s_addr = htonl(
								    INADDR_LOOPBACK) } });
	value = asked_of(asked ? &shown : actual);
	turn_on(fd);
	if (!is_known)
		note_new_peer(fd, &spot, &value);
	else if (peer.is_shared || !same_asked(&peer.asked, &value))
		note_shared(fd, spot, &peer, &value);
}

bool view_inet_local_of(int fd, const union address *local, union address *ret)
{
	struct spot spot = spot_of(local);
	bool is_elsewhere;
	struct asked asked;

	if (!ports_have(&bind_ports, (uint16_t)spot.port))
		return ask_view(fd, local, ret);
	spot.protocol = protocol_of(fd);
	spot.cookie = kernel_cookie(fd, SO_NETNS_COOKIE);
	if (!notes_is_empty(&binds) && find_bind(&spot, &asked, &is_elsewhere)) {
		*ret = asked_address(&asked);
		/* Sockets accepted from an AF_GRAFT one are plain. */
		if (ret->any.sa_family == AF_GRAFT &&
		    asked.words[3] != kernel_cookie(fd, SO_COOKIE))
			return false;
		return show_local(fd, local, is_elsewhere, ret);
	}
	if (reads_back && reverse_find(POLICY_BIND, proto_of(spot.protocol),
				       local->any.sa_family, local, ret))
		return show_local(fd, local, false, ret);
	return ask_view(fd, local, ret);
}

bool view_inet_peer_of(int fd, const union address *actual, union address *ret)
{
	struct spot spot = spot_of(actual);
	struct peer peer;

	if (!ports_have(&peer_ports, (uint16_t)spot.port))
		return false;
	if (notes_find(&peers, &spot, &peer)) {
		if (peer.is_shared)
			find_by_socket(fd, spot, &peer.asked);
		*ret = asked_address(&peer.asked);
		return ret->any.sa_family != AF_UNSPEC &&
		       peer.netns == kernel_cookie(fd, SO_NETNS_COOKIE);
	}
	return reads_back && reverse_find(POLICY_CONNECT, proto_of(protocol_of(fd)),
					  actual->any.sa_family, actual, ret);
}
