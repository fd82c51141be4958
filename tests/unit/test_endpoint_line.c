/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One endpoint by itself: as a line of policy and in the words of `graft add`, printed
 * as `graft show` does and as a line again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/policy.h"

static void parse(struct endpoint *endpoint, const char *text)
{
	/* Exactly as long as it is, so that a sanitizer sees a step too far. */
	size_t size = strlen(text);
	char *copy = malloc(size ? size : 1);
	struct policy_error error = { "" };

	memcpy(copy, text, size);
	if (endpoint_parse(endpoint, "graft add", copy, size, &error) < 0)
		fail_msg("%s", error.text);
	free(copy);
}

/* What @text is shown as, and as a line; both parse to the same again. */
static void assert_is(const char *text, const char *shown, const char *line)
{
	const char *const forms[] = { text, shown, line + strlen("endpoint ") };
	char printed[512];

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct endpoint endpoint;

		parse(&endpoint, forms[i]);
		assert_int_equal(endpoint_print_graft(&endpoint, printed,
						      sizeof(printed)),
				 strlen(shown));
		assert_string_equal(printed, shown);
		assert_int_equal(policy_print_endpoint(&endpoint, printed,
						       sizeof(printed)),
				 strlen(line));
		assert_string_equal(printed, line);
		endpoint_release(&endpoint);
	}
}

static void test_old_sessions(void **state)
{
	assert_is("ep-test type ipv4 addr 127.0.0.1 port 8080",
		  "ep-test type ipv4 addr 127.0.0.1 port 8080 ",
		  "endpoint ep-test ipv4 127.0.0.1:8080");
	assert_is("ep-in4 type ipv4 addr 127.0.0.1 port 8080 netns 1",
		  "ep-in4 type ipv4 addr 127.0.0.1 port 8080 netns 1 ",
		  "endpoint ep-in4 ipv4 127.0.0.1:8080 netns 1");
	assert_is("ep-out type ipv4 addr 127.0.0.1 port dynamic",
		  "ep-out type ipv4 addr 127.0.0.1 port dynamic ",
		  "endpoint ep-out ipv4 127.0.0.1:dynamic");
	assert_is("ep-u type unix path /run/x.sock netns NAME",
		  "ep-u type unix path /run/x.sock netns NAME ",
		  "endpoint ep-u unix /run/x.sock netns NAME");
	assert_is("out4 type ipv4 netns 1",
		  "out4 type ipv4 addr 0.0.0.0 port dynamic netns 1 ",
		  "endpoint out4 ipv4 0.0.0.0:dynamic netns 1");
	assert_is("default-source type ipv6",
		  "default-source type ipv6 addr :: port dynamic ",
		  "endpoint default-source ipv6 [::]:dynamic");
}

static void test_words_in_any_order(void **state)
{
	static const char shown[] = "x type ipv4 addr 10.0.0.1 port 80 netns web ";
	static const char line[] = "endpoint x ipv4 10.0.0.1:80 netns web";

	assert_is("x port 80 type ipv4 netns web addr 10.0.0.1", shown, line);
	assert_is("x netns web type ipv4 addr 10.0.0.1 port 80", shown, line);
	assert_is("x t ipv4 a 10.0.0.1 p 80 netns web", shown, line);
	assert_is("x p 80 ty ipv4 ad 10.0.0.1 netns web", shown, line);
	assert_is("x typ ipv4 add 10.0.0.1 por 80 netns web", shown, line);
	assert_is("\t x  type\tipv4 addr 10.0.0.1 port 80 netns web # why\r", shown,
		  line);
	assert_is("u t unix p /a", "u type unix path /a ", "endpoint u unix /a");
	assert_is("u pa @a t unix", "u type unix path @a ", "endpoint u unix @a");
}

static void test_ports_and_addresses(void **state)
{
	assert_is("x type ipv4 port 0", "x type ipv4 addr 0.0.0.0 port dynamic ",
		  "endpoint x ipv4 0.0.0.0:dynamic");
	assert_is("x type ipv6 addr ::1 port 65535", "x type ipv6 addr ::1 port 65535 ",
		  "endpoint x ipv6 [::1]:65535");
	assert_is("x type ipv6 addr [2001:DB8::0] port 1",
		  "x type ipv6 addr 2001:db8:: port 1 ",
		  "endpoint x ipv6 [2001:db8::]:1");
	assert_is("x ipv4 127.0.0.1:dynamic", "x type ipv4 addr 127.0.0.1 port dynamic ",
		  "endpoint x ipv4 127.0.0.1:dynamic");
}

