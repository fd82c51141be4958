/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The judge of the cgroup engine in the kernel, against policy_resolve(): a million calls
 * at random, on random policies, with random endpoints bound; and as many of UNIX paths.
 *
 * GRAFT_SEED and GRAFT_ROUNDS change the random part. Needs root.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <unistd.h>

#include "tests/unit/policy_random.h"

#include "judge.skel.h"
#include "tests/unit/cgroup_judge.h"

#define N_CALLS 1024
#define SKIPPED 77

static struct judge_bpf *skeleton;

static bool ask_bound(void *context, const struct endpoint *endpoint)
{
	(void)context;
	return skeleton->bss->is_bound[endpoint->index];
}

/* The image becomes the one that is judged by. */
static void load_image(const struct policy *policy)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
	_cleanup_free_ struct image_cell *cells = NULL;
	_cleanup_free_ uint32_t *keys = NULL;
	uint32_t zero = 0, count;
	size_t n;
	int map;

	assert_int_equal(image_new(policy, &cells, &n), 0);
	keys = malloc(n * sizeof(*keys));
	assert_non_null(keys);
	for (size_t i = 0; i < n; i++)
		keys[i] = (uint32_t)i;
	count = (uint32_t)n;
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "image", 4, sizeof(*cells), count,
			     &options);
	assert_true(map >= 0);
	assert_int_equal(bpf_map_update_batch(map, keys, cells, &count, NULL), 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skeleton->maps.images), &zero,
					     &map, BPF_ANY),
			 0);
	close(map);
}

/* Runs @program on the @calls in @map. */
static void judge_all(const struct bpf_program *program, const struct bpf_map *map,
		      const void *calls, uint32_t *rules)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .repeat = 1);
	static uint32_t keys[N_CALLS];
	unsigned char packet[64] = { 0 };
	uint32_t count = N_CALLS, batch;

	for (uint32_t i = 0; i < N_CALLS; i++)
		keys[i] = i;
	assert_int_equal(bpf_map_update_batch(bpf_map__fd(map), keys, calls, &count,
					      NULL),
			 0);
	options.data_in = packet;
	options.data_size_in = sizeof(packet);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0);
	count = N_CALLS;
	if (bpf_map_lookup_batch(bpf_map__fd(skeleton->maps.rules), NULL, &batch, keys,
				 rules, &count, NULL) < 0)
		assert_int_equal(errno, ENOENT); /* that was all */
	assert_int_equal(count, N_CALLS);
}

static void random_calls(struct random *random, const struct policy *policy,
			 struct policy_query *queries)
{
	for (int i = 0; i < N_CALLS; i++)
		do
			random_aimed_query(random, policy, &queries[i]);
		while (queries[i].address.ss_family != AF_INET &&
		       queries[i].address.ss_family != AF_INET6);
}

/* Return: how many of them a rule decided. */
static unsigned long compare(const struct policy *policy,
			     const struct policy_query *queries, const uint32_t *rules)
{
	unsigned long n_decided = 0;

	for (int i = 0; i < N_CALLS; i++) {
		struct policy_verdict verdict;
		bool is_decided;

		policy_resolve(policy, &queries[i], ask_bound, NULL, &verdict);
		is_decided = verdict.reason == POLICY_R_RULE;
		assert_int_equal(rules[i], is_decided ? verdict.rule->index : IMAGE_NONE);
		n_decided += is_decided;
	}
	return n_decided;
}

static unsigned long judge_the_paths(struct random *random, const struct policy *policy)
{
	static struct policy_query queries[N_CALLS];
	static struct judge_path paths[N_CALLS];
	static uint32_t rules[N_CALLS];
	uint32_t n = (uint32_t)policy_n_rules(policy);

	for (int i = 0; i < N_CALLS; i++) {
		const struct rule *rule =
			n ? policy_rule(policy, random_below(random, n)) : NULL;

		random_path_query(random, rule && rule->family == AF_UNIX ? rule : NULL,
				  &queries[i]);
		queries[i].op = POLICY_CONNECT;
		paths[i] = judge_path_of(&queries[i]);
	}
	judge_all(skeleton->progs.judge_paths, skeleton->maps.paths, paths, rules);
	return compare(policy, queries, rules);
}

static unsigned long one_policy(struct random *random, unsigned int n_rules,
				unsigned long *n_paths)
{
	static struct policy_query queries[N_CALLS];
	static struct judge_call calls[N_CALLS];
	static uint32_t rules[N_CALLS];
	_cleanup_free_ char *text = random_policy_text(random, n_rules);
	struct policy *policy = policy_new();
	unsigned long n_decided;

	policy_allow_paths(policy);
	assert_int_equal(policy_add_text(policy, "r", text, strlen(text), NULL), 0);
	assert_int_equal(policy_seal(policy, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(skeleton->bss->is_bound); i++)
		skeleton->bss->is_bound[i] = random_below(random, 3) == 0;
	load_image(policy);
	random_calls(random, policy, queries);
	for (int i = 0; i < N_CALLS; i++)
		calls[i] = judge_call_of(&queries[i]);
	judge_all(skeleton->progs.judge_all, skeleton->maps.calls, calls, rules);
	n_decided = compare(policy, queries, rules);
	*n_paths += judge_the_paths(random, policy);
	policy_free(policy);
	return n_decided;
}

static void kernel_judges_alike(void **state)
{
	const char *seed = getenv("GRAFT_SEED"), *rounds = getenv("GRAFT_ROUNDS");
	struct random random = { seed ? strtoull(seed, NULL, 0) | 1 : 0xbf };
	unsigned long n = rounds ? strtoul(rounds, NULL, 0) : 1000, n_decided = 0,
		      n_paths = 0;

	(void)state;
	for (unsigned long i = 0; i < n; i++)
		n_decided += one_policy(&random, random_below(&random, 120), &n_paths);
	print_message("# %lu calls, %lu decided by a rule; as many of paths, %lu\n",
		      n * N_CALLS, n_decided, n_paths);
	assert_true(n_decided > n * N_CALLS / 4);
	assert_true(n_paths > n * N_CALLS / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_judges_alike),
	};
	int failed;

	if (geteuid() != 0) {
		puts("1..0 # SKIP needs root");
		return SKIPPED;
	}
	skeleton = judge_bpf__open_and_load();
	if (!skeleton) {
		printf("1..0 # SKIP cannot load BPF programs: %s\n", strerror(errno));
		return SKIPPED;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	judge_bpf__destroy(skeleton);
	return failed;
}
