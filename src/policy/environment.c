/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The notations that stand in variables of the environment: pairs with blanks between
 * them. How long a variable is, and how many pairs it has, does not matter.
 */
#include <errno.h>
#include <string.h>

#include "policy/internal.h"

/* What a program connects to to reach what it bound at a wildcard address. */
static void wildcard_to_loopback(struct rule *rule)
{
	const struct in_addr loopback4 = { htonl(INADDR_LOOPBACK) };

	if (!is_any_address(rule->family, &rule->address))
		return;
	if (rule->family == AF_INET)
		memcpy(&rule->address, &loopback4, sizeof(loopback4));
	else
		rule->address = in6addr_loopback;
}

static int add_conv_pair(struct policy *policy, const char *variable,
			 const struct word *word, struct policy_error *error)
{
	static const enum policy_op ops[] = { POLICY_BIND, POLICY_CONNECT };
	struct policy_origin at;
	int r = keep_origin(policy, variable, word, &at);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(ops); i++) {
		struct rule_slot slot = { .rule.op = ops[i] };

		r = parse_pair(word, &at, &slot, error);
		if (r == 0 && ops[i] == POLICY_CONNECT)
			wildcard_to_loopback(&slot.rule);
		if (r == 0)
			r = add_slot(policy, &slot, error);
	}
	return r;
}

static const struct rule *find_last(const struct policy *policy)
{
	for (size_t i = 0; i < policy->n_rules; i++)
		if (policy->rules[i].rank == RANK_LAST)
			return &policy->rules[i].rule;
	return NULL;
}

/* A rule for each family; sealing leaves out the one that the endpoint is not for. */
static int add_bbconn(struct policy *policy, const char *variable,
		      const struct word *word, struct policy_error *error)
{
	static const int families[] = { AF_INET, AF_INET6 };
	const struct rule *first = find_last(policy);
	struct policy_origin at;
	char where[160];
	int r = keep_origin(policy, variable, word, &at);

	if (r == 0 && first) {
		policy_print_origin(&first->origin, where, sizeof(where));
		return policy_fail(error, &at, "one endpoint is enough, and there is %s",
				   where);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(families); i++) {
		struct rule_slot slot = {
			.rule = { .op = POLICY_CONNECT,
				  .proto = POLICY_ANY,
				  .family = families[i],
				  .port_high = 65535,
				  .origin = at },
			.rank = RANK_LAST,
		};

		r = parse_target(&slot, word, false, &at, error);
		if (r == 0 && slot.rule.target == POLICY_ENDPOINT)
			slot.rule.target = POLICY_FROM;
		if (r == 0)
			r = add_slot(policy, &slot, error);
	}
	return r;
}

static const struct {
	const char *name;
	int (*add)(struct policy *, const char *, const struct word *,
		   struct policy_error *);
} variables[] = {
	[POLICY_CONV_PAIRS] = { "GRAFT_CONV_PAIRS", add_conv_pair },
	[POLICY_INGRESS_CONVERT] = { "GRAFT_INGRESS_CONVERT", add_ingress },
	[POLICY_EGRESS_CONVERT] = { "GRAFT_EGRESS_CONVERT", add_egress },
	[POLICY_BBCONN] = { "GRAFT_BBCONN", add_bbconn },
};

_Static_assert(ARRAY_SIZE(variables) == POLICY_N_VARIABLES, "a variable is missing");

const char *policy_variable_name(enum policy_variable variable)
{
	return variables[variable].name;
}

/* Adds all of one pair or nothing. */
static int add_pair(struct policy *policy, enum policy_variable variable,
		    const struct word *word, struct policy_error *error)
{
	struct policy_mark mark = policy_mark(policy);
	int r = variables[variable].add(policy, variables[variable].name, word, error);

	if (r < 0)
		policy_rollback(policy, &mark);
	return r;
}

static int add_pairs(struct policy *policy, enum policy_variable variable,
		     const char *text, struct reporter *reporter,
		     struct policy_error *error)
{
	static const char blanks[] = " \t\r\n";
	int r = 0;

	for (text += strspn(text, blanks); r == 0 && *text;
	     text += strspn(text, blanks)) {
		struct word word = { text, strcspn(text, blanks), 0 };

		r = report(reporter, add_pair(policy, variable, &word, error), error);
		text += word.len;
	}
	return r;
}

int policy_add_variable(struct policy *policy, enum policy_variable variable,
			const char *text, struct policy_error *error)
{
	struct policy_mark mark = policy_mark(policy);
	int r = add_pairs(policy, variable, text, NULL, error);

	if (r < 0)
		policy_rollback(policy, &mark);
	return no_memory(r, error);
}

int policy_check_variable(struct policy *policy, enum policy_variable variable,
			  const char *text, policy_on_error *on_error, void *context)
{
	struct reporter reporter = { on_error, context, 0, false };
	struct policy_error error = { "" };
	int r = add_pairs(policy, variable, text, &reporter, &error);

	return r < 0 ? r : reporter.n_errors;
}

int policy_add_conv_pairs(struct policy *policy, const char *text,
			  struct policy_error *error)
{
	return policy_add_variable(policy, POLICY_CONV_PAIRS, text, error);
}

int policy_add_ingress_convert(struct policy *policy, const char *text,
			       struct policy_error *error)
{
	return policy_add_variable(policy, POLICY_INGRESS_CONVERT, text, error);
}

int policy_add_egress_convert(struct policy *policy, const char *text,
			      struct policy_error *error)
{
	return policy_add_variable(policy, POLICY_EGRESS_CONVERT, text, error);
}

int policy_add_bbconn(struct policy *policy, const char *text, struct policy_error *error)
{
	return policy_add_variable(policy, POLICY_BBCONN, text, error);
}