static void test_without_address(void **state)
{
	assert_is("x type any netns web", "x type any netns web ",
		  "endpoint x any netns web");
	assert_is("x any owner uid=5", "x type any owner uid=5 ",
		  "endpoint x any owner uid=5");
}

static void test_zone(void **state)
{
	assert_is("x type ipv6 addr fe80::1%2 port 80",
		  "x type ipv6 addr fe80::1%2 port 80 ",
		  "endpoint x ipv6 [fe80::1%2]:80");
	assert_is("x ipv6 [ff02::1%4294967295]:dynamic",
		  "x type ipv6 addr ff02::1%4294967295 port dynamic ",
		  "endpoint x ipv6 [ff02::1%4294967295]:dynamic");
}

static void test_options_and_access(void **state)
{
	assert_is("q type ipv4 hold owner uid=1000 port 5 share",
		  "q type ipv4 addr 0.0.0.0 port 5 hold share owner uid=1000 ",
		  "endpoint q ipv4 0.0.0.0:5 hold share owner uid=1000");
	assert_is("q unix /q binder gid=0,uid=4294967294 connector any bound "
		  "connector netns=web,cgroup=/ "
		  "owner cgroup=/a.slice/b,netns=/proc/1/ns/net,uid=7",
		  "q type unix path /q bound binder uid=4294967294,gid=0 connector any "
		  "connector netns=web,cgroup=/ "
		  "owner uid=7,netns=/proc/1/ns/net,cgroup=/a.slice/b ",
		  "endpoint q unix /q bound binder uid=4294967294,gid=0 connector any "
		  "connector netns=web,cgroup=/ "
		  "owner uid=7,netns=/proc/1/ns/net,cgroup=/a.slice/b");
}

static void test_fields(void **state)
{
	struct endpoint endpoint;

	parse(&endpoint, "q type ipv4 netns 12 binder uid=1,gid=2 owner netns=33 "
			 "connector cgroup=/c");
	assert_string_equal(endpoint.name, "q");
	assert_string_equal(endpoint.origin.source, "graft add");
	assert_int_equal(endpoint.kind, ENDPOINT_IPV4);
	assert_true(endpoint.dynamic);
	assert_int_equal(endpoint.netns.pid, 12);
	assert_int_equal(endpoint.n_access, 3);
	assert_int_equal(endpoint.access[0].uses, ACCESS_BIND);
	assert_true(endpoint.access[0].has_uid && endpoint.access[0].has_gid);
	assert_int_equal(endpoint.access[0].uid, 1);
	assert_int_equal(endpoint.access[0].gid, 2);
	assert_null(endpoint.access[0].cgroup);
	assert_int_equal(endpoint.access[1].uses, ACCESS_BIND | ACCESS_CONNECT);
	assert_false(endpoint.access[1].has_uid || endpoint.access[1].has_gid);
	assert_int_equal(endpoint.access[1].netns.kind, NETNS_PID);
	assert_int_equal(endpoint.access[1].netns.pid, 33);
	assert_int_equal(endpoint.access[2].uses, ACCESS_CONNECT);
	assert_int_equal(endpoint.access[2].netns.kind, NETNS_DEFAULT);
	assert_string_equal(endpoint.access[2].cgroup, "/c");
	endpoint_release(&endpoint);
}

