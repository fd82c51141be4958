/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the cgroup engine's judge makes of an image is what policy_resolve() makes of the
 * policy: random policies, random calls.
 *
 * GRAFT_SEED and GRAFT_ROUNDS change the random part.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on

#include "policy_random.h"

#include "cgroup_judge.h"

#define N_QUERIES 250

struct bound {
	bool is[64];
};

static bool ask_bound(void *context, const struct endpoint *endpoint)
{
	const struct bound *bound = context;

	return bound->is[endpoint->index];
}

/* The path that the outcome leads to is the verdict's. */
static void compare_led(const struct judged *judged, const struct image_cell *outcome,
			const struct policy_verdict *verdict)
{
	const struct policy_query query = { .address = verdict->address,
					    .address_len = verdict->address_len };
	struct judge_path path = judge_path_of(&query);

	assert_in_range(outcome[1].word[0], IMAGE_HEAD, judged->n - IMAGE_PATH);
	assert_memory_equal(&path, &judged->cells[outcome[1].word[0]], sizeof(path));
}

static void compare(const struct policy *policy, const struct judged *judged,
		    const struct policy_query *query, struct bound *bound)
{
	struct judge_call call = judge_call_of(query);
	struct judge_path path = judge_path_of(query);
	struct policy_verdict verdict;
	const struct image_cell *outcome;
	image_u32 rule;

	policy_resolve(policy, query, ask_bound, bound, &verdict);
	rule = query->family == AF_UNIX ? judge_path(judged, &path)
					: judge(judged, &call);
	if (verdict.reason != POLICY_R_RULE) {
		assert_int_equal(rule, IMAGE_NONE);
		return;
	}
	assert_int_equal(rule, verdict.rule->index);
	outcome = judge_outcome(judged, rule);
	assert_int_equal(IMAGE_TARGET(outcome->word[0]), verdict.target);
	if (verdict.target == POLICY_DENY)
		assert_int_equal(outcome->word[1] >> 16, verdict.deny_errno);
	assert_int_equal(!!(outcome->word[0] & IMAGE_IS_UNIX), query->family == AF_UNIX);
	if (!verdict.endpoint)
		return;
	if (query->family == AF_UNIX)
		compare_led(judged, outcome, &verdict);
	assert_int_equal(outcome->word[2], verdict.endpoint->index);
	assert_int_equal(IMAGE_KIND(outcome->word[0]), verdict.endpoint->kind);
	assert_int_equal(outcome->word[1] & 0xffff, verdict.endpoint->port);
}

static void one_policy(struct random *random, unsigned int n_rules)
{
	_cleanup_free_ char *text = random_policy_text(random, n_rules);
	_cleanup_free_ struct image_cell *cells = NULL;
	struct policy *policy = policy_new();
	struct policy_error error;
	struct bound bound;
	struct judged judged = { .is_bound = bound.is };

	policy_allow_paths(policy);
	assert_int_equal(policy_add_text(policy, "r", text, strlen(text), &error), 0);
	assert_int_equal(policy_seal(policy, &error), 0);
	assert_true(policy_n_endpoints(policy) <= ARRAY_SIZE(bound.is));
	for (size_t i = 0; i < ARRAY_SIZE(bound.is); i++)
		bound.is[i] = random_below(random, 3) == 0;
	assert_int_equal(image_new(policy, &cells, &judged.n), 0);
	judged.cells = cells;
	for (int i = 0; i < N_QUERIES; i++) {
		struct policy_query query;

		random_aimed_query(random, policy, &query);
		if (query.family == AF_UNIX && query.op == POLICY_BIND)
			continue; /* there is no such hook */
		if (query.address.ss_family == AF_INET ||
		    query.address.ss_family == AF_INET6 || query.family == AF_UNIX)
			compare(policy, &judged, &query, &bound);
	}
	policy_free(policy);
}

static void image_is_judged_alike(void **state)
{
	const char *seed = getenv("GRAFT_SEED"), *rounds = getenv("GRAFT_ROUNDS");
	struct random random = { seed ? strtoull(seed, NULL, 0) | 1 : 0x1336e };
	unsigned long n = rounds ? strtoul(rounds, NULL, 0) : 4000;

	(void)state;
	for (unsigned long i = 0; i < n; i++)
		one_policy(&random, random_below(&random, 60));
}

static unsigned int flags_of(const char *text)
{
	_cleanup_free_ struct image_cell *cells = NULL;
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	size_t n;

	policy_allow_paths(policy);
	assert_int_equal(policy_add_text(policy, "f", text, strlen(text), NULL), 0);
	assert_int_equal(policy_seal(policy, NULL), 0);
	assert_int_equal(image_new(policy, &cells, &n), 0);
	return cells[1].word[0];
}

static void flags_are_those_of_the_policy(void **state)
{
	(void)state;
	assert_int_equal(flags_of(""), 0);
	assert_int_equal(flags_of("shortcut off"), 0);
	assert_int_equal(flags_of("shortcut on"), IMAGE_SHORTCUT);
	assert_int_equal(flags_of("loopback host"), 0);
	assert_int_equal(flags_of("loopback own"), IMAGE_LOOPBACK);
	assert_int_equal(flags_of("connect any 10.0.0.0/8 = deny\nshortcut on"),
			 IMAGE_SHORTCUT | IMAGE_DENIES);
	/* Raw sockets and the like are not what such a rule is about. */
	assert_int_equal(flags_of("connect unix /x* = deny"), IMAGE_UNIXES);
}

/* Whatever the cells hold, nothing outside of them is read and it comes to an end. */
static void damaged_image_is_survived(void **state)
{
	struct random random = { 0xbad };

	(void)state;
	for (int i = 0; i < 300; i++) {
		_cleanup_free_ char *text = random_policy_text(&random, 20);
		_cleanup_free_ struct image_cell *cells = NULL;
		struct policy *policy = policy_new();
		struct judged judged = { 0 };

		policy_allow_paths(policy);
		assert_int_equal(policy_add_text(policy, "r", text, strlen(text), NULL),
				 0);
		assert_int_equal(policy_seal(policy, NULL), 0);
		assert_int_equal(image_new(policy, &cells, &judged.n), 0);
		judged.cells = cells;
		for (int k = 0; k < 20; k++)
			cells[random_below(&random, (uint32_t)judged.n)]
				.word[random_below(&random, 4)] = random_next(&random);
		for (int k = 0; k < 50; k++) {
			struct policy_query query;
			struct judge_call call;
			struct judge_path path;

			random_query(&random, &query);
			call = judge_call_of(&query);
			judge(&judged, &call);
			random_path_query(&random, NULL, &query);
			path = judge_path_of(&query);
			judge_path(&judged, &path);
		}
		policy_free(policy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image_is_judged_alike),
		cmocka_unit_test(flags_are_those_of_the_policy),
		cmocka_unit_test(damaged_image_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
