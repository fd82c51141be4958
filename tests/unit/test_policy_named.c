/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Endpoints that a policy names and does not define: the registry's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/policy.h"

static struct policy *policy_of(const char *text)
{
	struct policy *policy = policy_new();
	struct policy_error error = { "" };

	policy_allow_named(policy);
	if (policy_add_text(policy, "p", text, strlen(text), &error) < 0 ||
	    policy_seal(policy, &error) < 0)
		fail_msg("%s", error.text);
	return policy;
}

static struct policy_query query_of(enum policy_op op, enum policy_proto proto,
				    const char *ip, uint16_t port)
{
	struct policy_query query = { .op = op, .proto = proto };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&query.address;
	struct sockaddr_in *in = (struct sockaddr_in *)&query.address;

	query.family = strchr(ip, ':') ? AF_INET6 : AF_INET;
	query.address.ss_family = (sa_family_t)query.family;
	in->sin_port = htons(port); /* where sin6_port is too */
	inet_pton(query.family, ip,
		  query.family == AF_INET ? (void *)&in->sin_addr
					  : (void *)&in6->sin6_addr);
	return query;
}

static void assert_verdict(const struct policy *policy, const struct policy_query *query,
			   enum policy_target target, const char *name,
			   const char *explained)
{
	struct policy_verdict verdict;
	char text[512];

	policy_resolve(policy, query, NULL, NULL, &verdict);
	assert_int_equal(verdict.target, target);
	if (name) {
		assert_string_equal(verdict.endpoint->name, name);
		assert_int_equal(verdict.endpoint->kind, ENDPOINT_NAMED);
	}
	/* The address asked for. */
	assert_int_equal(verdict.address_len, query->family == AF_INET
						      ? sizeof(struct sockaddr_in)
						      : sizeof(struct sockaddr_in6));
	assert_memory_equal(&verdict.address, &query->address, verdict.address_len);
	policy_explain(query, &verdict, text, sizeof(text));
	assert_string_equal(text, explained);
}

static void test_verdicts(void **state)
{
	_cleanup_(policy_freep) struct policy *policy =
		policy_of("bind any 0.0.0.0:80 = web\n"
			  "bind tcp [2001:db8::1]:80 = web\n"
			  "connect any 10.0.0.0/8 = from out\n"
			  "connect tcp 0.0.0.0/0 = all\n");
	struct policy_query query = query_of(POLICY_BIND, POLICY_TCP, "0.0.0.0", 80);

	assert_int_equal(policy_n_endpoints(policy), 3);
	assert_verdict(policy, &query, POLICY_ENDPOINT, "web",
		       "rule p:1 'bind any 0.0.0.0:80 = web' matches; endpoint 'web' is "
		       "looked up in graftd's registry when the call is made");
	query.proto = POLICY_OTHER; /* the registry says what it can serve */
	assert_verdict(policy, &query, POLICY_ENDPOINT, "web",
		       "rule p:1 'bind any 0.0.0.0:80 = web' matches; endpoint 'web' is "
		       "looked up in graftd's registry when the call is made");
	query = query_of(POLICY_BIND, POLICY_TCP, "2001:db8::1", 80);
	query.v6only = true;
	assert_verdict(
		policy, &query, POLICY_ENDPOINT, "web",
		"rule p:2 'bind tcp [2001:db8::1]:80 = web' matches; endpoint 'web' "
		"is looked up in graftd's registry when the call is made");
	query = query_of(POLICY_CONNECT, POLICY_UDP, "10.1.2.3", 53);
	assert_verdict(policy, &query, POLICY_FROM, "out",
		       "rule p:3 'connect any 10.0.0.0/8 = from out' matches; endpoint "
		       "'out' is looked up in graftd's registry when the call is made, to "
		       "be the source of a connection to 10.1.2.3:53");
	/* The loopback guard holds for them too. */
	query = query_of(POLICY_CONNECT, POLICY_TCP, "127.0.0.1", 53);
	assert_verdict(
		policy, &query, POLICY_OWN, NULL,
		"rule p:4 'connect tcp 0.0.0.0/0 = all' is passed over: it does not "
		"name loopback, and only a rule that does opens the host's; no "
		"other rule matches; the socket stays in the program's own stack");
}

static void test_defined_ones_come_first(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = policy_of(
		"bind any 0.0.0.0:80 = web\nendpoint web ipv4 127.0.0.1:8080\n");

	assert_int_equal(policy_n_endpoints(policy), 1);
	assert_int_equal(policy_find_endpoint(policy, "web")->kind, ENDPOINT_IPV4);
}