static const struct {
	const char *text, *error;
} mistakes[] = {
	{ "", "the endpoint's name is missing" },
	{ "x", "the type is missing; expected type ipv4, ipv6 or unix" },
	{ "x port 80", "the type is missing; expected type ipv4, ipv6 or unix" },
	{ "a:b type ipv4", "'a:b' is not a name: up to 63 letters, digits, '_', '-' and "
			   "'.', the first one not '-' or '.'" },
	{ "own type ipv4", "'own' is a target word and cannot name an endpoint" },
	{ "x type", "'type' needs a value after it" },
	{ "x type ipv5", "'ipv5' is not a kind; expected ipv4, ipv6 or unix" },
	{ "x type ipv4 type ipv4", "'type' is given twice" },
	{ "x type ipv4 port 1 p 2", "'p' is given twice" },
	{ "x addr 1.2.3.4 type ipv4", "'addr' before the type; write type first" },
	{ "x type ipv4 addr", "'addr' needs a value after it" },
	{ "x type ipv4 addr ::1", "'::1' is not an IPv4 address" },
	{ "x type ipv6 addr 1.2.3.4", "'1.2.3.4' is not an IPv6 address" },
	{ "x type ipv6 addr ::ffff:1.2.3.4",
	  "'::ffff:1.2.3.4' is an IPv4 address in IPv6 clothes; define the endpoint as "
	  "ipv4" },
	{ "x type ipv6 addr fe80::1%lo", "'fe80::1%lo': addresses take no zone" },
	{ "x type ipv6 addr fe80::1%0", "'fe80::1%0': addresses take no zone" },
	{ "x type ipv6 addr fe80::1%", "'fe80::1%': addresses take no zone" },
	{ "x type ipv6 addr fe80::1%4294967296",
	  "'fe80::1%4294967296': addresses take no zone" },
	{ "x type ipv6 addr ::1%2",
	  "'::1%2': a zone goes with a link-local address only" },
	{ "x type ipv4 addr 1.2.3.4%2", "'1.2.3.4%2': addresses take no zone" },
	{ "x type ipv4 addr 1.2.3", "'1.2.3' is not an IPv4 address" },
	{ "x type ipv4 port 65536", "port 65536 is not in 0-65535" },
	{ "x type ipv4 port -1", "port '-1' is not a number" },
	{ "x type ipv4 port dyn", "port 'dyn' is not a number" },
	{ "x type ipv4 path /x", "a path is for type unix alone" },
	{ "x type unix", "the path is missing; expected type unix path PATH" },
	{ "x type unix path /x port 1",
	  "a unix endpoint has a path, no addr and no port" },
	{ "x type any port 1", "an endpoint of type any has no addr, port or path" },
	{ "x type unix path x", "'x' is not an absolute path (nor an abstract @NAME)" },
	{ "x type unix path /a#b", "'#' begins a comment and cannot be part of a word" },
	{ "x type unix path /a\nb", "a control character (0x0a)" },
	{ "x type ipv4 netns", "netns needs a pid, a name or a path after it" },
	{ "x type ipv4 ports 80", "'ports' is not an option; expected netns REF, hold, "
				  "share, bound, or owner, binder or connector WHO" },
	{ "x ipv4 1.2.3.4:0", "port 0: write 'dynamic' for a port the kernel picks" },
	{ "x ipv4 1.2.3.4:1 port 5", "'port' is not an option; expected netns REF, hold, "
				     "share, bound, or owner, binder or connector WHO" },
	{ "x type ipv4 owner", "owner needs to know who: any, or uid=N, gid=N, netns=REF "
			       "or cgroup=PATH, with ',' between them" },
	{ "x type ipv4 owner uid=joe", "uid 'joe' is not a number" },
	{ "x type ipv4 owner gid=", "gid '' is not a number" },
	{ "x type ipv4 owner uid=4294967295", "uid 4294967295 is not in 0-4294967294" },
	{ "x type ipv4 owner uid=99999999999999999999999",
	  "uid 99999999999999999999999 is not in 0-4294967294" },
	{ "x type ipv4 owner uid=1,uid=2", "uid is given twice" },
	{ "x type ipv4 owner netns=1,netns=2", "netns is given twice" },
	{ "x type ipv4 owner cgroup=/a,cgroup=/b", "cgroup is given twice" },
	{ "x type ipv4 owner cgroup=a", "'a' is not a cgroup as /proc/PID/cgroup shows "
					"it, such as /system.slice/web.service" },
	{ "x type ipv4 owner cgroup=/a/", "'/a/' is not a cgroup as /proc/PID/cgroup "
					  "shows it, such as /system.slice/web.service" },
	{ "x type ipv4 owner cgroup=/a/../b",
	  "'/a/../b' is not a cgroup as /proc/PID/cgroup shows it, such as "
	  "/system.slice/web.service" },
	{ "x type ipv4 owner cgroup=//a", "'//a' is not a cgroup as /proc/PID/cgroup "
					  "shows it, such as /system.slice/web.service" },
	{ "x type ipv4 owner uid=1,", "'' is not a condition; expected uid=N, gid=N, "
				      "netns=REF or cgroup=PATH" },
	{ "x type ipv4 owner any,uid=1", "'any' is not a condition; expected uid=N, "
					 "gid=N, netns=REF or cgroup=PATH" },
	{ "x type ipv4 owner user=1", "'user=1' is not a condition; expected uid=N, "
				      "gid=N, netns=REF or cgroup=PATH" },
};

