/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls, and what becomes of them: view_inet.c has the sockets that stayed AF_INET or
 * AF_INET6, view_unix.c those that became AF_UNIX.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "intercept/preload/memory.h"
#include "intercept/preload/reverse.h"
#include "intercept/preload/view.h"
#include "intercept/preload/view_internal.h"
#include "policy/policy.h"
#include "uapi/linux/graft.h"

_Atomic unsigned int view_uses;
view_ask *view_ask_bind;

void view_turn_on(unsigned int uses)
{
	atomic_fetch_or_explicit(&view_uses, uses, memory_order_relaxed);
}

static void start_rule(const struct rule *rule)
{
	if (rule->target != POLICY_ENDPOINT)
		return;
	if (rule->endpoint->kind == ENDPOINT_UNIX && rule->proto & POLICY_UDP)
		view_turn_on(VIEW_SOURCES);
	/* What is named only may be anything. */
	if (rule->endpoint->kind == ENDPOINT_UNIX ||
	    rule->endpoint->kind == ENDPOINT_NAMED)
		view_turn_on(VIEW_UNIX | VIEW_NAMES);
	view_inet_start(rule);
}

void view_start(const struct policy *policy)
{
	for (size_t i = 0; i < policy_n_rules(policy); i++)
		start_rule(policy_rule(policy, i));
	if (reverse_start(policy)) {
		view_inet_read_back();
		view_turn_on(VIEW_NAMES);
	}
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

void view_note_bind(int fd, const union address *asked)
{
	union address local = { 0 };
	socklen_t len = sizeof(local);
	int saved = errno;

	if ((asked || view_is_on(VIEW_NAMES)) && getsockname(fd, &local.any, &len) == 0) {
		if (address_is_inet(&local))
			view_note_inet_bind(fd, &local, asked);
		else if (local.any.sa_family == AF_UNIX)
			view_note_unix_bind(fd, &local, len, asked);
	}
	errno = saved;
}

void view_note_peer(int fd, const union address *actual, const union address *asked)
{
	int saved = errno;

	if (asked && (!address_is_inet(asked) ||
		      (asked->any.sa_family == actual->any.sa_family &&
		       !memcmp(asked, actual, view_address_len(actual)))))
		asked = NULL;
	if (address_is_inet(actual) && (asked || view_is_on(VIEW_NAMES)))
		view_note_inet_peer(fd, actual, asked);
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
				  ? view_inet_local_of(fd, &local, &shown)
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
				  ? view_inet_peer_of(fd, &peer, &shown)
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
			  ? view_inet_peer_of(fd, source, &shown)
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
