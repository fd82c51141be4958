/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy applied to a socket, and what --verbose says of it.
 */
#include <errno.h>
#include <string.h>

#include "intercept/preload/hijack.h"
#include "intercept/preload/module.h"
#include "intercept/preload/names.h"
#include "intercept/preload/say.h"
#include "intercept/preload/state.h"

struct judging {
	const struct subject *subject;
	struct route *route;
};

static void fill_ask(const struct judging *judging, const struct endpoint *endpoint,
		     struct wire_ask *ask)
{
	const struct subject *subject = judging->subject;

	*ask = (struct wire_ask){
		.op = WIRE_OP_CONNECT,
		.family = (uint32_t)subject->domain,
		.type = (uint32_t)subject->type,
		.protocol = (uint32_t)subject->protocol,
	};
	wire_set_text(ask->name, sizeof(ask->name), endpoint->name);
}

/* A `bound` endpoint is asked for: the broker knows who of the run is bound there. What
 * it grants is kept for the call. */
static bool is_bound(void *context, const struct endpoint *endpoint)
{
	struct judging *judging = context;
	struct route *route = judging->route;
	struct wire_ask ask;

	if (!state.is_run)
		return false;
	if (state_has_module())
		return module_is_bound(endpoint);
	fill_ask(judging, endpoint, &ask);
	if (channel_ask(&ask, -1, &route->grant) < 0)
		return false;
	route->has_grant = true;
	return true;
}

static void set_goal(struct route *route)
{
	const struct policy_verdict *verdict = &route->verdict;
	struct goal *goal = &route->goal;

	*goal = (struct goal){ .op = route->op == POLICY_BIND ? WIRE_OP_BIND
							      : WIRE_OP_CONNECT };
	switch (verdict->target) {
	case POLICY_HOST:
		goal->name = WIRE_NAME_HOST;
		break;
	case POLICY_FROM:
		goal->op = WIRE_OP_FROM;
		/* fallthrough */
	case POLICY_ENDPOINT:
		goal->endpoint = verdict->endpoint;
		goal->name = verdict->endpoint->name;
		break;
	case POLICY_OWN:
	case POLICY_DENY:
		break;
	}
}

void judge_name(const struct subject *subject, struct route *route, const char *name)
{
	const struct endpoint *endpoint = policy_find_endpoint(state.policy, name);

	route->verdict = (struct policy_verdict){ .target = POLICY_ENDPOINT,
						  .reason = POLICY_R_RULE };
	if (endpoint && endpoint->kind != ENDPOINT_NAMED)
		policy_endpoint_verdict(endpoint, route->op, subject->domain,
					&route->verdict);
	route->goal = (struct goal){
		.op = route->op == POLICY_BIND ? WIRE_OP_BIND : WIRE_OP_CONNECT,
		.name = name,
		.endpoint = endpoint,
	};
}

void judge(const struct subject *subject, struct route *route)
{
	struct policy_query query = {
		.op = route->op,
		.proto = subject->proto,
		.family = subject->domain,
		.v6only = subject_is_v6only(subject),
		.address = route->asked.storage,
	};
	struct judging judging = { subject, route };
	const char *name = names_endpoint(&route->asked);

	route->is_judged = true;
	if (name) { /* an address that getaddrinfo() gave out */
		judge_name(subject, route, name);
		return;
	}
	policy_resolve(state.policy, &query, is_bound, &judging, &route->verdict);
	set_goal(route);
}

static void print_address(const union address *address, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN];

	if (address->any.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
	else
		inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
	snprintf(text, size, "%s:%u", host, address_port(address));
}

void judge_say(const struct subject *subject, const struct route *route, int64_t result)
{
	const char *call = route->op == POLICY_BIND ? "bind" : "connect";
	const char *colon = result < 0 ? ": " : "";
	const char *error = "";
	char address[64];

	if (!state.is_verbose)
		return;
	/* Not for nothing: it may read the translations of messages from files. */
	if (result < 0)
		error = strerror((int)-result);
	print_address(&route->asked, address, sizeof(address));
	if (route->verdict.target == POLICY_DENY)
		say("%s(): deny %s %s%s%s", call, call, address, colon, error);
	else if (!route->goal.name)
		say("%s(): no matched ep for fd=%d, %s%s%s", call, subject->number,
		    address, colon, error);
	else
		say("%s(): convert %s %s to %s%s%s", call, call, address,
		    route->goal.name, colon, error);
}
