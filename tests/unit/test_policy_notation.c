/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The short notations, and what policy_get_reach and policy_explain make of a policy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>

#include "policy/policy.h"
#include "policy_random.h"

typedef int add_notation(struct policy *, const char *, struct policy_error *);

static const char endpoints[] =
	"endpoint e4 ipv4 10.0.0.1:5201\nendpoint e6 ipv6 [fd00::1]:5201\n"
	"endpoint u unix /run/u\n";

static void assert_makes(add_notation *add, const char *const *texts,
			 const char *expected)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	_cleanup_free_ char *text = NULL;
	struct policy_error error = { "" };
	const char *rules;

	assert_int_equal(policy_add_text(policy, "p", endpoints, strlen(endpoints),
					 &error),
			 0);
	for (; *texts; texts++)
		if (add(policy, *texts, &error) < 0)
			fail_msg("%s", error.text);
	if (policy_seal(policy, &error) < 0)
		fail_msg("%s", error.text);
	text = policy_print(policy);
	rules = text + strlen(endpoints);
	assert_string_equal(rules, expected);
}

#define MAKES(add, expected, ...) \
	assert_makes(add, (const char *const[]){ __VA_ARGS__, NULL }, expected)

static void assert_refused(add_notation *add, const char *text, const char *expected)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	struct policy_error error = { "" };
	int r;

	policy_add_text(policy, "p", endpoints, strlen(endpoints), &error);
	r = add(policy, text, &error);
	if (r == 0)
		r = policy_seal(policy, &error);
	assert_int_equal(r, -EINVAL);
	assert_string_equal(error.text, expected);
}

static void test_publish_both_families(void **state)
{
	MAKES(policy_add_publish,
	      "endpoint pub-tcp-8080-6 ipv6 [::]:8080 bound\n"
	      "endpoint pub-tcp-8080-4 ipv4 0.0.0.0:8080 bound\n"
	      "bind tcp [::]:80 = pub-tcp-8080-6\n"
	      "bind tcp 0.0.0.0:80 = pub-tcp-8080-4\n"
	      "connect tcp 127.0.0.1:80 = pub-tcp-8080-4\n"
	      "connect tcp 127.0.0.1:80 = pub-tcp-8080-6\n"
	      "connect tcp [::1]:80 = pub-tcp-8080-6\n",
	      "8080:80");
}

static void test_publish_one_address(void **state)
{
	MAKES(policy_add_publish,
	      "endpoint pub-udp-53-127.0.0.1 ipv4 127.0.0.1:53 bound\n"
	      "bind udp [::]:5353 = pub-udp-53-127.0.0.1\n"
	      "bind udp 0.0.0.0:5353 = pub-udp-53-127.0.0.1\n"
	      "connect udp 127.0.0.1:5353 = pub-udp-53-127.0.0.1\n"
	      "connect udp [::1]:5353 = pub-udp-53-127.0.0.1\n",
	      "127.0.0.1:53:5353/udp");
	MAKES(policy_add_publish,
	      "endpoint pub-tcp-8080-2001_db8__1 ipv6 [2001:db8::1]:8080 bound\n"
	      "bind tcp [::]:80 = pub-tcp-8080-2001_db8__1\n"
	      "connect tcp [::1]:80 = pub-tcp-8080-2001_db8__1\n",
	      "[2001:db8::1]:8080:80/tcp");
}

