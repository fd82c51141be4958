/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an ask may have, and making it.
 *
 *	name asked for		granted when
 *	host			a rule sends the address asked for to the host
 *	an endpoint of the	a rule sends the address there; or no address is
 *	policy			given: the program named the endpoint itself
 *	any other		as graftd says; with an address, a rule must name it
 *
 * Our own copy of a socket is closed before the end where the answer went: see
 * broker_relay.c.
 *
 * Connecting to a `bound` endpoint that nobody of the run is bound to is refused with
 * ENOENT: the rule is to be passed over.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "broker/grant.h"
#include "broker/supply.h"
#include "run/broker_parts.h"
#include "run/grafts.h"
#include "run/stacks.h"
#include "stack/bound.h"
#include "stack/held.h"
#include "stack/stack.h"

#define AF_GRAFT_NUMBER 4 /* linux/graft.h */

#ifndef IPPROTO_MPTCP
#	define IPPROTO_MPTCP 262
#endif

static enum policy_proto proto_of(const struct wire_ask *ask)
{
	switch (ask->type) {
	case SOCK_STREAM:
		return !ask->protocol || ask->protocol == IPPROTO_TCP ||
				       ask->protocol == IPPROTO_MPTCP
			       ? POLICY_TCP
			       : POLICY_OTHER;
	case SOCK_DGRAM:
		return !ask->protocol || ask->protocol == IPPROTO_UDP ||
				       ask->protocol == IPPROTO_UDPLITE
			       ? POLICY_UDP
			       : POLICY_OTHER;
	default:
		return POLICY_OTHER;
	}
}

/* A path means the same in every stack, and the program's own rights count there. */
static struct stack *stack_of(const struct run_broker *broker,
			      const struct endpoint *endpoint)
{
	const struct stacks *stacks = broker->config.stacks;

	if (endpoint && endpoint->kind == ENDPOINT_UNIX && endpoint->path[0] == '/')
		return stacks->own;
	if (endpoint && stacks->by_endpoint && stacks->by_endpoint[endpoint->index])
		return stacks->by_endpoint[endpoint->index];
	return stacks->host;
}

static bool is_bound(void *context, const struct endpoint *endpoint)
{
	struct run_broker *broker = context;

	return bound_is_live(broker->bound, stack_of(broker, endpoint), endpoint);
}

static bool is_inet(uint32_t family)
{
	return family == AF_INET || family == AF_INET6;
}

/* Return: 0 when a rule sends the address of @ask to the name it gives; or -errno. */
static int judge(struct run_broker *broker, const struct wire_ask *ask,
		 const struct rule **ret_rule)
{
	struct policy_query query = {
		.op = ask->op == WIRE_OP_BIND ? POLICY_BIND : POLICY_CONNECT,
		.proto = proto_of(ask),
		.family = (int)ask->family,
		.v6only = ask->family == AF_INET6 && ask->flags & WIRE_F_V6ONLY,
		.address = ask->address.address,
	};
	struct policy_verdict verdict;
	bool matches = false;

	if (!is_inet(ask->family) || !is_inet(ask->address.address.ss_family))
		return -EAFNOSUPPORT;
	policy_resolve(broker->config.policy, &query, is_bound, broker, &verdict);
	switch (verdict.target) {
	case POLICY_OWN:
		break;
	case POLICY_HOST:
		matches = !strcmp(ask->name, WIRE_NAME_HOST) && ask->op != WIRE_OP_FROM;
		break;
	case POLICY_ENDPOINT:
		matches = !strcmp(ask->name, verdict.endpoint->name) &&
			  ask->op != WIRE_OP_FROM;
		break;
	case POLICY_FROM:
		matches = !strcmp(ask->name, verdict.endpoint->name) &&
			  ask->op == WIRE_OP_FROM;
		break;
	case POLICY_DENY:
		return -verdict.deny_errno;
	}
	*ret_rule = verdict.rule;
	return matches ? 0 : -EACCES;
}

static bool is_valid(const struct wire_ask *ask)
{
	return (ask->op == WIRE_OP_BIND || ask->op == WIRE_OP_CONNECT ||
		ask->op == WIRE_OP_FROM) &&
	       (is_inet(ask->family) || ask->family == AF_GRAFT_NUMBER) &&
	       !(ask->type & ~0xfu);
}

