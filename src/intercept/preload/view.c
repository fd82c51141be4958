/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets that stayed AF_INET or AF_INET6; view_unix.c has the others.
 *
 * A bind is noted under the address the socket really has, with its protocol and network
 * namespace, so that accepted sockets are found too: they have the listener's port. A
 * peer is noted once per address; only where a program asked for two different addresses
 * that lead to the same one, sockets are told apart by their cookie.
 *
 * Limits: 64 thousand notes of each kind, then old ones go. A socket that connected to
 * the endpoint's own address before any other was grafted there shows as the grafted.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/cleanup.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/memory.h"
#include "intercept/preload/notes.h"
#include "intercept/preload/reverse.h"
#include "intercept/preload/view.h"
#include "intercept/preload/view_unix.h"
#include "policy/policy.h"
#include "uapi/linux/graft.h"

_Atomic unsigned int view_uses;
view_ask *view_ask_bind;

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

void view_turn_on(unsigned int uses)
{
	atomic_fetch_or_explicit(&view_uses, uses, memory_order_relaxed);
}

static void start_rule(const struct rule *rule)
{
	union address there = { 0 };
	struct policy_verdict verdict;

	if (rule->target != POLICY_ENDPOINT)
		return;
	if (rule->endpoint->kind == ENDPOINT_UNIX && rule->proto & POLICY_UDP)
		view_turn_on(VIEW_SOURCES);
	/* What is named only may be anything. */
	if (rule->endpoint->kind == ENDPOINT_UNIX ||
	    rule->endpoint->kind == ENDPOINT_NAMED)
		view_turn_on(VIEW_UNIX | VIEW_NAMES);
	if (rule->endpoint->kind != ENDPOINT_IPV4 &&
	    rule->endpoint->kind != ENDPOINT_IPV6)
		return;
	policy_endpoint_verdict(rule->endpoint, rule->op, AF_INET6, &verdict);
	memcpy(&there, &verdict.address, verdict.address_len);
	ports_add(rule->op == POLICY_BIND ? &bind_ports : &peer_ports,
		  address_port(&there));
}

void view_start(const struct policy *policy)
{
	for (size_t i = 0; i < policy_n_rules(policy); i++)
		start_rule(policy_rule(policy, i));
	reads_back = reverse_start(policy);
	if (reads_back)
		view_turn_on(VIEW_NAMES);
}

socklen_t view_address_len(const union address *address)
{
	switch (address->any.sa_family) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	case AF_GRAFT:
		return sizeof(struct sockaddr_gr);
	default:
		return 0;
	}
}

struct asked asked_of(const union address *address)
{
	struct asked asked = { { 0 } };

	_Static_assert(sizeof(asked) >= sizeof(struct sockaddr_in6), "room for it");
	memcpy(&asked, address, view_address_len(address));
	return asked;
}

union address asked_address(const struct asked *asked)
{
	union address address = { 0 };