static void test_publish_dynamic(void **state)
{
	static const char both[] =
		"endpoint pub-tcp-dynamic-80-6 ipv6 [::]:dynamic bound\n"
		"endpoint pub-tcp-dynamic-80-4 ipv4 0.0.0.0:dynamic bound\n"
		"bind tcp [::]:80 = pub-tcp-dynamic-80-6\n"
		"bind tcp 0.0.0.0:80 = pub-tcp-dynamic-80-4\n"
		"connect tcp 127.0.0.1:80 = pub-tcp-dynamic-80-4\n"
		"connect tcp 127.0.0.1:80 = pub-tcp-dynamic-80-6\n"
		"connect tcp [::1]:80 = pub-tcp-dynamic-80-6\n";

	MAKES(policy_add_publish, both, "80");
	MAKES(policy_add_publish, both, ":80");
	MAKES(policy_add_publish,
	      "endpoint pub-tcp-dynamic-80-__1 ipv6 [::1]:dynamic bound\n"
	      "bind tcp [::]:80 = pub-tcp-dynamic-80-__1\n"
	      "connect tcp [::1]:80 = pub-tcp-dynamic-80-__1\n",
	      "[::1]::80");
	MAKES(policy_add_publish,
	      "endpoint pub-tcp-dynamic-80-10.0.0.1 ipv4 10.0.0.1:dynamic bound\n"
	      "bind tcp [::]:80 = pub-tcp-dynamic-80-10.0.0.1\n"
	      "bind tcp 0.0.0.0:80 = pub-tcp-dynamic-80-10.0.0.1\n"
	      "connect tcp 127.0.0.1:80 = pub-tcp-dynamic-80-10.0.0.1\n"
	      "connect tcp [::1]:80 = pub-tcp-dynamic-80-10.0.0.1\n",
	      "10.0.0.1::80");
}

static void test_publish_ranges_and_repeats(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	const struct endpoint *endpoint;

	assert_int_equal(policy_add_publish(policy, "7000-7002:80-82", NULL), 0);
	assert_int_equal(policy_add_publish(policy, "127.0.0.1:7000:81", NULL), 0);
	assert_int_equal(policy_add_publish(policy, "127.0.0.2:7000:82", NULL), 0);
	assert_int_equal(policy_add_publish(policy, "7000:82/udp", NULL), 0);
	assert_int_equal(policy_add_publish(policy, "1-65535:1-65535", NULL), -EINVAL);
	assert_int_equal(policy_n_endpoints(policy), 3 * 2 + 1 + 1 + 2);
	endpoint = policy_find_endpoint(policy, "pub-tcp-7002-6");
	assert_non_null(endpoint);
	assert_int_equal(endpoint->port, 7002);
	assert_string_equal(endpoint->origin.source, "-p 7000-7002:80-82");
	assert_int_equal(policy_seal(policy, NULL), 0);
}

static void test_publish_everything(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	struct policy_error error;

	assert_int_equal(policy_add_publish(policy, "1-65535:1-65535", &error), 0);
	assert_int_equal(policy_seal(policy, &error), 0);
	assert_int_equal(policy_n_rules(policy), 5 * 65535);
}

static void test_publish_mistakes(void **state)
{
	static const char *const cases[][2] = {
		{ "", "-p : the program's port is missing; expected [IP:]HOSTPORT:PORT" },
		{ "8080:",
		  "-p 8080:: the program's port is missing; expected [IP:]HOSTPORT:PORT" },
		{ "8080:x", "-p 8080:x: port 'x' is not a number" },
		{ "8080:80/sctp",
		  "-p 8080:80/sctp: 'sctp' is not a protocol; expected tcp or udp" },
		{ "8080:0", "-p 8080:0: port 0 cannot be published" },
		{ "0:80",
		  "-p 0:80: host port 0: leave the host port out for a dynamic one" },
		{ "1-3:1-2",
		  "-p 1-3:1-2: 3 host ports for 2 ports; the ranges must be of one "
		  "length" },
		{ "70000:80", "-p 70000:80: port 70000 is not in 0-65535" },
		{ "::1:8080:80",
		  "-p ::1:8080:80: an IPv6 address stands in brackets, as in "
		  "[::1]:8080:80" },
		{ "[::1]:80",
		  "-p [::1]:80: expected [IP]:HOSTPORT:PORT, or [IP]::PORT for a "
		  "dynamic host port" },
		{ "[::1:80", "-p [::1:80: ']' is missing" },
		{ "[::1]", "-p [::1]: expected [IP]:HOSTPORT:PORT" },
		{ "host:80:80", "-p host:80:80: 'host' is not an IPv4 address" },
		{ "[::ffff:1.2.3.4]:1:1",
		  "-p [::ffff:1.2.3.4]:1:1: '::ffff:1.2.3.4' is an IPv4 "
		  "address in IPv6 clothes; define the endpoint as ipv4" },
	};
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	struct policy_error error = { "" };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_refused(policy_add_publish, cases[i][0], cases[i][1]);
	assert_int_equal(policy_add_publish(policy, "80:80", &error), 0);
	assert_int_equal(policy_add_publish(policy, "80:81", &error), -EINVAL);
	assert_string_equal(
		error.text,
		"-p 80:81: endpoint 'pub-tcp-80-6' is already defined at -p 80:80");
}

