/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The notations that stand in variables of the environment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/policy.h"

/* Each variable by its value, or NULL. */
struct environment {
	const char *values[POLICY_N_VARIABLES];
};

struct heard {
	char text[8][256];
	int n;
};

static void hear(void *context, const struct policy_error *error)
{
	struct heard *heard = context;

	assert_in_range(heard->n, 0, 7);
	strcpy(heard->text[heard->n++], error->text);
}

/* What is right of @file and @environment, as a library would take it. Return: how much
 * was wrong. */
static int take(struct policy *policy, const char *file,
		const struct environment *environment, struct heard *heard)
{
	int n = policy_check_text(policy, "p", file, strlen(file), hear, heard);

	for (int i = 0; i < POLICY_N_VARIABLES; i++) {
		int r = environment->values[i]
				? policy_check_variable(policy, (enum policy_variable)i,
							environment->values[i], hear,
							heard)
				: 0;

		assert_true(r >= 0);
		n += r;
	}
	return n + policy_seal_rest(policy, hear, heard);
}

static void assert_makes(const char *file, const struct environment *environment,
			 bool named, const char *expected)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	_cleanup_free_ char *text = NULL;
	struct heard heard = { .n = 0 };

	if (named)
		policy_allow_named(policy);
	if (take(policy, file, environment, &heard))
		fail_msg("%s", heard.text[0]);
	text = policy_print(policy);
	assert_string_equal(text, expected);
}

static void test_names(void **state)
{
	assert_string_equal(policy_variable_name(POLICY_CONV_PAIRS), "GRAFT_CONV_PAIRS");
	assert_string_equal(policy_variable_name(POLICY_INGRESS_CONVERT),
			    "GRAFT_INGRESS_CONVERT");
	assert_string_equal(policy_variable_name(POLICY_EGRESS_CONVERT),
			    "GRAFT_EGRESS_CONVERT");
	assert_string_equal(policy_variable_name(POLICY_BBCONN), "GRAFT_BBCONN");
}

static void test_everything(void **state)
{
	const struct environment environment = {
		{ [POLICY_CONV_PAIRS] = "0.0.0.0:5201=ep-test",
		  [POLICY_INGRESS_CONVERT] = "0.0.0.0:0-65535=ep-in4 :::0-65535=ep-in6",
		  [POLICY_EGRESS_CONVERT] = "0.0.0.0/0=ep-out4 10.0.0.0/8=own "
					    "::/0=ep-out6",
		  [POLICY_BBCONN] = " default-source\n" }
	};

	assert_makes("connect tcp 11.0.0.0/8 = host", &environment, true,
		     "# endpoint ep-test is in graftd's registry\n"
		     "# endpoint ep-in4 is in graftd's registry\n"
		     "# endpoint ep-in6 is in graftd's registry\n"
		     "# endpoint ep-out4 is in graftd's registry\n"
		     "# endpoint ep-out6 is in graftd's registry\n"
		     "# endpoint default-source is in graftd's registry\n"
		     "connect tcp 11.0.0.0/8 = host\n"
		     "bind any 0.0.0.0:5201 = ep-test\n"
		     "connect any 127.0.0.1:5201 = ep-test\n"
		     "bind any 0.0.0.0 = ep-in4\n"
		     "bind any [::] = ep-in6\n"
		     "connect any 10.0.0.0/8 = own\n"
		     "connect any 0.0.0.0/0 = from ep-out4\n"
		     "connect any [::/0] = from ep-out6\n"
		     "connect any 0.0.0.0/0 = from default-source\n"
		     "connect any [::/0] = from default-source\n");
}

/* A defined endpoint serves its own family, whether it stands before or after. */
static void test_bbconn_family(void **state)
{
	const struct environment environment = { { [POLICY_BBCONN] = "e" } };
	const struct environment word = { { [POLICY_BBCONN] = "host" } };
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	struct policy_error error;

	assert_makes("endpoint e ipv4 10.0.0.1:dynamic", &environment, true,
		     "endpoint e ipv4 10.0.0.1:dynamic\n"
		     "connect any 0.0.0.0/0 = from e\n");
	assert_makes("endpoint e ipv6 [fd00::1]:dynamic", &environment, false,
		     "endpoint e ipv6 [fd00::1]:dynamic\n"
		     "connect any [::/0] = from e\n");
	assert_makes("", &word, false,
		     "connect any 0.0.0.0/0 = host\nconnect any [::/0] = host\n");
	assert_int_equal(policy_add_bbconn(policy, "e", &error), 0);
	assert_int_equal(policy_add_text(policy, "p", "endpoint e unix /e", 18, &error),
			 0);
	assert_int_equal(policy_seal(policy, &error), -EINVAL);
	assert_string_equal(error.text, "GRAFT_BBCONN e: 'from e': a unix endpoint is no "
					"source address");
}