int grant_decide(struct run_broker *broker, const struct wire_ask *ask,
		 struct decision *ret)
{
	bool is_host = !strcmp(ask->name, WIRE_NAME_HOST);
	const struct endpoint *endpoint =
		is_host ? NULL : policy_find_endpoint(broker->config.policy, ask->name);
	struct decision decision = { .endpoint = endpoint };

	if (!is_valid(ask) || (is_host && !ask->address.len))
		return -EINVAL;
	if (endpoint && endpoint->kind == ENDPOINT_NAMED)
		decision.endpoint = endpoint = NULL;
	decision.is_registry = !is_host && !endpoint;
	if (endpoint && ask->op == WIRE_OP_CONNECT &&
	    endpoint->options & ENDPOINT_BOUND && !is_bound(broker, endpoint))
		return -ENOENT;
	if (ask->address.len) {
		int r = judge(broker, ask, &decision.rule);

		if (r < 0)
			return r;
	}
	decision.stack = stack_of(broker, endpoint);
	/* A bind gets the port of others only where they share it. */
	if (endpoint && endpoint->dynamic &&
	    (ask->op != WIRE_OP_BIND ||
	     (endpoint->options & ENDPOINT_SHARE && is_bound(broker, endpoint))))
		decision.port = bound_port(broker->bound, endpoint);
	*ret = decision;
	return 0;
}

static void note_bound(struct run_broker *broker, const struct wire_ask *ask,
		       const struct decision *decision, const struct wire_grant *grant)
{
	struct bound_socket socket = {
		.cookie = grant->cookie,
		.endpoint = decision->endpoint ? decision->endpoint->index
					       : BOUND_NO_ENDPOINT,
		.protocol = proto_of(ask) == POLICY_TCP   ? IPPROTO_TCP
			    : proto_of(ask) == POLICY_UDP ? IPPROTO_UDP
							  : (int)ask->protocol,
	};

	memcpy(&socket.address, &grant->address.address, sizeof(socket.address));
	bound_note(broker->bound, &socket);
}

void grant_note(struct run_broker *broker, const struct wire_grant *grant,
		const struct rule *rule, bool had_socket)
{
	broker->counters.n_grants++;
	broker->counters.n_swaps += had_socket;
	if (grant->cookie)
		grafts_note(broker->config.grafts, grant->cookie,
			    rule ? rule->index : GRAFTS_NO_RULE, event_now_ns());
}

/* A `hold` endpoint that a server was bound to before. */
static int take_held(const struct request *request, const struct decision *decision,
		     struct wire_grant *ret)
{
	const struct endpoint *endpoint = decision->endpoint;
	socklen_t size = sizeof(ret->cookie);
	int fd, domain = 0;

	if (!endpoint || !(endpoint->options & ENDPOINT_HOLD) || request->socket < 0 ||
	    request->message->ask.op != WIRE_OP_BIND)
		return HELD_E_NONE;
	fd = held_take(request->broker->held, endpoint->index, request->socket,
		       endpoint->options & ENDPOINT_SHARE);
	if (fd < 0)
		return fd;
	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &ret->cookie, &size);
	size = sizeof(domain);
	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
	ret->family = (uint32_t)domain;
	ret->address.len = sizeof(ret->address.address);
	if (getsockname(fd, (struct sockaddr *)&ret->address.address, &ret->address.len) <
	    0)
		ret->address.len = 0;
	ret->flags = WIRE_F_BOUND | WIRE_F_HELD;
	return fd;
}

/* What a bind leaves behind. */
static void keep_bound(struct run_broker *broker, const struct wire_ask *ask,
		       const struct decision *decision, struct wire_grant *grant, int fd)
{
	const struct endpoint *endpoint = decision->endpoint;

	note_bound(broker, ask, decision, grant);
	if (endpoint && endpoint->options & ENDPOINT_HOLD &&
	    held_keep(broker->held, endpoint->index, fd) == 0)
		grant->flags |= WIRE_F_HELD;
}

