/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a policy's youth: names become endpoints, rules get their final order, the
 * index is built. A seal that fails leaves no rule with an endpoint.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

/* Looking for a similar name reads every name; after so many errors it stops. */
#define SUGGESTIONS_MAX 20

/* Edits needed to turn @a into @b, at most @max + 1. */
static unsigned int distance(const char *a, const char *b, unsigned int max)
{
	unsigned int row[POLICY_NAME_MAX + 2];
	size_t n_a = strlen(a), n_b = strlen(b);

	if (n_a > n_b + max || n_b > n_a + max)
		return max + 1;
	for (size_t j = 0; j <= n_b; j++)
		row[j] = (unsigned int)j;
	for (size_t i = 1; i <= n_a; i++) {
		unsigned int diagonal = row[0];

		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= n_b; j++) {
			unsigned int best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n_b];
}

static const char *similar_name(const struct policy *policy, const char *name)
{
	unsigned int best = strlen(name) < 3 ? 1 : 2;
	const char *found = NULL;

	/* Swapped letters count as two edits. */
	for (size_t i = 0; i < policy->n_endpoints && best; i++) {
		unsigned int d = distance(policy->endpoints[i].name, name, best);

		if (d < best || (d == best && !found)) {
			best = d;
			found = policy->endpoints[i].name;
		}
	}
	return found;
}

/* Of two "last" rules, one for each family, the one that its endpoint is not for. */
static bool is_other_family(const struct rule_slot *slot)
{
	enum endpoint_kind kind = slot->rule.endpoint->kind;

	return slot->rank == RANK_LAST &&
	       kind == (slot->rule.family == AF_INET ? ENDPOINT_IPV6 : ENDPOINT_IPV4);
}

static int resolve_name(const struct policy *policy, struct rule_slot *slot, bool suggest,
			struct policy_error *error)
{
	struct rule *rule = &slot->rule;
	struct policy_origin here = target_origin(slot);
	const char *similar;

	if (rule->family == AF_UNIX && !policy->allows_paths)
		return policy_fail(error, &rule->origin,
				   "UNIX paths are judged by the cgroup engine alone: "
				   "--engine cgroup or graft attach, Linux 6.7 or later");
	if (!rule->endpoint_name)
		return 0;
	rule->endpoint = policy_find_endpoint(policy, rule->endpoint_name);
	if (rule->endpoint) {
		slot->dropped = is_other_family(slot);
		return slot->dropped ? 0 : check_rule(slot, error);
	}
	if (!error)
		return -EINVAL;
	similar = suggest ? similar_name(policy, rule->endpoint_name) : NULL;
	if (similar)
		return policy_fail(error, &here,
				   "endpoint '%s' is not defined; did you mean '%s'?",
				   rule->endpoint_name, similar);
	return policy_fail(error, &here, "endpoint '%s' is not defined",
			   rule->endpoint_name);
}

static int resolve_names(struct policy *policy, struct reporter *reporter,
			 struct policy_error *error)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		bool suggest = !reporter || reporter->n_errors < SUGGESTIONS_MAX;
		int r = resolve_name(policy, &policy->rules[i], suggest, error);

		policy->rules[i].dropped |= r < 0;
		r = report(reporter, r, error);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Makes an endpoint of each name that has none. */
static int add_named(struct policy *policy, struct policy_error *error)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < policy->n_rules; i++) {
		const struct rule_slot *slot = &policy->rules[i];
		struct endpoint endpoint = { .kind = ENDPOINT_NAMED,
					     .origin = target_origin(slot) };
		const char *name = slot->rule.endpoint_name;

		if (!name || policy_find_endpoint(policy, name))
			continue;
		endpoint.name = strdup(name);
		r = endpoint.name ? policy_take_endpoint(policy, &endpoint, error)
				  : -ENOMEM;
		if (r < 0)
			endpoint_release(&endpoint);
	}
	return r;
}

/* As given; then the egress rules, the longest prefix first, then tcp or udp before any,
 * then as given; then the last ones. */
static int compare_slots(const void *one, const void *two)
{
	const struct rule_slot *a = one, *b = two;
	bool a_any = a->rule.proto == POLICY_ANY, b_any = b->rule.proto == POLICY_ANY;

	if (a->rank != b->rank)
		return a->rank > b->rank ? 1 : -1;
	if (a->rank == RANK_EGRESS && a->rule.prefix != b->rule.prefix)
		return a->rule.prefix > b->rule.prefix ? -1 : 1;
	if (a->rank == RANK_EGRESS && a_any != b_any)
		return a_any ? 1 : -1;
	return a->rule.index < b->rule.index ? -1 : 1;
}

static int build_index(struct policy *policy)
{
	struct policy_index *bind = NULL, *connect = NULL;
	int r;

	policy->outcomes = outcomes_new(policy);
	if (!policy->outcomes)
		return -ENOMEM;
	r = index_new(policy, POLICY_BIND, &bind);
	if (r == 0)
		r = index_new(policy, POLICY_CONNECT, &connect);
	if (r == 0)
		r = path_index_new(policy, &policy->paths);
	if (r < 0) {
		index_free(bind);
		index_free(connect);
		free(policy->outcomes);
		policy->outcomes = NULL;
		return r;
	}
	policy->index[POLICY_BIND] = bind;
	policy->index[POLICY_CONNECT] = connect;
	return 0;
}

static int seal_named(struct policy *policy, struct reporter *reporter,
		      struct policy_error *error)
{
	int r = policy->allows_named ? add_named(policy, error) : 0;

	if (r == 0)
		r = resolve_names(policy, reporter, error);
	if (r < 0)
		return r;
	if (reporter && reporter->n_errors && !reporter->drops)
		return -EINVAL;
	policy_drop_rules(policy);
	if (policy->has_ranks)
		qsort(policy->rules, policy->n_rules, sizeof(*policy->rules),
		      compare_slots);
	for (size_t i = 0; i < policy->n_rules; i++)
		policy->rules[i].rule.index = (uint32_t)i;
	return build_index(policy);
}

static int seal(struct policy *policy, struct reporter *reporter,
		struct policy_error *error)
{
	struct policy_mark mark = policy_mark(policy);
	int r;

	if (policy->sealed)
		return policy_fail(error, NULL, "the policy is sealed already");
	r = seal_named(policy, reporter, error);
	policy->sealed = r == 0;
	if (r == 0)
		return 0;
	policy_rollback(policy, &mark);
	for (size_t i = 0; i < policy->n_rules; i++) {
		policy->rules[i].rule.endpoint = NULL;
		policy->rules[i].dropped = false;
	}
	return r;
}

int policy_seal(struct policy *policy, struct policy_error *error)
{
	return no_memory(seal(policy, NULL, error), error);
}

static int seal_reporting(struct policy *policy, struct reporter *reporter)
{
	struct policy_error error = { "" };
	int r = seal(policy, reporter, &error);

	if (reporter->n_errors == 0)
		r = report(reporter, r, &error);
	return r < 0 && r != -EINVAL ? r : reporter->n_errors;
}

int policy_check_seal(struct policy *policy, policy_on_error *on_error, void *context)
{
	struct reporter reporter = { on_error, context, 0, false };

	return seal_reporting(policy, &reporter);
}

int policy_seal_rest(struct policy *policy, policy_on_error *on_error, void *context)
{
	struct reporter reporter = { on_error, context, 0, true };

	return seal_reporting(policy, &reporter);
}