static void test_mistakes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
		const char *text = mistakes[i].text;
		struct policy_error error = { "" };
		struct endpoint endpoint = { .index = 7 };

		assert_int_equal(endpoint_parse(&endpoint, NULL, text, strlen(text),
						&error),
				 -EINVAL);
		assert_string_equal(error.text, mistakes[i].error);
		assert_int_equal(endpoint.index, 7);
		assert_null(endpoint.name);
		assert_int_equal(endpoint_parse(&endpoint, "conf:3", text, strlen(text),
						&error),
				 -EINVAL);
		assert_memory_equal(error.text, "conf:3: ", 8);
		assert_string_equal(error.text + 8, mistakes[i].error);
		assert_int_equal(endpoint_parse(&endpoint, NULL, text, strlen(text),
						NULL),
				 -EINVAL);
	}
}

enum { LONG_MAX_SIZE = 65536 };

/* The longest endpoint there is, without its newline. Caller frees. */
static char *longest(const char *before)
{
	char *text = malloc(LONG_MAX_SIZE);
	size_t n =
		(size_t)snprintf(text, LONG_MAX_SIZE,
				 "%s%063d unix /%0106d netns /%01022d", before, 0, 0, 0);

	for (int i = 0; i < ACCESS_MAX; i++)
		n += (size_t)snprintf(text + n, LONG_MAX_SIZE - n,
				      " connector uid=4294967294,gid=4294967294,"
				      "netns=/%01022d,cgroup=/%01022d",
				      i, i);
	return text;
}

static void test_name_length(void **state)
{
	struct endpoint endpoint;
	char text[128];

	for (int len = 1; len <= 64; len++) {
		size_t n = (size_t)snprintf(text, sizeof(text), "%0*d type ipv4", len, 0);

		assert_int_equal(endpoint_parse(&endpoint, "x", text, n, NULL),
				 len <= POLICY_NAME_MAX ? 0 : -EINVAL);
		if (len <= POLICY_NAME_MAX)
			endpoint_release(&endpoint);
	}
}

static void test_longest(void **state)
{
	_cleanup_free_ char *text = longest(""), *printed = malloc(LONG_MAX_SIZE);
	_cleanup_free_ char *again = malloc(LONG_MAX_SIZE);
	struct policy_error error;
	struct endpoint endpoint;

	parse(&endpoint, text);
	assert_int_equal(policy_print_endpoint(&endpoint, printed, LONG_MAX_SIZE),
			 strlen(text) + strlen("endpoint "));
	assert_string_equal(printed + strlen("endpoint "), text);
	assert_int_equal(endpoint_print_graft(&endpoint, NULL, 0),
			 endpoint_print_graft(&endpoint, printed, LONG_MAX_SIZE));
	endpoint_release(&endpoint);
	parse(&endpoint, printed);
	assert_int_equal(endpoint_print_graft(&endpoint, again, LONG_MAX_SIZE),
			 strlen(printed));
	assert_string_equal(printed, again);
	endpoint_release(&endpoint);
	strcat(text, " owner any");
	assert_int_equal(endpoint_parse(&endpoint, "x", text, strlen(text), &error),
			 -EINVAL);
	assert_string_equal(error.text, "x: more than 16 of owner, binder and connector");
}

static void test_longest_in_a_policy(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	_cleanup_free_ char *text = longest("endpoint "), *printed = NULL;

	strcat(text, "\nbind any 0.0.0.0:1 = deny\n");
	assert_int_equal(policy_add_text(policy, "p", text, strlen(text), NULL), 0);
	assert_int_equal(policy_seal(policy, NULL), 0);
	printed = policy_print(policy);
	assert_string_equal(printed, text);
}

static void test_print_cut(void **state)
{
	static const char whole[] = "x type ipv4 addr 1.2.3.4 port 5 hold owner any ";
	struct endpoint endpoint;

	parse(&endpoint, whole);
	for (size_t size = 0; size <= sizeof(whole); size++) {
		size_t fits = size < sizeof(whole) ? size : sizeof(whole);
		char *text = malloc(size ? size : 1);

		assert_int_equal(endpoint_print_graft(&endpoint, text, size),
				 sizeof(whole) - 1);
		if (size) {
			assert_int_equal(strlen(text), fits - 1);
			assert_memory_equal(text, whole, fits - 1);
		}
		free(text);
	}
	endpoint_release(&endpoint);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old_sessions),
		cmocka_unit_test(test_words_in_any_order),
		cmocka_unit_test(test_ports_and_addresses),
		cmocka_unit_test(test_without_address),
		cmocka_unit_test(test_zone),
		cmocka_unit_test(test_options_and_access),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_name_length),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_longest_in_a_policy),
		cmocka_unit_test(test_print_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