static void test_ingress(void **state)
{
	MAKES(policy_add_ingress,
	      "bind any 0.0.0.0:5201 = e4\nbind any [::] = e6\nbind any [fd00::2]:1-2 = e4\n"
	      "bind any 10.1.1.1:80 = deny:ECONNREFUSED\nbind any 1.2.3.4:1 = host\n",
	      "0.0.0.0:5201=e4", ":::0-65535=e6", "[fd00::2]:1-2=e4",
	      "::ffff:10.1.1.1:80=deny:ECONNREFUSED", "1.2.3.4:1=host");
	assert_refused(policy_add_ingress, "0.0.0.0=e4",
		       "-i 0.0.0.0=e4: '0.0.0.0' has no port; expected ADDR:PORT");
	assert_refused(policy_add_ingress, "0.0.0.0:80",
		       "-i 0.0.0.0:80: '=' is missing; expected ADDR:PORT=TARGET");
	assert_refused(
		policy_add_ingress, "0.0.0.0:80=e5",
		"-i 0.0.0.0:80=e5: endpoint 'e5' is not defined; did you mean 'e4'?");
	assert_refused(
		policy_add_ingress, "0.0.0.0:80=e6",
		"-i 0.0.0.0:80=e6: endpoint 'e6' is ipv6; an IPv4 socket cannot be bound "
		"to it");
}

static void test_egress_is_sorted(void **state)
{
	MAKES(policy_add_egress,
	      "connect any 10.1.2.3 = own\n"
	      "connect any [2001:db8::/32] = from e6\n"
	      "connect tcp 10.0.0.0/8 = from e4\nconnect udp 10.0.0.0/8 = deny\n"
	      "connect any 10.0.0.0/8 = deny:EPERM\nconnect any 11.0.0.0/8 = host\n"
	      "connect any 0.0.0.0/0 = host\nconnect any [::/0] = host\n",
	      "0.0.0.0/0=host", "10.0.0.0/8=deny:EPERM", "11.0.0.0/8=host", "::/0=host",
	      "tcp:10.0.0.0/8=e4", "10.1.2.3=own", "udp:10.0.0.0/8=deny",
	      "[2001:db8::]/32=e6");
}

static void test_egress_comes_last(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	static const char rule[] = "connect any 0.0.0.0/0 = own";

	assert_int_equal(policy_add_egress(policy, "10.0.0.0/8=host", NULL), 0);
	assert_int_equal(policy_add_text(policy, "p", rule, strlen(rule), NULL), 0);
	assert_int_equal(policy_seal(policy, NULL), 0);
	assert_int_equal(policy_rule(policy, 0)->target, POLICY_OWN);
	assert_int_equal(policy_rule(policy, 1)->target, POLICY_HOST);
	assert_int_equal(policy_rule(policy, 1)->index, 1);
}

