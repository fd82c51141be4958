/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Judging one call: from a query to the first rule that can serve it (index.c finds it),
 * and from that rule to the address to use.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "policy/internal.h"

/* The point a call is judged at; two of them for a dual-stack bind to [::]. */
struct point {
	struct index_key keys[2];
	unsigned int n_keys;
	uint32_t places[2];
	uint16_t port;
	bool loopback;
};

static struct index_key key4(uint32_t host_order)
{
	return (struct index_key){ 0, 0xffff00000000u | host_order };
}

static void point_at4(struct point *point, const struct policy_query *query,
		      struct in_addr address)
{
	uint32_t v4 = ntohl(address.s_addr);

	if (query->op == POLICY_CONNECT && v4 == INADDR_ANY)
		v4 = INADDR_LOOPBACK;
	point->loopback = v4 >> 24 == 127;
	point->keys[point->n_keys++] = key4(v4);
}

static void point_at6(struct point *point, const struct policy_query *query,
		      const struct in6_addr *address)
{
	struct in_addr v4;

	if (IN6_IS_ADDR_V4MAPPED(address)) {
		memcpy(&v4, &address->s6_addr[12], sizeof(v4));
		point_at4(point, query, v4);
		return;
	}
	if (query->op == POLICY_CONNECT && IN6_IS_ADDR_UNSPECIFIED(address))
		address = &in6addr_loopback;
	point->loopback = IN6_IS_ADDR_LOOPBACK(address);
	point->keys[point->n_keys++] = index_key(AF_INET6, address);
	if (query->op == POLICY_BIND && query->family == AF_INET6 && !query->v6only &&
	    IN6_IS_ADDR_UNSPECIFIED(address))
		point->keys[point->n_keys++] = key4(INADDR_ANY);
}

/* An address that is neither IPv4 nor IPv6 falls nowhere: no keys. */
static struct point point_of(const struct policy_query *query)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&query->address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&query->address;
	struct point point = { 0 };

	if (query->address.ss_family == AF_INET) {
		point.port = ntohs(in->sin_port);
		point_at4(&point, query, in->sin_addr);
	} else if (query->address.ss_family == AF_INET6) {
		point.port = ntohs(in6->sin6_port);
		point_at6(&point, query, &in6->sin6_addr);
	}
	return point;
}

/* The groups whose rules can serve the socket. */
static unsigned int serving_groups(const struct policy_query *query)
{
	unsigned int groups = 1u << GROUP_STAY | 1u << GROUP_HOST;

	if (query->family != AF_INET6 || !query->v6only)
		groups |= 1u << GROUP_IPV4;
	if (query->family == AF_INET6)
		groups |= 1u << GROUP_IPV6;
	if (query->proto != POLICY_OTHER)
		groups |= 1u << GROUP_UNIX;
	return groups;
}

static uint32_t first_at(const struct policy_index *index, const struct point *point,
			 unsigned int proto, unsigned int groups, uint32_t best)
{
	for (unsigned int i = 0; i < point->n_keys; i++)
		best = index_first(index, point->places[i], proto, groups, point->port,
				   best);
	return best;
}

struct judgement {
	uint32_t rule;             /* or POLICY_NONE */
	uint32_t passed;           /* first rule passed over, or POLICY_NONE */
	enum policy_reason reason; /* why that one was */
};

static void pass_over(struct judgement *judgement, uint32_t rule,
		      enum policy_reason reason)
{
	if (rule >= judgement->passed)
		return;
	judgement->passed = rule;
	judgement->reason = reason;
}

/* Asks about the rules on `bound` endpoints in front of @judgement's. */
static void ask_bound(const struct policy *policy, const struct policy_query *query,
		      const struct point *point, unsigned int serving,
		      policy_is_bound *is_bound, void *context,
		      struct judgement *judgement)
{
	const struct policy_index *index = policy->index[query->op];
	uint32_t id =
		first_at(index, point, query->proto, 1u << GROUP_BOUND, judgement->rule);

	while (id < judgement->rule) {
		const struct rule *rule = &policy->rules[id].rule;

		if (!(serving & 1u << endpoint_group(rule)))
			pass_over(judgement, id, POLICY_R_UNSERVABLE);
		else if (!is_bound || !is_bound(context, rule->endpoint))
			pass_over(judgement, id, POLICY_R_UNBOUND);
		else
			judgement->rule = id;
		if (judgement->rule != id)
			id = index_next_bound(index, point->places[0], query->proto,
					      point->port, id);
	}
}