static void test_bad_pairs_are_left_out(void **state)
{
	const struct environment environment = {
		{ [POLICY_CONV_PAIRS] =
			  "0.0.0.0:1=a 0.0.0.0:x=a 0.0.0.0:2=v6 y 0.0.0.0:3=b",
		  [POLICY_EGRESS_CONVERT] = "10.0.0.0/8=a 10.0.0.0/8=b 12.0.0.0/8=b",
		  [POLICY_BBCONN] = "a b" }
	};
	static const char *const expected[] = {
		"p:2:1: 'bond' begins no line; expected endpoint, bind, connect or a setting",
		"GRAFT_CONV_PAIRS 0.0.0.0:x=a: port 'x' is not a number",
		"GRAFT_CONV_PAIRS y: '=' is missing; expected ADDR:PORT=TARGET",
		"GRAFT_EGRESS_CONVERT 10.0.0.0/8=b: the same prefix and protocol are "
		"already in GRAFT_EGRESS_CONVERT 10.0.0.0/8=a",
		"GRAFT_BBCONN b: one endpoint is enough, and there is GRAFT_BBCONN a",
		"GRAFT_CONV_PAIRS 0.0.0.0:2=v6: endpoint 'v6' is ipv6; an IPv4 socket "
		"cannot be bound to it",
		"GRAFT_CONV_PAIRS 0.0.0.0:2=v6: endpoint 'v6' is ipv6; an IPv4 socket "
		"cannot reach it",
	};
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	_cleanup_free_ char *text = NULL;
	struct heard heard = { .n = 0 };

	policy_allow_named(policy);
	assert_int_equal(take(policy, "endpoint v6 ipv6 [fd00::1]:1\nbond", &environment,
			      &heard),
			 ARRAY_SIZE(expected));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_string_equal(heard.text[i], expected[i]);
	text = policy_print(policy);
	assert_string_equal(text, "endpoint v6 ipv6 [fd00::1]:1\n"
				  "# endpoint a is in graftd's registry\n"
				  "# endpoint b is in graftd's registry\n"
				  "bind any 0.0.0.0:1 = a\n"
				  "connect any 127.0.0.1:1 = a\n"
				  "bind any 0.0.0.0:3 = b\n"
				  "connect any 127.0.0.1:3 = b\n"
				  "connect any 10.0.0.0/8 = from a\n"
				  "connect any 12.0.0.0/8 = from b\n"
				  "connect any 0.0.0.0/0 = from a\n"
				  "connect any [::/0] = from a\n");
}

/* The strict ones add all or nothing. */
static void test_all_or_nothing(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	struct policy_error error;

	assert_int_equal(policy_add_ingress_convert(policy, "1.2.3.4:1=a 1.2.3.4=b",
						    &error),
			 -EINVAL);
	assert_string_equal(error.text, "GRAFT_INGRESS_CONVERT 1.2.3.4=b: '1.2.3.4' has "
					"no port; expected ADDR:PORT");
	assert_int_equal(policy_add_egress_convert(policy, "10.0.0.0/8=a ::/129=b",
						   &error),
			 -EINVAL);
	assert_string_equal(error.text, "GRAFT_EGRESS_CONVERT ::/129=b: prefix length "
					"129 is not in 0-128");
	assert_int_equal(policy_add_bbconn(policy, "a/b", &error), -EINVAL);
	assert_string_equal(error.text,
			    "GRAFT_BBCONN a/b: 'a/b' is not a target; expected NAME, "
			    "host, own, deny[:ERRNO] or from NAME");
	assert_int_equal(policy_add_bbconn(policy, "from", &error), -EINVAL);
	assert_string_equal(error.text,
			    "GRAFT_BBCONN from: 'from' needs the name of an endpoint");
	assert_int_equal(policy_n_rules(policy), 0);
	assert_int_equal(policy_add_egress_convert(policy, "10.0.0.0/8=a", &error), 0);
	assert_int_equal(policy_add_ingress_convert(policy, "", &error), 0);
	assert_int_equal(policy_add_bbconn(policy, " \t", &error), 0);
	assert_int_equal(policy_n_rules(policy), 1);
}

/* Far more than any fixed buffer holds: many pairs, and one long one. */
static void test_any_length(void **state)
{
	enum { N = 5000, LONG = 100000 };
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	_cleanup_free_ char *text = malloc(N * 32 + LONG + 64);
	struct heard heard = { .n = 0 };
	size_t n = 0;

	for (int i = 0; i < N; i++)
		n += (size_t)sprintf(text + n, "10.%d.%d.1:%d=ep-%d ", i / 256, i % 256,
				     i + 1, i % 7);
	memset(text + n, 'x', LONG);
	strcpy(text + n + LONG, "=a 10.0.0.0:9=last");
	policy_allow_named(policy);
	assert_int_equal(policy_check_variable(policy, POLICY_CONV_PAIRS, text, hear,
					       &heard),
			 1);
	assert_true(strlen(heard.text[0]) < sizeof(heard.text[0]));
	assert_memory_equal(heard.text[0], "GRAFT_CONV_PAIRS xxxx", 21);
	assert_int_equal(policy_seal(policy, NULL), 0);
	assert_int_equal(policy_n_rules(policy), 2 * (N + 1));
	assert_int_equal(policy_n_endpoints(policy), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_bbconn_family),
		cmocka_unit_test(test_bad_pairs_are_left_out),
		cmocka_unit_test(test_all_or_nothing),
		cmocka_unit_test(test_any_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