static void test_egress_mistakes(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	struct policy_error error = { "" };

	assert_refused(policy_add_egress, "10.0.0.0/8",
		       "-e 10.0.0.0/8: '=' is missing; expected "
		       "PREFIX/LEN=TARGET");
	assert_refused(policy_add_egress, "0.0.0.0=host",
		       "-e 0.0.0.0=host: a wildcard address "
		       "needs a length; write 0.0.0.0/0 for "
		       "every destination");
	assert_refused(
		policy_add_egress, "10.0.0.1/8=host",
		"-e 10.0.0.1/8=host: the address has bits set beyond /8; the network is "
		"10.0.0.0/8");
	assert_refused(policy_add_egress, "10.0.0.0/8=e6",
		       "-e 10.0.0.0/8=e6: 'from e6': the "
		       "source is IPv6 and the destination "
		       "IPv4");
	assert_int_equal(policy_add_egress(policy, "10.0.0.0/8=host", &error), 0);
	assert_int_equal(policy_add_egress(policy, "tcp:10.0.0.0/8=host", &error), 0);
	assert_int_equal(policy_add_egress(policy, "::ffff:10.0.0.0/104=own", &error),
			 -EINVAL);
	assert_string_equal(error.text,
			    "-e ::ffff:10.0.0.0/104=own: the same prefix and protocol "
			    "are already in -e 10.0.0.0/8=host");
}

static void test_conv_pairs(void **state)
{
	MAKES(policy_add_conv_pairs,
	      "bind any 0.0.0.0:5201 = e4\nconnect any 127.0.0.1:5201 = e4\n"
	      "bind any [::]:5201 = e6\nconnect any [::1]:5201 = e6\n"
	      "bind any 10.1.1.1:80 = u\nconnect any 10.1.1.1:80 = u\n",
	      " 0.0.0.0:5201=e4  :::5201=e6\n10.1.1.1:80=u ");
	MAKES(policy_add_conv_pairs, "", "  ");
	assert_refused(policy_add_conv_pairs, "0.0.0.0:5201=e4 x",
		       "GRAFT_CONV_PAIRS x: '=' is missing; expected ADDR:PORT=TARGET");
}

static struct policy_reach reach_of(const char *text)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	struct policy_reach reach;

	assert_int_equal(policy_add_text(policy, "p", text, strlen(text), NULL), 0);
	assert_int_equal(policy_seal(policy, NULL), 0);
	policy_get_reach(policy, &reach);
	return reach;
}

static void assert_needs(const char *needs, const char *text)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	const char *got;

	policy_allow_named(policy);
	assert_int_equal(policy_add_text(policy, "p", text, strlen(text), NULL), 0);
	assert_int_equal(policy_seal(policy, NULL), 0);
	got = policy_needs_namespace(policy);
	if (needs)
		assert_string_equal(got, needs);
	else
		assert_null(got);
}

#define EVERYWHERE                                  \
	"connect any 0.0.0.0/0 = host\n"            \
	"connect tcp [::]/0 = deny\n"               \
	"endpoint six ipv6 [2001:db8::1]:dynamic\n" \
	"connect udp [::]/0 = from six\n"           \
	"endpoint four ipv4 127.0.0.1:8080\n"       \
	"bind tcp 0.0.0.0:80 = four\n"              \
	"connect tcp 127.0.0.1:80 = elsewhere\n"