/* Nothing decided: finds what a reader of the verdict will ask about. */
static void find_passed(const struct policy_index *index,
			const struct policy_query *query, const struct point *point,
			unsigned int serving, struct judgement *judgement)
{
	const unsigned int all = (1u << GROUP_ALL) - 1;
	const unsigned int leaving = all & ~(1u << GROUP_STAY);
	uint32_t id;

	id = first_at(index, point, query->proto, all & ~serving & ~(1u << GROUP_BOUND),
		      POLICY_NONE);
	pass_over(judgement, id, POLICY_R_UNSERVABLE);
	for (unsigned int i = 0; i < point->n_keys; i++) {
		id = index_first_guarded(index, point->places[i], query->proto, leaving,
					 point->port, POLICY_NONE);
		pass_over(judgement, id, POLICY_R_LOOPBACK);
	}
}

static uint32_t first_serving(const struct policy *policy,
			      const struct policy_query *query, const struct point *point,
			      unsigned int serving)
{
	const struct policy_index *index = policy->index[query->op];
	uint32_t id = first_at(index, point, query->proto, 1u << GROUP_ALL, POLICY_NONE);

	if (id == POLICY_NONE || serving & 1u << policy->outcomes[id].group)
		return id;
	return first_at(index, point, query->proto, serving, POLICY_NONE);
}

static struct judgement judge(const struct policy *policy,
			      const struct policy_query *query, policy_is_bound *is_bound,
			      void *context)
{
	const struct policy_index *index = policy->index[query->op];
	struct judgement judgement = { POLICY_NONE, POLICY_NONE, POLICY_R_DEFAULT };
	unsigned int serving = serving_groups(query);
	struct point point = point_of(query);

	for (unsigned int i = 0; i < point.n_keys; i++)
		point.places[i] = index_locate(index, &point.keys[i]);
	judgement.rule = first_serving(policy, query, &point, serving);
	if (query->op == POLICY_CONNECT)
		ask_bound(policy, query, &point, serving, is_bound, context, &judgement);
	if (judgement.rule != POLICY_NONE)
		return judgement;
	find_passed(index, query, &point, serving, &judgement);
	if (judgement.passed == POLICY_NONE && point.loopback)
		judgement.reason = POLICY_R_LOOPBACK;
	return judgement;
}

/* A UNIX path. There are no rules for bind on such. */
static struct judgement judge_path(const struct policy *policy,
				   const struct policy_query *query)
{
	struct judgement judgement = { POLICY_NONE, POLICY_NONE, POLICY_R_DEFAULT };
	struct path_key key = path_key(&query->address, query->address_len);

	if (query->op == POLICY_CONNECT)
		judgement.rule = path_index_first(policy->paths, &key);
	return judgement;
}

static void set_in4(struct policy_verdict *verdict, struct in_addr address, uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&verdict->address;

	in->sin_family = AF_INET;
	in->sin_addr = address;
	in->sin_port = htons(port);
	verdict->address_len = sizeof(*in);
}

static void set_in6(struct policy_verdict *verdict, const struct in6_addr *address,
		    uint16_t port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&verdict->address;

	in6->sin6_family = AF_INET6;
	in6->sin6_addr = *address;
	in6->sin6_port = htons(port);
	verdict->address_len = sizeof(*in6);
}

static void set_unix(struct policy_verdict *verdict, const char *path)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&verdict->address;
	size_t len = strlen(path);

	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, len + 1);
	verdict->address_len =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	if (path[0] != '@')
		return;
	un->sun_path[0] = '\0';
	verdict->address_len--;
}

static void set_endpoint4(struct policy_verdict *verdict,
			  const struct policy_query *query, struct in_addr address,
			  uint16_t port)
{
	struct in6_addr mapped = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

	if (query->family == AF_INET) {
		set_in4(verdict, address, port);
		return;
	}
	memcpy(&mapped.s6_addr[12], &address, sizeof(address));
	set_in6(verdict, &mapped, port);
}

static void set_asked(struct policy_verdict *verdict, const struct policy_query *query)
{
	verdict->address = query->address;
	if (query->address.ss_family == AF_INET)
		verdict->address_len = sizeof(struct sockaddr_in);
	else if (query->address.ss_family == AF_INET6)
		verdict->address_len = sizeof(struct sockaddr_in6);
	else if (query->address.ss_family == AF_UNIX)
		verdict->address_len = query->address_len;
}