	memcpy(&address, asked, sizeof(*asked));
	return address;
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

static bool local_view(int fd, const union address *local, union address *ret)
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

static bool peer_view(int fd, const union address *actual, union address *ret)
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

static void note_inet_bind(int fd, const union address *local, const union address *asked)
{
	struct spot spot = spot_of(local);
	union address shown;
	struct asked value;

	/* The bind was as asked; is there a note that says otherwise? */
	if (!asked && !local_view(fd, local, &shown))
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

void view_note_bind(int fd, const union address *asked)
{
	union address local = { 0 };
	socklen_t len = sizeof(local);
	int saved = errno;

	if ((asked || view_is_on(VIEW_NAMES)) && getsockname(fd, &local.any, &len) == 0) {
		if (address_is_inet(&local))
			note_inet_bind(fd, &local, asked);
		else if (local.any.sa_family == AF_UNIX)
			view_note_unix_bind(fd, &local, len, asked);
	}
	errno = saved;
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
	view_turn_on(VIEW_NAMES | (protocol_of(fd) == IPPROTO_TCP ? 0 : VIEW_SOURCES));
}

static void note_inet_peer(int fd, const union address *actual,
			   const union address *asked)
{
	struct spot spot = spot_of(actual);
	union address shown = asked ? *asked : *actual;
	struct asked value;
	struct peer peer;
	bool is_known = notes_find(&peers, &spot, &peer);

	if (!asked && !is_known && !peer_view(fd, actual, &shown))
		return;
	strip(&shown);
	if (address_is_inet(&shown) && address_is_wildcard(&shown))
		copy_host(&shown, &(union address){ .v4 = { .sin_family = AF_INET,
							    .sin_addr.s_addr = htonl(
								    INADDR_LOOPBACK) } });
	value = asked_of(asked ? &shown : actual);
	if (!is_known)
		note_new_peer(fd, &spot, &value);
	else if (peer.is_shared || !same_asked(&peer.asked, &value))
		note_shared(fd, spot, &peer, &value);
}

void view_note_peer(int fd, const union address *actual, const union address *asked)
{
	int saved = errno;

	if (asked && (!address_is_inet(asked) ||
		      (asked->any.sa_family == actual->any.sa_family &&
		       !memcmp(asked, actual, view_address_len(actual)))))
		asked = NULL;
	if (address_is_inet(actual) && (asked || view_is_on(VIEW_NAMES)) &&
	    (asked || ports_have(&peer_ports, address_port(actual))))
		note_inet_peer(fd, actual, asked);
	else if (actual->any.sa_family == AF_UNIX && asked)
		view_note_unix_peer(fd, actual, asked);
	errno = saved;
}

typedef int name_call(int fd, struct sockaddr *address, socklen_t *len);

static int show(int fd, name_call *call, const union address *shown,
		struct sockaddr *address, socklen_t *len)
{
	socklen_t shown_len = view_address_len(shown);
	int r;

	/* The kernel answers in its own words to what it does not like. */
	if (!address || !shown_len)
		return call(fd, address, len);
	r = memory_give_address(shown, shown_len, address, len);
	if (r < 0)
		errno = -r;
	return r < 0 ? -1 : 0;
}

int view_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
	union address local = { 0 }, shown;
	socklen_t local_len = sizeof(local);
	int saved = errno;
	bool differs = false;

	if (getsockname(fd, &local.any, &local_len) == 0)
		differs = address_is_inet(&local)
				  ? local_view(fd, &local, &shown)
				  : view_unix_local_of(fd, &local, local_len, &shown);
	errno = saved;
	return differs ? show(fd, getsockname, &shown, address, len)
		       : getsockname(fd, address, len);
}

int view_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
	union address peer = { 0 }, shown;
	socklen_t peer_len = sizeof(peer);
	int saved = errno;
	bool differs = false;

	if (getpeername(fd, &peer.any, &peer_len) == 0)
		differs = address_is_inet(&peer)
				  ? peer_view(fd, &peer, &shown)
				  : view_unix_peer_of(fd, &peer, peer_len, &shown);
	errno = saved;
	return differs ? show(fd, getpeername, &shown, address, len)
		       : getpeername(fd, address, len);
}

socklen_t view_source(int fd, union address *source, socklen_t len)
{
	union address shown;
	int saved = errno;
	bool differs;

	/* A stream has no source, and an AF_UNIX sender may have no name. */
	differs = len && address_is_inet(source)
			  ? peer_view(fd, source, &shown)
			  : view_unix_source_of(fd, source, len, &shown);
	errno = saved;
	if (!differs)
		return len;
	*source = shown;
	return view_address_len(source);
}

ssize_t view_give_source(int fd, ssize_t n, union address *source, socklen_t source_len,
			 struct sockaddr *address, socklen_t *len)
{
	int r = memory_give_address(source, view_source(fd, source, source_len), address,
				    len);

	if (r == 0)
		return n;
	errno = -r;
	return -1;
}
