/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "policy/module_name.h"

static const char text[] = "endpoint web ipv4 127.0.0.1:80\n"
			   "endpoint exactly-sixteen. ipv4 127.0.0.1:81\n"
			   "endpoint one-too-many-here ipv4 127.0.0.1:82 netns box\n"
			   "endpoint run-2 ipv4 127.0.0.1:83\n"
			   "bind tcp 0.0.0.0:80 = of-the-registry\n";

static struct policy *read_policy(const char *lines)
{
	struct policy *policy = policy_new();

	assert_non_null(policy);
	policy_allow_named(policy);
	assert_int_equal(policy_add_text(policy, "test", lines, strlen(lines), NULL), 0);
	assert_int_equal(policy_seal(policy, NULL), 0);
	return policy;
}

static void is_called(const struct policy *policy, const char *endpoint, const char *name,
		      const char *namespace)
{
	char got[MODULE_NAME_SIZE];

	module_name(policy_find_endpoint(policy, endpoint), got);
	assert_string_equal(got, name);
	module_namespace_name(policy_find_endpoint(policy, endpoint), got);
	assert_string_equal(got, namespace);
}

/* Nothing that a policy says can be taken for a name of ours. */
static void test_names(void **state)
{
	struct policy *policy = read_policy(text);

	is_called(policy, "web", "web", "run-host");
	is_called(policy, "exactly-sixteen.", "exactly-sixteen.", "run-host");
	is_called(policy, "one-too-many-here", "run-2", "run-ns-2");
	is_called(policy, "run-2", "run-3", "run-host");
	policy_free(policy);
}

/* The run and the library must agree, and the library reads what the run prints. */
static void test_printed(void **state)
{
	struct policy *policy = read_policy(text), *again;
	_cleanup_free_ char *printed = policy_print(policy);

	assert_non_null(printed);
	again = read_policy(printed);
	for (size_t i = 0; i < policy_n_endpoints(policy); i++) {
		const struct endpoint *endpoint = policy_endpoint(policy, i);
		char name[MODULE_NAME_SIZE], namespace[MODULE_NAME_SIZE];

		if (endpoint->kind == ENDPOINT_NAMED)
			continue;
		module_name(endpoint, name);
		module_namespace_name(endpoint, namespace);
		is_called(again, endpoint->name, name, namespace);
	}
	policy_free(policy);
	policy_free(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