static void test_print(void **state)
{
	static const char text[] = "endpoint a unix /a\n"
				   "# endpoint web is in graftd's registry\n"
				   "bind any 0.0.0.0:80 = web\n"
				   "bind any 0.0.0.0:81 = web\n"
				   "connect tcp 1.2.3.4 = a\n";
	_cleanup_(policy_freep) struct policy *policy = policy_of(text);
	_cleanup_free_ char *printed = policy_print(policy);
	char graft[64];

	assert_string_equal(printed, text);
	assert_int_equal(policy_find_endpoint(policy, "web")->origin.line, 3);
	assert_int_equal(policy_find_endpoint(policy, "web")->origin.column, 23);
	endpoint_print_graft(policy_find_endpoint(policy, "web"), graft, sizeof(graft));
	assert_string_equal(graft, "web type unknown ");
}

static void test_reach(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = policy_of(
		"bind udp 0.0.0.0:80 = web\nconnect tcp 0.0.0.0/0 = from out\n");
	struct policy_reach reach;

	policy_get_reach(policy, &reach);
	assert_int_equal(reach.bind_leaves, POLICY_UDP);
	assert_int_equal(reach.connect_leaves, POLICY_TCP);
	assert_int_equal(reach.connect_roams, POLICY_TCP);
	assert_int_equal(reach.default_host_v4, POLICY_TCP);
	assert_int_equal(reach.default_host_v6, 0);
	assert_true(reach.has_unix);
	assert_true(reach.has_netns);
}

/* Only for those who allow it; and a seal that fails takes its endpoints back. */
static void test_not_unasked(void **state)
{
	static const char text[] = "bind any 0.0.0.0:80 = web\n"
				   "connect tcp 1.2.3.4 = from a\nendpoint a unix /a\n";
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	struct policy_error error;

	assert_int_equal(policy_add_text(policy, "p", text, strlen(text), &error), 0);
	assert_int_equal(policy_seal(policy, &error), -EINVAL);
	assert_string_equal(error.text, "p:1:23: endpoint 'web' is not defined");
	policy_allow_named(policy);
	assert_int_equal(policy_seal(policy, &error), -EINVAL);
	assert_string_equal(error.text,
			    "p:2:28: 'from a': a unix endpoint is no source address");
	assert_int_equal(policy_n_endpoints(policy), 1);
	assert_null(policy_find_endpoint(policy, "web"));
	assert_null(policy_rule(policy, 0)->endpoint);
	assert_int_equal(policy_add_text(policy, "q", "endpoint web unix /w", 20, &error),
			 0);
}

struct heard {
	char text[4][256];
	int n;
};

static void hear(void *context, const struct policy_error *error)
{
	struct heard *heard = context;

	assert_in_range(heard->n, 0, 3);
	strcpy(heard->text[heard->n++], error->text);
}

static void test_seal_rest(void **state)
{
	static const char text[] = "endpoint six ipv6 [::1]:1\n"
				   "bind any 0.0.0.0:80 = six\n"
				   "bind any 0.0.0.0:81 = six2\n"
				   "bind any 0.0.0.0:82 = host\n";
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	_cleanup_free_ char *printed = NULL;
	struct heard heard = { .n = 0 };

	assert_int_equal(policy_add_text(policy, "p", text, strlen(text), NULL), 0);
	assert_int_equal(policy_add_egress(policy, "0.0.0.0/0=six", NULL), 0);
	assert_int_equal(policy_add_egress(policy, "10.0.0.0/8=host", NULL), 0);
	assert_int_equal(policy_seal_rest(policy, hear, &heard), 3);
	assert_string_equal(heard.text[0], "p:2:23: endpoint 'six' is ipv6; an IPv4 "
					   "socket cannot be bound to it");
	assert_string_equal(heard.text[1],
			    "p:3:23: endpoint 'six2' is not defined; did you mean "
			    "'six'?");
	assert_string_equal(heard.text[2], "-e 0.0.0.0/0=six: 'from six': the source is "
					   "IPv6 and the destination IPv4");
	printed = policy_print(policy);
	assert_string_equal(printed, "endpoint six ipv6 [::1]:1\n"
				     "bind any 0.0.0.0:82 = host\n"
				     "connect any 10.0.0.0/8 = host\n");
	/* It is sealed. */
	heard.n = 0;
	assert_int_equal(policy_seal_rest(policy, hear, &heard), 1);
	assert_string_equal(heard.text[0], "the policy is sealed already");
	assert_int_equal(policy_add_egress(policy, "11.0.0.0/8=host", NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_defined_ones_come_first),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_reach),
		cmocka_unit_test(test_not_unasked),
		cmocka_unit_test(test_seal_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