void grant_answer(struct request *request)
{
	const struct wire_ask *ask = &request->message->ask;
	struct run_broker *broker = request->broker;
	struct wire_message answer = { .type = WIRE_GRANT };
	struct grant_request grant = { .ask = ask, .socket = request->socket };
	struct decision decision;
	_cleanup_fd_ int fd = -1, path = -1;
	int fds[2], r = grant_decide(broker, ask, &decision);

	if (r == 0 && decision.is_registry) {
		relay_start(request, decision.rule);
		return;
	}
	if (r == 0)
		r = fd = take_held(request, &decision, &answer.grant);
	if (r == HELD_E_NONE) {
		grant.endpoint = decision.endpoint;
		grant.stack = decision.stack;
		grant.port = decision.port;
		grant.shares =
			decision.endpoint && decision.endpoint->options & ENDPOINT_SHARE;
		r = fd = grant_make(&grant, &answer.grant, &path);
	}
	if (r < 0) {
		request_refuse(request, r, NULL);
		return;
	}
	if (ask->op == WIRE_OP_BIND)
		keep_bound(broker, ask, &decision, &answer.grant, fd);
	grant_note(broker, &answer.grant, decision.rule, request->socket >= 0);
	fds[0] = fd;
	fds[1] = path;
	request_answer(request, &answer, fds, path < 0 ? 1 : 2);
}

/* --- supplies --- */

static void supply_ended(void *context, struct supply *supply)
{
	struct run_broker *broker = context;

	for (size_t i = 0; i < broker->n_supplies; i++)
		if (broker->supplies[i] == supply) {
			broker->supplies[i] = broker->supplies[--broker->n_supplies];
			break;
		}
	supply_free(supply);
}

/* Unlike an ask for one socket it names no address, so it takes a rule that sends
 * connects of such sockets to the host, whatever their address. */
static int supply_decide(struct run_broker *broker, const struct wire_ask *ask,
			 struct decision *ret)
{
	enum policy_proto proto = proto_of(ask);
	struct wire_ask named = *ask;

	if (ask->op != WIRE_OP_CONNECT || (proto != POLICY_TCP && proto != POLICY_UDP))
		return -EINVAL;
	if (strcmp(ask->name, WIRE_NAME_HOST) != 0) {
		named.address.len = 0;
		return grant_decide(broker, &named, ret);
	}
	if (!is_valid(ask) || !is_inet(ask->family))
		return -EINVAL;
	if (!(broker->host_protos[ask->family == AF_INET6] & proto))
		return -EACCES;
	*ret = (struct decision){ .stack = broker->config.stacks->host };
	return 0;
}

static int supply_start(struct request *request, const struct decision *decision)
{
	const struct wire_ask *ask = &request->message->ask;
	struct run_broker *broker = request->broker;
	struct supply_request supply = {
		.loop = broker->config.loop,
		.stack = decision->stack,
		.family = (int)ask->family,
		.type = (int)ask->type,
		.protocol = (int)ask->protocol,
		.uid = geteuid(),
		.gid = getegid(),
		.end = request->socket,
		.ended = supply_ended,
		.context = broker,
	};
	int r;

	if (decision->endpoint && decision->endpoint->kind == ENDPOINT_UNIX)
		return -EPROTOTYPE;
	if (broker->n_supplies == SUPPLIES_MAX)
		return -ENOBUFS;
	r = supply_new(&broker->supplies[broker->n_supplies], &supply);
	if (r < 0)
		return r;
	broker->n_supplies++;
	request->socket = -1;
	return 0;
}

void grant_supply(struct request *request)
{
	struct wire_message answer = { .type = WIRE_BYE };
	struct decision decision;
	int r = supply_decide(request->broker, &request->message->ask, &decision);

	if (r == 0 && decision.is_registry) {
		relay_start(request, NULL);
		return;
	}
	if (r == 0)
		r = supply_start(request, &decision);
	if (r < 0)
		request_refuse(request, r, NULL);
	else
		request_answer(request, &answer, NULL, 0);
}

void grant_close_supplies(struct run_broker *broker)
{
	while (broker->n_supplies)
		supply_free(broker->supplies[--broker->n_supplies]);
}

void grant_learn_policy(struct run_broker *broker)
{
	const struct policy *policy = broker->config.policy;

	for (size_t i = 0; i < policy_n_rules(policy); i++) {
		const struct rule *rule = policy_rule(policy, i);

		if (rule->op != POLICY_CONNECT || rule->target != POLICY_HOST)
			continue;
		/* An IPv6 socket connects to IPv4 addresses too. */
		broker->host_protos[1] |= rule->proto;
		if (rule->family == AF_INET)
			broker->host_protos[0] |= rule->proto;
	}
}
