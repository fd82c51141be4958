/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy_resolve against the sentences of policy.h: by hand, and against a reference that
 * walks the rules one by one, with random policies and queries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/un.h>

#include "policy/internal.h"
#include "policy_random.h"

static struct policy *policy_of(const char *text)
{
	struct policy *policy = policy_new();
	struct policy_error error = { "" };

	assert_non_null(policy);
	policy_allow_paths(policy);
	if (policy_add_text(policy, "p", text, strlen(text), &error) < 0 ||
	    policy_seal(policy, &error) < 0)
		fail_msg("%s", error.text);
	return policy;
}

/* The reference: addresses as 16 bytes, rules in order, nothing clever. */

static bool covers(const uint8_t *prefix, unsigned int len, const uint8_t *address)
{
	for (unsigned int i = 0; i < len; i++)
		if ((prefix[i / 8] ^ address[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

struct judged {
	int family;
	uint8_t bytes[16];
};

static unsigned int reference_points(const struct policy_query *query,
				     struct judged *points, uint16_t *port)
{
	const struct sockaddr_in *in = (const void *)&query->address;
	const struct sockaddr_in6 *in6 = (const void *)&query->address;
	static const uint8_t zero[16];
	struct judged *p = &points[0];

	memset(points, 0, 2 * sizeof(*points));
	if (query->address.ss_family == AF_INET) {
		p->family = AF_INET;
		memcpy(p->bytes, &in->sin_addr, 4);
		*port = ntohs(in->sin_port);
	} else {
		*port = ntohs(in6->sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			p->family = AF_INET;
			memcpy(p->bytes, &in6->sin6_addr.s6_addr[12], 4);
		} else {
			p->family = AF_INET6;
			memcpy(p->bytes, &in6->sin6_addr, 16);
		}
	}
	if (memcmp(p->bytes, zero, 16) != 0)
		return 1;
	if (query->op == POLICY_CONNECT && p->family == AF_INET) {
		p->bytes[0] = 127;
		p->bytes[3] = 1;
	} else if (query->op == POLICY_CONNECT) {
		p->bytes[15] = 1;
	} else if (p->family == AF_INET6 && query->family == AF_INET6 && !query->v6only) {
		points[1].family = AF_INET;
		return 2;
	}
	return 1;
}

static bool reference_loopback(const struct judged *point)
{
	static const uint8_t one[16] = { [15] = 1 };

	return point->family == AF_INET ? point->bytes[0] == 127
					: !memcmp(point->bytes, one, 16);
}

static bool reference_serves(const struct rule *rule, const struct policy_query *query)
{
	static const struct in6_addr any6;
	const struct endpoint *e = rule->endpoint;

	if (!e)
		return true;
	if (e->kind == ENDPOINT_IPV4)
		return !(query->family == AF_INET6 && query->v6only);
	if (e->kind == ENDPOINT_UNIX)
		return query->proto == POLICY_TCP || query->proto == POLICY_UDP;
	if (query->family == AF_INET6)
		return true;
	return rule->op == POLICY_CONNECT && rule->target == POLICY_ENDPOINT &&
	       !memcmp(&e->v6, &any6, 16);
}

static bool even_is_bound(void *context, const struct endpoint *endpoint)
{
	(*(unsigned int *)context)++;
	return endpoint->index % 2 == 0;
}

static const struct rule *reference_path(const struct policy *policy,
					 const struct policy_query *query)
{
	const struct sockaddr_un *un = (const void *)&query->address;
	size_t size = query->address_len - offsetof(struct sockaddr_un, sun_path);

	if (un->sun_path[0])
		size = strnlen(un->sun_path, size);
	for (size_t i = 0; i < policy_n_rules(policy); i++) {
		const struct rule *rule = policy_rule(policy, i);
		char path[128] = "";
		size_t len;

		if (rule->family != AF_UNIX || query->op != POLICY_CONNECT)
			continue;
		len = (size_t)snprintf(path, sizeof(path), "%s", rule->path);
		if (path[0] == '@')
			path[0] = '\0';
		if (size >= len && (rule->is_beginning || size == len) &&
		    !memcmp(path, un->sun_path, len))
			return rule;
	}
	return NULL;
}

static const struct rule *reference(const struct policy *policy,
				    const struct policy_query *query,
				    enum policy_reason *reason,
				    const struct rule **passed)
{
	struct judged points[2];
	uint16_t port;
	unsigned int n = reference_points(query, points, &port), ignored;

	*reason = POLICY_R_DEFAULT;
	*passed = NULL;
	for (size_t i = 0; i < policy_n_rules(policy); i++) {
		const struct rule *rule = policy_rule(policy, i);
		enum policy_reason why = POLICY_R_RULE;
		bool matches = false, guarded = false;

		if (rule->op != query->op || !(rule->proto & query->proto) ||
		    port < rule->port_low || port > rule->port_high)
			continue;
		for (unsigned int k = 0; k < n; k++) {
			bool within = rule->family == AF_INET
					      ? rule->prefix >= 8 &&
							rule->address.s6_addr[0] == 127
					      : rule->prefix == 128;

			if (rule->family != points[k].family ||
			    !covers(rule->address.s6_addr, rule->prefix, points[k].bytes))
				continue;
			matches = true;
			if (reference_loopback(&points[k]) && !within)
				guarded = true;
		}
		if (!matches)
			continue;
		if (guarded && rule->target != POLICY_OWN && rule->target != POLICY_DENY)
			why = POLICY_R_LOOPBACK;
		else if (!reference_serves(rule, query))
			why = POLICY_R_UNSERVABLE;
		else if (rule->endpoint && rule->op == POLICY_CONNECT &&
			 (rule->endpoint->options & ENDPOINT_BOUND) &&
			 !even_is_bound(&ignored, rule->endpoint))
			why = POLICY_R_UNBOUND;
		if (why == POLICY_R_RULE) {
			*reason = why;
			return rule;
		}
		if (!*passed) {
			*passed = rule;
			*reason = why;
		}
	}
	if (!*passed && reference_loopback(&points[0]))
		*reason = POLICY_R_LOOPBACK;
	return NULL;
}

static void compare(const struct policy *policy, const struct policy_query *query)
{
	const struct rule *rule, *passed;
	struct policy_verdict verdict;
	enum policy_reason reason;
	unsigned int asked = 0;
	char text[512];

	if (query->family == AF_UNIX) {
		rule = reference_path(policy, query);
		reason = rule ? POLICY_R_RULE : POLICY_R_DEFAULT;
		passed = NULL;
	} else {
		rule = reference(policy, query, &reason, &passed);
	}
	policy_resolve(policy, query, even_is_bound, &asked, &verdict);
	if (verdict.reason == reason && verdict.rule == (rule ? rule : passed))
		return;
	policy_explain(query, &verdict, text, sizeof(text));
	fail_msg("expected %s rule %d (reason %d), got: %s (reason %d)",
		 rule ? "deciding" : "passed",
		 rule     ? (int)rule->index
		 : passed ? (int)passed->index
			  : -1,
		 reason, text, verdict.reason);
}

static void test_first_match_equals_reference(void **state)
{
	static const unsigned int sizes[] = { 0, 1, 2, 5, 20, 80, 400 };
	const char *seed = getenv("POLICY_SEED"); /* for long runs with other ones */
	struct random random = { seed ? strtoull(seed, NULL, 0) | 1 : 0x5eed };

	for (unsigned int round = 0; round < 420; round++) {
		unsigned int n = sizes[round % ARRAY_SIZE(sizes)];
		_cleanup_free_ char *text = random_policy_text(&random, n);
		_cleanup_(policy_freep) struct policy *policy = policy_of(text);

		for (unsigned int i = 0; i < 1200; i++) {
			struct policy_query query;

			random_aimed_query(&random, policy, &query);
			compare(policy, &query);
		}
	}
}

static struct policy_query query_of(enum policy_op op, enum policy_proto proto,
				    int family, bool v6only, const char *address,
				    uint16_t port)
{
	struct policy_query query = { op, proto, family, v6only, { 0 } };
	struct sockaddr_in *in = (void *)&query.address;
	struct sockaddr_in6 *in6 = (void *)&query.address;

	if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
	} else {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		assert_int_equal(inet_pton(AF_INET6, address, &in6->sin6_addr), 1);
	}
	return query;
}

/* What a verdict comes to, in short: "host 10.0.0.1:80", "deny 13", "own" ... */
static const char *judged(const char *rules, struct policy_query query, bool bound)
{
	static char text[512];
	static const char *const names[] = { "own", "host", "endpoint", "from", "deny" };
	_cleanup_(policy_freep) struct policy *policy = policy_of(rules);
	struct out out = { text, sizeof(text), 0 };
	struct policy_verdict verdict;
	unsigned int asked = 0;

	policy_resolve(policy, &query, bound ? even_is_bound : NULL, &asked, &verdict);
	out_printf(&out, "%s ", names[verdict.target]);
	if (verdict.target == POLICY_DENY)
		out_printf(&out, "%d", verdict.deny_errno);
	else
		out_sockaddr(&out, &verdict.address, verdict.address_len);
	return text;
}

#define JUDGED(rules, op, proto, family, v6only, address, port)                      \
	judged(rules,                                                                \
	       query_of(POLICY_##op, POLICY_##proto, family, v6only, address, port), \
	       true)

static void test_default_is_own(void **state)
{
	assert_string_equal(JUDGED("", BIND, TCP, AF_INET, false, "0.0.0.0", 80),
			    "own 0.0.0.0:80");
	assert_string_equal(JUDGED("bind tcp 0.0.0.0:81 = host\n", BIND, TCP, AF_INET,
				   false, "0.0.0.0", 80),
			    "own 0.0.0.0:80");
}

static void test_wildcard_bind(void **state)
{
	const char *v4 = "endpoint w ipv4 127.0.0.1:8080\nbind tcp 0.0.0.0:80 = w\n";
	const char *v6 = "endpoint w ipv4 127.0.0.1:8080\nbind tcp [::]:80 = w\n";

	assert_string_equal(JUDGED(v4, BIND, TCP, AF_INET, false, "0.0.0.0", 80),
			    "endpoint 127.0.0.1:8080");
	assert_string_equal(JUDGED(v4, BIND, TCP, AF_INET6, false, "::", 80),
			    "endpoint [::ffff:127.0.0.1]:8080");
	assert_string_equal(JUDGED(v6, BIND, TCP, AF_INET6, false, "::", 80),
			    "endpoint [::ffff:127.0.0.1]:8080");
	assert_string_equal(JUDGED(v4, BIND, TCP, AF_INET6, true, "::", 80),
			    "own [::]:80");
	assert_string_equal(JUDGED(v6, BIND, TCP, AF_INET6, true, "::", 80),
			    "own [::]:80");
	assert_string_equal(JUDGED(v6, BIND, TCP, AF_INET, false, "0.0.0.0", 80),
			    "own 0.0.0.0:80");
	assert_string_equal(JUDGED(v4, BIND, UDP, AF_INET, false, "0.0.0.0", 80),
			    "own 0.0.0.0:80");
}

static void test_mapped_is_ipv4(void **state)
{
	const char *rules = "connect any [::ffff:10.0.0.0/104]:80 = host\n"
			    "connect any [::/0] = deny:ECONNREFUSED\n";

	assert_string_equal(JUDGED(rules, CONNECT, TCP, AF_INET, false, "10.1.2.3", 80),
			    "host 10.1.2.3:80");
	assert_string_equal(JUDGED(rules, CONNECT, TCP, AF_INET6, false,
				   "::ffff:10.1.2.3", 80),
			    "host [::ffff:10.1.2.3]:80");
	assert_string_equal(JUDGED(rules, CONNECT, TCP, AF_INET6, false,
				   "::ffff:11.1.2.3", 80),
			    "own [::ffff:11.1.2.3]:80");
	assert_string_equal(JUDGED(rules, CONNECT, TCP, AF_INET6, false, "2001:db8::1",
				   80),
			    "deny 111");
}

static struct policy_query path_query(const char *path, size_t size)
{
	struct policy_query query = { .op = POLICY_CONNECT, .family = AF_UNIX };
	struct sockaddr_un *un = (void *)&query.address;

	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, size);
	query.address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
	return query;
}

#define PATH_JUDGED(rules, path) judged(rules, path_query(path, sizeof(path) - 1), false)

static void test_paths(void **state)
{
	const char *rules = "endpoint db unix /srv/db.sock\n"
			    "endpoint x unix @real\n"
			    "connect unix /run/db.sock = db\n"
			    "connect unix @x = x\n"
			    "connect unix /run/app/* = own\n"
			    "connect unix /run/app/x = deny:ENOENT\n"
			    "connect unix /run/a* = host\n"
			    "connect unix @* = deny:ECONNREFUSED\n"
			    "connect tcp 0.0.0.0/0 = deny:EIO\n"
			    "connect unix * = deny\n";

	assert_string_equal(PATH_JUDGED(rules, "/run/db.sock"), "endpoint /srv/db.sock");
	assert_string_equal(PATH_JUDGED(rules, "/run/db.sock\0"),
			    "endpoint /srv/db.sock");
	assert_string_equal(PATH_JUDGED(rules, "/run/db.sock\0more"),
			    "endpoint /srv/db.sock");
	assert_string_equal(PATH_JUDGED(rules, "/run/./db.sock"), "deny 13");
	assert_string_equal(PATH_JUDGED(rules, "/run/db.sockx"), "deny 13");
	assert_string_equal(PATH_JUDGED(rules, "run/db.sock"), "deny 13");
	assert_string_equal(PATH_JUDGED(rules, "\0x"), "endpoint @real");
	assert_string_equal(PATH_JUDGED(rules, "\0x\0"), "deny 111");
	assert_string_equal(PATH_JUDGED(rules, "\0"), "deny 111");
	assert_string_equal(PATH_JUDGED(rules, "@x"), "deny 13");
	assert_string_equal(PATH_JUDGED(rules, "/run/app/x"), "own /run/app/x");
	assert_string_equal(PATH_JUDGED(rules, "/run/app/../x"), "own /run/app/../x");
	assert_string_equal(PATH_JUDGED(rules, "/run/app"), "host /run/app");
	assert_string_equal(PATH_JUDGED(rules, "/run/"), "deny 13");
	assert_string_equal(PATH_JUDGED("connect any 0.0.0.0/0 = deny\n", "/x"),
			    "own /x");
}

static void test_loopback_guard(void **state)
{
	const char *wide = "connect any 0.0.0.0/0 = host\nconnect any [::/0] = host\n";
	const char *exact =
		"connect any 127.0.0.0/8:6379 = host\n"
		"connect any [::1]:6379 = host\nconnect any 0.0.0.0/0 = deny\n";

	assert_string_equal(JUDGED(wide, CONNECT, TCP, AF_INET, false, "127.0.0.1", 6379),
			    "own 127.0.0.1:6379");
	assert_string_equal(JUDGED(wide, CONNECT, TCP, AF_INET, false, "0.0.0.0", 6379),
			    "own 0.0.0.0:6379");
	assert_string_equal(JUDGED(wide, CONNECT, TCP, AF_INET6, false, "::1", 6379),
			    "own [::1]:6379");
	assert_string_equal(JUDGED(wide, CONNECT, TCP, AF_INET6, false, "::", 6379),
			    "own [::]:6379");
	assert_string_equal(JUDGED(wide, CONNECT, TCP, AF_INET6, false,
				   "::ffff:127.9.9.9", 1),
			    "own [::ffff:127.9.9.9]:1");
	assert_string_equal(JUDGED(wide, CONNECT, TCP, AF_INET, false, "128.0.0.1", 1),
			    "host 128.0.0.1:1");
	assert_string_equal(JUDGED(wide, CONNECT, TCP, AF_INET, false, "126.255.255.255",
				   1),
			    "host 126.255.255.255:1");
	assert_string_equal(JUDGED(exact, CONNECT, TCP, AF_INET, false, "127.0.0.1",
				   6379),
			    "host 127.0.0.1:6379");
	assert_string_equal(JUDGED(exact, CONNECT, TCP, AF_INET6, false, "::", 6379),
			    "host [::]:6379");
	assert_string_equal(JUDGED(exact, CONNECT, TCP, AF_INET, false, "127.0.0.1", 80),
			    "deny 13");
}

static void test_unix_serves_streams_and_datagrams(void **state)
{
	const char *rules = "endpoint c unix /run/c.sock\nendpoint a unix @c\n"
			    "connect tcp 10.0.0.1:1 = c\nconnect any 10.0.0.2 = a\n"
			    "connect any 10.0.0.2 = deny\n";

	assert_string_equal(JUDGED(rules, CONNECT, TCP, AF_INET, false, "10.0.0.1", 1),
			    "endpoint /run/c.sock");
	assert_string_equal(JUDGED(rules, CONNECT, UDP, AF_INET6, true, "::ffff:10.0.0.2",
				   1),
			    "endpoint @c");
	assert_string_equal(JUDGED(rules, CONNECT, OTHER, AF_INET, false, "10.0.0.2", 1),
			    "deny 13");
}

static void test_wildcard_endpoint_in_connect(void **state)
{
	const char *rules = "endpoint w6 ipv6 [::]:8080\nendpoint w4 ipv4 0.0.0.0:8081\n"
			    "connect tcp 127.0.0.1:80 = w6\nconnect tcp [::1]:80 = w6\n"
			    "connect tcp 127.0.0.1:81 = w4\nconnect tcp [::1]:81 = w4\n";

	assert_string_equal(JUDGED(rules, CONNECT, TCP, AF_INET, false, "127.0.0.1", 80),
			    "endpoint 127.0.0.1:8080");
	assert_string_equal(JUDGED(rules, CONNECT, TCP, AF_INET6, false, "::1", 80),
			    "endpoint [::1]:8080");
	assert_string_equal(JUDGED(rules, CONNECT, TCP, AF_INET, false, "127.0.0.1", 81),
			    "endpoint 127.0.0.1:8081");
	assert_string_equal(JUDGED(rules, CONNECT, TCP, AF_INET6, false, "::1", 81),
			    "endpoint [::ffff:127.0.0.1]:8081");
	assert_string_equal(JUDGED(rules, CONNECT, TCP, AF_INET6, true, "::1", 81),
			    "own [::1]:81");
}

static void test_from_gives_the_source(void **state)
{
	const char *rules = "endpoint out ipv4 10.9.9.9:dynamic\n"
			    "connect any 10.0.0.0/8 = from out\n";

	assert_string_equal(JUDGED(rules, CONNECT, TCP, AF_INET, false, "10.0.0.1", 80),
			    "from 10.9.9.9:0");
	assert_string_equal(JUDGED(rules, CONNECT, TCP, AF_INET6, false,
				   "::ffff:10.0.0.1", 80),
			    "from [::ffff:10.9.9.9]:0");
}

/* Endpoint 0 is "bound" by even_is_bound, endpoint 1 is not. */
static void test_bound_is_asked_in_order(void **state)
{
	const char *rules =
		"endpoint a ipv4 10.0.0.1:1 bound\nendpoint b ipv4 10.0.0.2:2 bound\n"
		"connect tcp 127.0.0.1:80 = b\nconnect tcp 127.0.0.1:80 = a\n"
		"connect tcp 127.0.0.1:80 = deny\n";
	struct policy_query query =
		query_of(POLICY_CONNECT, POLICY_TCP, AF_INET, false, "127.0.0.1", 80);

	assert_string_equal(judged(rules, query, true), "endpoint 10.0.0.1:1");
	assert_string_equal(judged(rules, query, false), "deny 13");
}

static void test_guard_reason(void **state)
{
	const char *rules = "connect any 0.0.0.0/0 = host\n";
	_cleanup_(policy_freep) struct policy *policy = policy_of(rules);
	struct policy_query query =
		query_of(POLICY_CONNECT, POLICY_TCP, AF_INET, false, "127.0.0.1", 80);
	struct policy_verdict verdict;

	policy_resolve(policy, &query, NULL, NULL, &verdict);
	assert_int_equal(verdict.reason, POLICY_R_LOOPBACK);
	assert_ptr_equal(verdict.rule, policy_rule(policy, 0));
	query.op = POLICY_BIND;
	policy_resolve(policy, &query, NULL, NULL, &verdict);
	assert_int_equal(verdict.reason, POLICY_R_LOOPBACK);
	assert_null(verdict.rule);
}

static char *large_text(struct random *random, unsigned int n, bool hostile)
{
	char *text = NULL, selector[128];
	size_t size;
	FILE *to = open_memstream(&text, &size);
	bool v4;

	for (unsigned int i = 0; i < n; i++)
		fprintf(to, "endpoint e%u ipv4 10.%u.%u.%u:%u%s\n", i, i >> 16 & 255,
			i >> 8 & 255, i & 255, 1 + i % 65535, hostile ? " bound" : "");
	for (unsigned int i = 0; i < n; i++) {
		if (hostile) {
			fprintf(to, "connect tcp 127.0.0.1:%u = e%u\n", i % 60000, i);
			continue;
		}
		random_selector(random, selector, sizeof(selector), true, &v4);
		fprintf(to, "connect any %s = e%u\n", selector, i);
	}
	fclose(to);
	return text;
}

/* Counted, not timed: a lookup looks at as many places whatever the number of rules. */
static void test_probes_stay_bounded(void **state)
{
	struct random random = { 77 };
	_cleanup_free_ char *text = large_text(&random, 100000, false);
	_cleanup_(policy_freep) struct policy *policy = policy_of(text);
	uint64_t most = 0;

	for (unsigned int i = 0; i < 20000; i++) {
		uint64_t before = policy_n_probes, probes;
		struct policy_verdict verdict;
		struct policy_query query;

		random_aimed_query(&random, policy, &query);
		policy_resolve(policy, &query, NULL, NULL, &verdict);
		probes = policy_n_probes - before;
		if (probes > most)
			most = probes;
	}
	/* 18 for each of two addresses, 17 for each of the groups on the way. */
	assert_in_range(most, 1, 2 * 18 + 2 * GROUP_N * 17);
}

/* 100,000 bound rules on one address; two of them at most have the port asked for. */
static void test_unbound_rules_are_not_scanned(void **state)
{
	struct random random = { 78 };
	_cleanup_free_ char *text = large_text(&random, 100000, true);
	_cleanup_(policy_freep) struct policy *policy = policy_of(text);

	for (unsigned int port = 0; port < 65536; port += 97) {
		struct policy_query query = query_of(POLICY_CONNECT, POLICY_TCP, AF_INET,
						     false, "127.0.0.1", (uint16_t)port);
		uint64_t before = policy_n_probes;
		struct policy_verdict verdict;

		policy_resolve(policy, &query, NULL, NULL, &verdict);
		assert_int_equal(verdict.reason,
				 port < 60000 ? POLICY_R_UNBOUND : POLICY_R_LOOPBACK);
		assert_in_range(policy_n_probes - before, 0, 18 + 6 * 17 + 2 * 17 * 18);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_is_own),
		cmocka_unit_test(test_wildcard_bind),
		cmocka_unit_test(test_mapped_is_ipv4),
		cmocka_unit_test(test_loopback_guard),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_unix_serves_streams_and_datagrams),
		cmocka_unit_test(test_wildcard_endpoint_in_connect),
		cmocka_unit_test(test_from_gives_the_source),
		cmocka_unit_test(test_bound_is_asked_in_order),
		cmocka_unit_test(test_guard_reason),
		cmocka_unit_test(test_first_match_equals_reference),
		cmocka_unit_test(test_probes_stay_bounded),
		cmocka_unit_test(test_unbound_rules_are_not_scanned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