static void test_needs_namespace(void **state)
{
	static const char left_over[] =
		"no rules connect to every address, tcp and udp, IPv4 and IPv6";

	assert_needs("the policy does not say 'loopback own'", EVERYWHERE);
	assert_needs(NULL, "loopback own\n" EVERYWHERE);
	assert_needs(NULL, "connect any 127.0.0.0/8 = own\nconnect any [::1] = own\n"
			   "loopback own\n" EVERYWHERE);
	assert_needs("a rule connects to own addresses outside loopback",
		     "loopback own\nconnect tcp 126.0.0.0/7 = own\n" EVERYWHERE);
	assert_needs(
		"a rule leads to a UNIX socket",
		"loopback own\nendpoint u unix /u\nbind tcp 0.0.0.0:1 = u\n" EVERYWHERE);
	assert_needs("a rule leads to another network namespace",
		     "loopback own\nendpoint n ipv4 0.0.0.0:1 netns x\n"
		     "bind tcp 0.0.0.0:1 = n\n" EVERYWHERE);
	assert_needs("a rule leads to an endpoint with hold or share",
		     "loopback own\nendpoint h ipv4 0.0.0.0:1 hold\n"
		     "bind tcp 0.0.0.0:1 = h\n" EVERYWHERE);
	assert_needs(left_over, "loopback own\nconnect any 0.0.0.0/0 = host\n");
	assert_needs(left_over, "loopback own\nconnect any 0.0.0.0/0:1-65535 = host\n"
				"connect any [::]/0 = host\n");
	assert_needs(left_over, "loopback own\nconnect tcp 0.0.0.0/0 = host\n"
				"connect any [::]/0 = host\n");
	assert_needs(left_over, "loopback own\nconnect any 0.0.0.0/0 = elsewhere\n"
				"connect any [::]/0 = host\n");
}

static void test_reach(void **state)
{
	struct policy_reach reach = reach_of("");

	assert_int_equal(reach.bind_leaves | reach.connect_leaves | reach.denies, 0);
	reach = reach_of("bind tcp 0.0.0.0:80 = host\nconnect udp 10.0.0.0/8 = deny\n");
	assert_int_equal(reach.bind_leaves, POLICY_TCP);
	assert_int_equal(reach.connect_leaves, 0);
	assert_int_equal(reach.denies, POLICY_UDP);
	assert_int_equal(reach.default_host_v4 | reach.default_host_v6, 0);
	reach = reach_of("endpoint u unix /u\nendpoint n ipv4 1.2.3.4:1 netns x\n"
			 "connect tcp 1.2.3.4 = u\nconnect tcp 1.2.3.4 = n\n");
	assert_true(reach.has_unix);
	assert_true(reach.has_netns);
	reach = reach_of("connect tcp 0.0.0.0/1 = host\nconnect tcp 128.0.0.0/1 = host\n"
			 "connect any [::/0] = host\n");
	assert_int_equal(reach.default_host_v4, POLICY_TCP);
	assert_int_equal(reach.default_host_v6, POLICY_ANY);
	reach = reach_of("connect any 10.0.0.0/8 = host\nconnect any 0.0.0.0/0 = deny\n");
	assert_int_equal(reach.default_host_v4, 0);
	reach = reach_of(
		"endpoint o ipv4 10.0.0.1:dynamic\nconnect udp 0.0.0.0/0 = from o\n");
	assert_int_equal(reach.default_host_v4, POLICY_UDP);
}

static void assert_explained(const char *rules, enum policy_op op, bool v6only,
			     const char *address, const char *expected)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	struct policy_query query = { op, POLICY_TCP, AF_INET, v6only, { 0 } };
	struct sockaddr_in6 *in6 = (void *)&query.address;
	struct sockaddr_in *in = (void *)&query.address;
	struct policy_verdict verdict;
	char text[512];

	assert_int_equal(policy_add_text(policy, "p.conf", rules, strlen(rules), NULL),
			 0);
	assert_int_equal(policy_seal(policy, NULL), 0);
	if (strchr(address, ':')) {
		query.family = in6->sin6_family = AF_INET6;
		inet_pton(AF_INET6, address, &in6->sin6_addr);
	} else {
		in->sin_family = AF_INET;
		inet_pton(AF_INET, address, &in->sin_addr);
	}
	in6->sin6_port = htons(80);
	policy_resolve(policy, &query, NULL, NULL, &verdict);
	assert_int_equal(policy_explain(&query, &verdict, text, sizeof(text)),
			 strlen(expected));
	assert_string_equal(text, expected);
	assert_int_equal(policy_explain(&query, &verdict, text, 10), 9);
}

