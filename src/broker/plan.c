/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From what is asked for to what socket() and bind() are called with.
 */
#include <errno.h>
#include <linux/graft.h>
#include <netinet/in.h>

#include "base/address.h"
#include "broker/plan.h"

#ifndef IPPROTO_MPTCP
#	define IPPROTO_MPTCP 262
#endif

#define TYPE_MASK 0xf /* of socket()'s type, without its flags */

bool plan_is_v6only(const struct grant_request *request)
{
	int on = 0;
	socklen_t size = sizeof(on);

	if (request->ask->flags & WIRE_F_V6ONLY)
		return true;
	return request->socket >= 0 &&
	       getsockopt(request->socket, IPPROTO_IPV6, IPV6_V6ONLY, &on, &size) == 0 &&
	       on;
}

/* Of the internet families, as far as a UNIX socket can stand for it. */
static int plan_unix(const struct grant_request *request, struct plan *plan)
{
	int protocol = (int)request->ask->protocol;

	if (request->ask->op == WIRE_OP_FROM)
		return -EAFNOSUPPORT;
	plan->family = AF_UNIX;
	plan->protocol = 0;
	switch (plan->type) {
	case SOCK_STREAM:
		return protocol == 0 || protocol == IPPROTO_TCP ||
				       protocol == IPPROTO_MPTCP
			       ? 0
			       : -EPROTOTYPE;
	case SOCK_DGRAM:
		return protocol == 0 || protocol == IPPROTO_UDP ||
				       protocol == IPPROTO_UDPLITE
			       ? 0
			       : -EPROTOTYPE;
	case SOCK_SEQPACKET:
		return protocol == 0 ? 0 : -EPROTOTYPE;
	default:
		return -EPROTOTYPE;
	}
}

static bool is_own_family(uint32_t family)
{
	return family == AF_UNSPEC || family == AF_UNIX || family == AF_GRAFT;
}

/* As the policy passes rules over: an ipv6 endpoint serves AF_INET only where a
 * dual-stack server may listen, an ipv4 one every socket that is not IPv6 alone. */
static int plan_inet(const struct grant_request *request, struct plan *plan)
{
	const struct endpoint *endpoint = request->endpoint;
	uint32_t family = request->ask->family;
	bool is_v4 = endpoint->kind == ENDPOINT_IPV4;

	if (family == AF_UNIX)
		return -EAFNOSUPPORT;
	if (is_own_family(family))
		family = is_v4 ? AF_INET : AF_INET6;
	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	if (is_v4 && family == AF_INET6 && plan_is_v6only(request))
		return -EAFNOSUPPORT;
	if (!is_v4 && family == AF_INET &&
	    (request->ask->op != WIRE_OP_CONNECT ||
	     !IN6_IS_ADDR_UNSPECIFIED(&endpoint->v6)))
		return -EAFNOSUPPORT;
	plan->family = (int)family;
	return 0;
}

static uint16_t port_of(const struct grant_request *request)
{
	const struct endpoint *endpoint = request->endpoint;

	if (!endpoint->dynamic)
		return endpoint->port;
	return request->ask->op == WIRE_OP_FROM ? 0 : request->port;
}

static int plan_endpoint(const struct grant_request *request, struct plan *plan)
{
	const struct endpoint *endpoint = request->endpoint;
	bool is_connect = request->ask->op == WIRE_OP_CONNECT;
	struct policy_verdict verdict;
	union address address;
	int r = -EINVAL;

	switch (endpoint->kind) {
	case ENDPOINT_IPV4:
	case ENDPOINT_IPV6:
		r = plan_inet(request, plan);
		break;
	case ENDPOINT_UNIX:
		r = plan_unix(request, plan);
		break;
	case ENDPOINT_ANY:   /* change_add() refuses it */
	case ENDPOINT_NAMED: /* for the caller to find */
		break;
	}
	if (r < 0)
		return r;
	policy_endpoint_verdict(endpoint, is_connect ? POLICY_CONNECT : POLICY_BIND,
				plan->family, &verdict);
	address.storage = verdict.address;
	if (plan->family != AF_UNIX) {
		address_set_port(&address, port_of(request));
		if (is_connect && !address_port(&address))
			return -ECONNREFUSED;
	}
	plan->address.address = address.storage;
	plan->address.len = verdict.address_len;
	return 0;
}

static int plan_host(const struct grant_request *request, struct plan *plan)
{
	const struct wire_ask *ask = request->ask;

	if (ask->family != AF_INET && ask->family != AF_INET6)
		return -EAFNOSUPPORT;
	if (ask->op == WIRE_OP_FROM || !ask->address.len)
		return -EINVAL;
	plan->family = (int)ask->family;
	plan->address = ask->address;
	return 0;
}

int plan_make(const struct grant_request *request, struct plan *ret)
{
	*ret = (struct plan){
		.type = (int)request->ask->type & TYPE_MASK,
		.protocol = (int)request->ask->protocol,
	};
	if (!request->is_trusted && (ret->type == SOCK_RAW || ret->type == SOCK_PACKET))
		return -EPERM;
	switch ((enum wire_op)request->ask->op) {
	case WIRE_OP_BIND:
	case WIRE_OP_CONNECT:
	case WIRE_OP_FROM:
		return request->endpoint ? plan_endpoint(request, ret)
					 : plan_host(request, ret);
	}
	return -EINVAL;
}
