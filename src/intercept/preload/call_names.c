/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * getaddrinfo() of endpoints: whether one exists, the policy or else the broker says, or
 * the kernel module in its place.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "intercept/preload/broker.h"
#include "intercept/preload/calls.h"
#include "intercept/preload/module.h"
#include "intercept/preload/names.h"
#include "intercept/preload/state.h"

static int family_of(const struct endpoint *endpoint)
{
	switch (endpoint->kind) {
	case ENDPOINT_IPV4:
		return AF_INET;
	case ENDPOINT_IPV6:
		return AF_INET6;
	case ENDPOINT_UNIX:
		return AF_UNIX;
	case ENDPOINT_ANY:
	case ENDPOINT_NAMED:
		break;
	}
	return -ENOENT;
}

/*
 * Asks the broker for a socket to reach @name with, as connect() will, and lets it go
 * again. Any answer but that there is none of that name (or no broker) means that there
 * is one: what else is wrong is for connect() to say.
 */
static int ask(const char *name, int type, int family)
{
	struct wire_ask ask = {
		.op = WIRE_OP_CONNECT,
		.family = (uint32_t)family,
		.type = (uint32_t)type,
		.protocol = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP,
	};
	struct grant grant;
	int r;

	wire_set_text(ask.name, sizeof(ask.name), name);
	r = channel_ask(&ask, -1, &grant);
	if (r < 0)
		return r;
	grant_release(&grant);
	return family;
}

static int find_in_module(const char *name, int type)
{
	struct module_place place;
	int r = module_find_any(name, type, &place);

	if (r < 0)
		return r;
	return place.family == AF_UNSPEC ? AF_INET : place.family;
}

static int find_endpoint(const char *name, int type)
{
	const struct endpoint *endpoint =
		state.policy ? policy_find_endpoint(state.policy, name) : NULL;
	int r;

	if (endpoint && endpoint->kind != ENDPOINT_NAMED)
		return family_of(endpoint);
	if (state_has_module())
		return find_in_module(name, type);
	r = ask(name, type, AF_INET);
	if (r == -EPROTOTYPE || r == -EAFNOSUPPORT) {
		/* An ipv6 endpoint, which an AF_INET socket cannot reach. */
		r = ask(name, type, AF_INET6);
		if (r == -EPROTOTYPE || r == -EAFNOSUPPORT)
			return AF_INET;
	}
	if (r >= 0)
		return r;
	return r == -ENOENT || r == -ENETDOWN || r == -EINVAL ? -ENOENT : AF_INET;
}

int hijack_getaddrinfo(const char *node, const char *service,
		       const struct addrinfo *hints, struct addrinfo **ret)
{
	if (!names_concerns(node))
		return getaddrinfo(node, service, hints, ret);
	return names_getaddrinfo(find_endpoint, node, service, hints, ret);
}

void hijack_freeaddrinfo(struct addrinfo *list)
{
	names_freeaddrinfo(list);
}