static void test_explain(void **state)
{
	assert_explained(
		"\n\n\nbind tcp 0.0.0.0:80 = web\nendpoint web ipv4 127.0.0.1:8080",
		POLICY_BIND, false, "0.0.0.0",
		"rule p.conf:4 'bind tcp 0.0.0.0:80 = web' matches; the socket is made in "
		"the host's stack and bound to 127.0.0.1:8080");
	assert_explained(
		"endpoint d ipv6 [::]:dynamic netns back\nbind tcp [::]:80 = d",
		POLICY_BIND, true, "::",
		"rule p.conf:2 'bind tcp [::]:80 = d' matches; the socket is made in "
		"network namespace 'back' and bound to [::]:0 (a port the kernel picks)");
	assert_explained(
		"endpoint u unix @u\nconnect tcp 1.2.3.4 = u", POLICY_CONNECT, false,
		"1.2.3.4",
		"rule p.conf:2 'connect tcp 1.2.3.4 = u' matches; the socket is made as a "
		"UNIX socket and connected to @u");
	assert_explained(
		"endpoint o ipv4 10.0.0.1:dynamic\nconnect tcp 0.0.0.0/0 = from o",
		POLICY_CONNECT, false, "1.2.3.4",
		"rule p.conf:2 'connect tcp 0.0.0.0/0 = from o' matches; the socket is "
		"made in the host's stack, bound to 10.0.0.1:0 (a port the kernel picks) "
		"and connected to 1.2.3.4:80");
	assert_explained(
		"connect any 1.0.0.0/8 = deny", POLICY_CONNECT, false, "1.2.3.4",
		"rule p.conf:1 'connect any 1.0.0.0/8 = deny' matches; the call fails "
		"with EACCES");
	assert_explained("", POLICY_CONNECT, false, "1.2.3.4",
			 "no rule matches; the socket stays in the program's own stack");
	assert_explained(
		"", POLICY_CONNECT, false, "127.0.0.1",
		"no rule matches this loopback address; the socket stays in the program's "
		"own stack");
	assert_explained(
		"connect any [::/0] = host", POLICY_CONNECT, false, "::1",
		"rule p.conf:1 'connect any [::/0] = host' is passed over: it does not "
		"name loopback, and only a rule that does opens the host's; no other rule "
		"matches; the socket stays in the program's own stack");
	assert_explained(
		"endpoint e ipv4 1.2.3.4:1\nbind tcp [::]:80 = e", POLICY_BIND, true,
		"::",
		"rule p.conf:2 'bind tcp [::]:80 = e' is passed over: endpoint 'e' is "
		"ipv4 and cannot serve this IPv6-only socket; no other rule matches; the "
		"socket stays in the program's own stack");
	assert_explained(
		"endpoint e ipv4 1.2.3.4:1 bound\nconnect tcp 9.9.9.9 = e",
		POLICY_CONNECT, false, "9.9.9.9",
		"rule p.conf:2 'connect tcp 9.9.9.9 = e' is passed over: nothing of this "
		"run is bound to 'e'; no other rule matches; the socket stays in the "
		"program's own stack");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_publish_both_families),
		cmocka_unit_test(test_publish_one_address),
		cmocka_unit_test(test_publish_dynamic),
		cmocka_unit_test(test_publish_ranges_and_repeats),
		cmocka_unit_test(test_publish_everything),
		cmocka_unit_test(test_publish_mistakes),
		cmocka_unit_test(test_ingress),
		cmocka_unit_test(test_egress_is_sorted),
		cmocka_unit_test(test_egress_comes_last),
		cmocka_unit_test(test_egress_mistakes),
		cmocka_unit_test(test_conv_pairs),
		cmocka_unit_test(test_reach),
		cmocka_unit_test(test_needs_namespace),
		cmocka_unit_test(test_explain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