static void set_endpoint(struct policy_verdict *verdict, const struct policy_query *query,
			 const struct outcome *outcome)
{
	bool to_loopback = query->op == POLICY_CONNECT && outcome->wildcard &&
			   outcome->target == POLICY_ENDPOINT;
	const struct in_addr loopback4 = { htonl(INADDR_LOOPBACK) };

	memset(&verdict->address, 0, sizeof(verdict->address));
	switch ((enum endpoint_kind)outcome->kind) {
	case ENDPOINT_IPV4:
		set_endpoint4(verdict, query, to_loopback ? loopback4 : outcome->v4,
			      outcome->port);
		return;
	case ENDPOINT_IPV6:
		if (query->family == AF_INET)
			set_in4(verdict, loopback4, outcome->port);
		else
			set_in6(verdict, to_loopback ? &in6addr_loopback : &outcome->v6,
				outcome->port);
		return;
	case ENDPOINT_UNIX:
		set_unix(verdict, outcome->path);
		return;
	case ENDPOINT_ANY: /* in no policy */
		return;
	case ENDPOINT_NAMED:
		set_asked(verdict, query);
		return;
	}
}

static void set_outcome_endpoint(struct outcome *outcome, const struct endpoint *endpoint)
{
	outcome->endpoint = endpoint;
	outcome->kind = (uint8_t)endpoint->kind;
	outcome->wildcard = endpoint_is_wildcard(endpoint);
	outcome->port = endpoint->port;
	if (endpoint->kind == ENDPOINT_IPV4)
		outcome->v4 = endpoint->v4;
	else if (endpoint->kind == ENDPOINT_IPV6)
		outcome->v6 = endpoint->v6;
	else
		outcome->path = endpoint->path;
}

static void set_outcome(struct outcome *outcome, const struct rule *rule)
{
	outcome->target = (uint8_t)rule->target;
	outcome->group = (uint8_t)rule_group(rule);
	outcome->deny_errno = (int16_t)rule->deny_errno;
	if (rule->endpoint)
		set_outcome_endpoint(outcome, rule->endpoint);
}

struct outcome *outcomes_new(const struct policy *policy)
{
	struct outcome *outcomes = calloc(policy->n_rules + 1, sizeof(*outcomes));

	for (size_t i = 0; outcomes && i < policy->n_rules; i++)
		set_outcome(&outcomes[i], &policy->rules[i].rule);
	return outcomes;
}

void policy_resolve(const struct policy *policy, const struct policy_query *query,
		    policy_is_bound *is_bound, void *context,
		    struct policy_verdict *ret_verdict)
{
	struct policy_verdict *verdict = ret_verdict;
	struct judgement judgement;
	const struct outcome *outcome;

	assert(policy->sealed);
	judgement = query->address.ss_family == AF_UNIX
			    ? judge_path(policy, query)
			    : judge(policy, query, is_bound, context);
	verdict->target = POLICY_OWN;
	verdict->reason = judgement.reason;
	verdict->rule = NULL;
	verdict->endpoint = NULL;
	verdict->deny_errno = 0;
	verdict->address_len = 0;
	if (judgement.rule == POLICY_NONE) {
		if (judgement.passed != POLICY_NONE)
			verdict->rule = &policy->rules[judgement.passed].rule;
		set_asked(verdict, query);
		return;
	}
	outcome = &policy->outcomes[judgement.rule];
	verdict->target = (enum policy_target)outcome->target;
	verdict->reason = POLICY_R_RULE;
	verdict->rule = &policy->rules[judgement.rule].rule;
	verdict->endpoint = outcome->endpoint;
	verdict->deny_errno = outcome->deny_errno;
	if (outcome->endpoint)
		set_endpoint(verdict, query, outcome);
	else
		set_asked(verdict, query);
}

void policy_endpoint_verdict(const struct endpoint *endpoint, enum policy_op op,
			     int family, struct policy_verdict *ret_verdict)
{
	const struct policy_query query = { .op = op, .family = family };
	struct outcome outcome = { .target = POLICY_ENDPOINT };

	set_outcome_endpoint(&outcome, endpoint);
	*ret_verdict = (struct policy_verdict){
		.target = POLICY_ENDPOINT,
		.reason = POLICY_R_RULE,
		.endpoint = endpoint,
	};
	set_endpoint(ret_verdict, &query, &outcome);
}
