/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file format: what is taken, what it prints back as, and the line told for each
 * mistake.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>

#include "policy/policy.h"
#include "policy_random.h"

static char *printed(const char *text, size_t size)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	struct policy_error error = { "" };

	policy_allow_paths(policy);
	if (policy_add_text(policy, "p.conf", text, size, &error) < 0 ||
	    policy_seal(policy, &error) < 0)
		fail_msg("%s", error.text);
	return policy_print(policy);
}

static void assert_prints(const char *text, const char *expected)
{
	_cleanup_free_ char *once = printed(text, strlen(text));
	_cleanup_free_ char *twice = printed(once, strlen(once));

	assert_string_equal(once, expected);
	assert_string_equal(twice, expected);
}

static void test_prints_as_written(void **state)
{
	static const char text[] =
		"shortcut on\n"
		"endpoint web ipv4 127.0.0.1:8080\n"
		"endpoint cache unix /run/redis.sock\n"
		"endpoint old unix @name=x netns 12 hold share bound\n"
		"endpoint db ipv4 10.0.0.5:dynamic netns backend hold\n"
		"endpoint six ipv6 [2001:db8::1]:1 netns /proc/1/ns/net\n"
		"bind tcp 0.0.0.0:80 = web\n"
		"bind any 0.0.0.0:9000-9010 = host\n"
		"connect tcp 127.0.0.1 = cache\n"
		"connect any 127.0.0.0/8 = own\n"
		"connect udp 0.0.0.0/0:53 = from db\n"
		"connect any 169.254.0.0/16 = deny\n"
		"connect any 169.255.0.0/16 = deny:ECONNREFUSED\n"
		"connect any [2001:db8::/32]:443 = host\n"
		"connect tcp [2001:db8::1]:0 = six\n"
		"connect unix /run/mysqld/mysqld.sock = cache\n"
		"connect unix @x11 = deny:ECONNREFUSED\n"
		"connect unix @* = host\n"
		"connect unix /run/app/* = own\n"
		"connect unix * = deny\n";

	assert_prints(text, text);
}

static void test_other_spellings(void **state)
{
	assert_prints("  # nothing\n\n\t\r\n", "");
	assert_prints("", "");
	assert_prints("connect tcp 10.0.0.0/8=host#why\r\n",
		      "connect tcp 10.0.0.0/8 = host\n");
	assert_prints("\tbind any [2001:DB8::]/32:1-1 =host",
		      "bind any [2001:db8::/32]:1 = host\n");
	assert_prints("bind any 1.2.3.4/32:0-65535 = deny:EACCES",
		      "bind any 1.2.3.4 = deny\n");
	assert_prints("bind any [::ffff:10.0.0.0/104]:5 = own",
		      "bind any 10.0.0.0/8:5 = own\n");
	assert_prints("bind any [::ffff:0:0/96] = own", "bind any 0.0.0.0/0 = own\n");
	assert_prints("bind any 1.2.3.4 = own\n shortcut\toff # no\nshortcut off",
		      "shortcut off\nbind any 1.2.3.4 = own\n");
	assert_prints("\tconnect unix /a/../b*=deny:EACCES # as written",
		      "connect unix /a/../b* = deny\n");
	assert_prints("endpoint e ipv4 1.2.3.4:1 bound hold netns x\n",
		      "endpoint e ipv4 1.2.3.4:1 netns x hold bound\n");
}

/* The text with a NUL and no newline at its end; @size counts. */
static void test_text_is_not_a_string(void **state)
{
	static const char text[] = { 'b', 'i', 'n', 'd', ' ', 't', 'c',
				     'p', ' ', '1', '.', '2', '.', '3',
				     '.', '4', '=', 'o', 'w', 'n', 'X' };
	_cleanup_free_ char *once = printed(text, sizeof(text) - 1);

	assert_string_equal(once, "bind tcp 1.2.3.4 = own\n");
}

/* As long as can be, without its last byte. */
#define TEN       "1234567890"
#define LONG_PATH "/" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "123456"

static const struct {
	const char *text, *error;
} mistakes[] = {
	{ "bind tcp 0.0.0.0:70000 = host", "p:1:18: port 70000 is not in 0-65535" },
	{ "bind tcp 0.0.0.0:99999999999 = host",
	  "p:1:18: port 99999999999 is not in 0-65535" },
	{ "bind tcp 0.0.0.0: = host", "p:1:18: port '' is not a number" },
	{ "bind tcp 0.0.0.0:80- = host", "p:1:21: port '' is not a number" },
	{ "bind tcp 0.0.0.0:+1 = host", "p:1:18: port '+1' is not a number" },
	{ "\n\n  bind tcp 0.0.0.0:9-8 = host",
	  "p:3:20: port range 9-8 runs backwards; write 8-9" },
	{ "connect tcp 10.0.0.0/33 = host", "p:1:22: prefix length 33 is not in 0-32" },
	{ "connect tcp [2001:db8::/129] = host",
	  "p:1:25: prefix length 129 is not in 0-128" },
	{ "connect tcp [2001:db8::/32]/32 = host",
	  "p:1:28: the prefix length is given twice" },
	{ "connect tcp 10.0.0.0/ = host", "p:1:22: prefix length '' is not a number" },
	{ "connect tcp 10.1.2.3/8 = host",
	  "p:1:13: the address has bits set beyond /8; the network is 10.0.0.0/8" },
	{ "connect tcp [2001:db8::1/64]:80 = host",
	  "p:1:13: the address has bits set beyond /64; the network is 2001:db8::/64" },
	{ "connect tcp 10.0.0 = host", "p:1:13: '10.0.0' is not an IPv4 address" },
	{ "connect tcp localhost:80 = host",
	  "p:1:13: 'localhost' is not an IPv4 address" },
	{ "connect tcp [fe80::1%lo]:80 = host",
	  "p:1:14: 'fe80::1%lo': addresses take no zone" },
	{ "connect tcp [::g]:80 = host", "p:1:14: '::g' is not an IPv6 address" },
	{ "connect tcp [::1:80 = host", "p:1:13: ']' is missing after '[::1:80'" },
	{ "connect tcp [::1]80 = host",
	  "p:1:18: '80' after the address; expected :PORT" },
	{ "connect tcp [10.0.0.1]:80 = host",
	  "p:1:14: '10.0.0.1': only IPv6 addresses stand in brackets" },
	{ "connect tcp ::1 = host",
	  "p:1:13: '::1': an IPv6 address stands in brackets, as in "
	  "[2001:db8::1]:80" },
	{ "connect tcp 0.0.0.0:1 = host",
	  "p:1:13: connect to a wildcard address means loopback; write 127.0.0.1" },
	{ "connect tcp [::ffff:0.0.0.0] = host",
	  "p:1:13: connect to a wildcard address means loopback; write 127.0.0.1" },
	{ "connect tcp [::] = host",
	  "p:1:13: connect to a wildcard address means loopback; write [::1]" },
	{ "bind", "p:1:5: the protocol is missing; expected tcp, udp or any" },
	{ "bind sctp 1.2.3.4 = host",
	  "p:1:6: 'sctp' is not a protocol; expected tcp, udp or any" },
	{ "bind tcp", "p:1:9: an address is missing" },
	{ "bind tcp 1.2.3.4", "p:1:17: '= TARGET' is missing" },
	{ "bind tcp 1.2.3.4 host", "p:1:18: 'host' where '=' belongs" },
	{ "bind tcp 1.2.3.4 =",
	  "p:1:19: the target is missing; expected NAME, host, own, "
	  "deny[:ERRNO] or from NAME" },
	{ "bind tcp 1.2.3.4 = host host", "p:1:25: 'host' after the target" },
	{ "bind tcp 1.2.3.4 = = host",
	  "p:1:20: '=' is not a target; expected NAME, host, own, "
	  "deny[:ERRNO] or from NAME" },
	{ "bind tcp 1.2.3.4 = deny:EWHAT",
	  "p:1:25: 'EWHAT' is not an errno name such as ECONNREFUSED" },
	{ "bind tcp 1.2.3.4 = deny:",
	  "p:1:20: 'deny:' is not a target; expected NAME, host, "
	  "own, deny[:ERRNO] or from NAME" },
	{ "connect tcp 1.2.3.4 = from",
	  "p:1:27: the target is missing; expected NAME, host, "
	  "own, deny[:ERRNO] or from NAME" },
	{ "connect tcp 1.2.3.4 = from host",
	  "p:1:28: 'from' needs the name of an endpoint" },
	{ "listen tcp 1.2.3.4",
	  "p:1:1: 'listen' begins no line; expected endpoint, bind, "
	  "connect or a setting" },
	{ "shortcut", "p:1:9: shortcut needs a value; expected off or on" },
	{ "shortcut maybe",
	  "p:1:10: 'maybe' is no value of shortcut; expected off or on" },
	{ "shortcut on off", "p:1:13: 'off' after the value" },
	{ "shortcut on\n  shortcut on\n  shortcut off",
	  "p:3:3: shortcut is on already, by p:1" },
	{ "bind \001 x", "p:1:6: a control character (0x01)" },
	{ "endpoint", "p:1:9: the endpoint's name is missing" },
	{ "endpoint a/b ipv4 1.2.3.4:1",
	  "p:1:10: 'a/b' is not a name: up to 63 letters, digits, "
	  "'_', '-' and '.', the first one not '-' or '.'" },
	{ "endpoint host ipv4 1.2.3.4:1",
	  "p:1:10: 'host' is a target word and cannot name an endpoint" },
	{ "endpoint a", "p:1:11: the kind is missing; expected ipv4, ipv6 or unix" },
	{ "endpoint a ipv5",
	  "p:1:12: 'ipv5' is not a kind; expected ipv4, ipv6 or unix" },
	{ "endpoint a any netns web",
	  "p:1:10: 'a' has no address: only the module af_graft keeps such endpoints" },
	{ "endpoint a ipv6 [fe80::1%2]:80",
	  "p:1:10: 'a' has a zone: only the module af_graft keeps such endpoints" },
	{ "endpoint a ipv6 [2001:db8::1%2]:80",
	  "p:1:18: '2001:db8::1%2': a zone goes with a link-local address only" },
	{ "endpoint a ipv4",
	  "p:1:16: '' has no port; expected ADDR:PORT or ADDR:dynamic" },
	{ "endpoint a ipv4 1.2.3.4",
	  "p:1:17: '1.2.3.4' has no port; expected ADDR:PORT or "
	  "ADDR:dynamic" },
	{ "endpoint a ipv4 [::1]:1", "p:1:18: '::1' is not an IPv4 address" },
	{ "endpoint a ipv6 1.2.3.4:1", "p:1:17: '1.2.3.4' is not an IPv6 address" },
	{ "endpoint a ipv6 [::ffff:1.2.3.4]:1",
	  "p:1:18: '::ffff:1.2.3.4' is an IPv4 address in IPv6 clothes; define the endpoint as "
	  "ipv4" },
	{ "endpoint a ipv4 1.2.3.4:0",
	  "p:1:25: port 0: write 'dynamic' for a port the kernel picks" },
	{ "endpoint a ipv6 ::1:80",
	  "p:1:17: '::1:80': an IPv6 address stands in brackets, as in "
	  "[2001:db8::1]:80" },
	{ "endpoint a ipv6 [::1:80",
	  "p:1:17: '[::1:80' has no port; expected ADDR:PORT or "
	  "ADDR:dynamic" },
	{ "endpoint a unix run/x",
	  "p:1:17: 'run/x' is not an absolute path (nor an abstract "
	  "@NAME)" },
	{ "endpoint a unix /x hold hold", "p:1:25: option 'hold' is given twice" },
	{ "endpoint a unix /x keep",
	  "p:1:20: 'keep' is not an option; expected netns REF, hold, share, bound, or "
	  "owner, binder or connector WHO" },
	{ "endpoint a unix /x netns",
	  "p:1:25: netns needs a pid, a name or a path after it" },
	{ "endpoint a unix /x netns 0", "p:1:26: '0' is not a pid" },
	{ "endpoint a unix /x netns b netns c", "p:1:34: netns is given twice" },
	{ "endpoint a unix /x netns a:b", "p:1:26: 'a:b' is not a pid, nor a name under "
					  "/run/netns, nor a path" },
	{ "endpoint a unix /x\nendpoint a unix /y",
	  "p:2:10: endpoint 'a' is already defined at "
	  "p:1" },
	{ "endpoint web unix /x\nbind tcp 1.2.3.4 = wbe",
	  "p:2:20: endpoint 'wbe' is not defined; did you mean 'web'?" },
	{ "bind tcp 1.2.3.4 = web", "p:1:20: endpoint 'web' is not defined" },
	{ "endpoint a ipv6 [::1]:1\nbind tcp 0.0.0.0:80 = a",
	  "p:2:23: endpoint 'a' is ipv6; an IPv4 socket cannot be bound to it" },
	{ "endpoint a ipv6 [::]:1\nbind tcp 0.0.0.0:80 = a",
	  "p:2:23: endpoint 'a' is ipv6; an IPv4 socket cannot be bound to it" },
	{ "endpoint a ipv6 [::1]:1\nconnect tcp 1.2.3.4:80 = a",
	  "p:2:26: endpoint 'a' is ipv6; an IPv4 socket cannot reach it" },
	{ "endpoint a unix /x\nconnect tcp 1.2.3.4:80 = from a",
	  "p:2:31: 'from a': a unix endpoint is no source address" },
	{ "endpoint a ipv4 1.2.3.4:1\nconnect tcp [::1]:80 = from a",
	  "p:2:29: 'from a': the source is IPv4 and the destination IPv6" },
	{ "bind tcp 1.2.3.4 = from a",
	  "p:1:25: 'from' is for connect rules; a bind rule names the endpoint alone" },
	{ "bind unix /x = deny",
	  "p:1:6: the kernel has no hook for bind() to a UNIX path; "
	  "a rule on one begins with 'connect unix'" },
	{ "connect sctp 1.2.3.4 = host",
	  "p:1:9: 'sctp' is not a protocol; expected tcp, udp, any or unix" },
	{ "connect unix = deny",
	  "p:1:14: the path is missing; expected /PATH, @NAME or the "
	  "beginning of one and '*'" },
	{ "connect unix run/x = deny",
	  "p:1:14: 'run/x' is not an absolute path (nor an abstract @NAME)" },
	{ "connect unix run/* = deny",
	  "p:1:14: 'run/*' is not an absolute path (nor an abstract @NAME)" },
	{ "connect unix @ = deny",
	  "p:1:14: '@' is not an absolute path (nor an abstract @NAME)" },
	{ "connect unix /a*b = deny",
	  "p:1:14: '/a*b': '*' stands at the end of a path alone" },
	{ "connect unix /** = deny",
	  "p:1:14: '/**': '*' stands at the end of a path alone" },
	{ "connect unix " LONG_PATH "8 = deny",
	  "p:1:14: the path is longer than the 107 bytes a UNIX socket takes" },
	{ "connect unix /x deny", "p:1:17: 'deny' where '=' belongs" },
	{ "endpoint a unix /a\nconnect unix /x = from a",
	  "p:2:24: 'from' is for addresses; a UNIX path leads to the endpoint alone" },
	{ "endpoint a ipv6 [::1]:1\nconnect unix /x = a",
	  "p:2:19: endpoint 'a' is ipv6; a UNIX socket cannot reach it" },
	{ "endpoint a unix /a bound\nconnect unix /x = a",
	  "p:2:19: endpoint 'a' is 'bound': who is bound to a UNIX path is not known" },
	{ "endpoint a unix @a netns b\nconnect unix /x = a",
	  "p:2:19: endpoint 'a' is in another network namespace; a UNIX path leads to one "
	  "without netns" },
};

static void test_mistakes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
		_cleanup_(policy_freep) struct policy *policy = policy_new();
		struct policy_error error = { "" };
		const char *text = mistakes[i].text;
		int r;

		policy_allow_paths(policy);
		r = policy_add_text(policy, "p", text, strlen(text), &error);
		if (r == 0)
			r = policy_seal(policy, &error);
		else
			assert_int_equal(policy_n_rules(policy) +
						 policy_n_endpoints(policy),
					 0);
		assert_int_equal(r, -EINVAL);
		assert_string_equal(error.text, mistakes[i].error);
		/* And without anybody to tell. */
		policy_free(policy);
		policy = policy_new();
		policy_allow_paths(policy);
		r = policy_add_text(policy, "p", text, strlen(text), NULL);
		assert_int_equal(r ? r : policy_seal(policy, NULL), -EINVAL);
	}
}

static void keep_error(void *context, const struct policy_error *error)
{
	*(struct policy_error *)context = *error;
}

/* Who does not judge paths does not take rules on them, or leaves them out aloud. */
static void test_paths_are_for_who_judges_them(void **state)
{
	static const char text[] =
		"connect tcp 1.2.3.4 = deny\nconnect unix " LONG_PATH " = deny\n";
	static const char why[] =
		"p:2:1: UNIX paths are judged by the cgroup engine alone: "
		"--engine cgroup or graft attach, Linux 6.7 or later";
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	struct policy_error error = { "" };

	assert_int_equal(policy_add_text(policy, "p", text, strlen(text), &error), 0);
	assert_int_equal(policy_seal(policy, &error), -EINVAL);
	assert_string_equal(error.text, why);
	error.text[0] = '\0';
	assert_int_equal(policy_seal_rest(policy, keep_error, &error), 1);
	assert_string_equal(error.text, why);
	assert_int_equal(policy_n_rules(policy), 1);
	assert_int_equal(policy_rule(policy, 0)->family, AF_INET);
}

static void test_failure_leaves_the_policy_as_it_was(void **state)
{
	static const char good[] = "endpoint a unix /a\nconnect tcp 1.2.3.4 = a\n";
	static const char bad[] = "endpoint b unix /b\nconnect tcp 1.2.3.4 = b\nbind x";
	static const char again[] = "endpoint b unix /other\n";
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	_cleanup_free_ char *text = NULL;
	struct policy_error error;

	assert_int_equal(policy_add_text(policy, "1", good, strlen(good), &error), 0);
	assert_int_equal(policy_add_text(policy, "2", bad, strlen(bad), &error), -EINVAL);
	assert_int_equal(policy_add_publish(policy, "1-2:1-3", &error), -EINVAL);
	assert_int_equal(policy_add_conv_pairs(policy, "1.2.3.4:5=a 1.2.3.4", &error),
			 -EINVAL);
	assert_int_equal(policy_n_rules(policy), 1);
	assert_int_equal(policy_n_endpoints(policy), 1);
	assert_null(policy_find_endpoint(policy, "b"));
	assert_int_equal(policy_add_text(policy, "3", again, strlen(again), &error), 0);
	assert_non_null(policy_find_endpoint(policy, "b"));
	assert_int_equal(policy_seal(policy, &error), 0);
	text = policy_print(policy);
	assert_string_equal(text, "endpoint a unix /a\nendpoint b unix /other\n"
				  "connect tcp 1.2.3.4 = a\n");
	assert_int_equal(policy_add_text(policy, "4", "", 0, &error), 0);
	assert_int_equal(policy_add_text(policy, "4", "bind tcp 1.1.1.1 = own", 22,
					 &error),
			 -EINVAL);
	assert_int_equal(policy_seal(policy, &error), -EINVAL);
}

static void test_settings(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	const struct policy_origin *origin;
	struct policy_error error;

	assert_int_equal(policy_setting(policy, POLICY_SHORTCUT, &origin), POLICY_OFF);
	assert_null(origin);
	assert_int_equal(policy_add_text(policy, "1", "shortcut on\nbind", 16, &error),
			 -EINVAL);
	assert_int_equal(policy_setting(policy, POLICY_SHORTCUT, &origin), POLICY_OFF);
	assert_null(origin);
	assert_int_equal(policy_add_text(policy, "2", "\nshortcut off", 13, &error), 0);
	assert_int_equal(policy_add_text(policy, "3", "shortcut on", 11, &error),
			 -EINVAL);
	assert_string_equal(error.text, "3:1:1: shortcut is off already, by 2:2");
	assert_int_equal(policy_setting(policy, POLICY_SHORTCUT, &origin), POLICY_OFF);
	assert_string_equal(origin->source, "2");
	assert_int_equal(policy_seal(policy, &error), 0);
	assert_int_equal(policy_add_text(policy, "4", "shortcut off", 12, &error),
			 -EINVAL);
	assert_string_equal(error.text, "the policy is sealed and takes nothing more");
	assert_string_equal(policy_setting_name(POLICY_SHORTCUT), "shortcut");
	assert_string_equal(policy_setting_word(POLICY_SHORTCUT, POLICY_ON), "on");
	assert_null(policy_setting_word(POLICY_SHORTCUT, 2));
}

static void collect(void *context, const struct policy_error *error)
{
	char *all = context;

	strcat(all, error->text);
	strcat(all, "\n");
}

static void test_check_tells_all(void **state)
{
	static const char text[] =
		"bind tcp 1.2.3.4 = nobody\nbind\nconnect tcp 1.1.1.1 = own\n"
		"bind tcp x = own\n";
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	char all[1024] = "";

	assert_int_equal(policy_check_text(policy, "p", text, strlen(text), collect, all),
			 2);
	assert_int_equal(policy_check_seal(policy, collect, all), 1);
	assert_string_equal(all,
			    "p:2:5: the protocol is missing; expected tcp, udp or any\n"
			    "p:4:10: 'x' is not an IPv4 address\n"
			    "p:1:20: endpoint 'nobody' is not defined\n");
	assert_int_equal(policy_n_rules(policy), 2);
}

static bool same_rule(const struct rule *a, const struct rule *b)
{
	return a->op == b->op && a->proto == b->proto && a->family == b->family &&
	       !memcmp(&a->address, &b->address, 16) && a->prefix == b->prefix &&
	       a->port_low == b->port_low && a->port_high == b->port_high &&
	       a->is_beginning == b->is_beginning &&
	       !strcmp(a->path ? a->path : "", b->path ? b->path : "") &&
	       a->target == b->target && a->deny_errno == b->deny_errno &&
	       (a->endpoint ? a->endpoint->index : 99) ==
		       (b->endpoint ? b->endpoint->index : 99);
}

static void test_print_and_parse_is_the_identity(void **state)
{
	struct random random = { 0x1dea };

	for (unsigned int round = 0; round < 300; round++) {
		_cleanup_free_ char *text = random_policy_text(&random, round % 60);
		_cleanup_(policy_freep) struct policy *one = policy_new();
		_cleanup_(policy_freep) struct policy *two = policy_new();
		_cleanup_free_ char *first = NULL, *second = NULL;
		struct policy_error error = { "" };

		policy_allow_paths(one);
		policy_allow_paths(two);
		if (policy_add_text(one, "p", text, strlen(text), &error) < 0 ||
		    policy_seal(one, &error) < 0)
			fail_msg("%s", error.text);
		first = policy_print(one);
		if (policy_add_text(two, "p", first, strlen(first), &error) < 0 ||
		    policy_seal(two, &error) < 0)
			fail_msg("%s", error.text);
		second = policy_print(two);
		assert_string_equal(first, second);
		assert_int_equal(policy_n_rules(one), policy_n_rules(two));
		for (size_t i = 0; i < policy_n_rules(one); i++)
			assert_true(same_rule(policy_rule(one, i), policy_rule(two, i)));
	}
}

/* Every word of a line in turn grown to 4 KiB, and a source name as long. */
static void test_long_words_do_not_overflow(void **state)
{
	static const char line[] = "endpoint name unix /path netns back hold share bound";
	char source[4096], text[4096];
	struct policy_error error;

	memset(source, 's', sizeof(source));
	source[sizeof(source) - 1] = '\0';
	for (size_t at = 0; at <= strlen(line); at++) {
		_cleanup_(policy_freep) struct policy *policy = policy_new();

		memset(text, 'x', sizeof(text));
		memcpy(text, line, at);
		assert_int_equal(policy_add_text(policy, source, text, sizeof(text),
						 &error),
				 -EINVAL);
		assert_null(strchr(error.text, '\n'));
		assert_in_range(strlen(error.text), 1, sizeof(error.text) - 1);
	}
}

static void test_origin_and_cut(void **state)
{
	struct policy_origin file = { "p.conf", 3, 1 }, option = { "-p 8080:80", 0, 0 };
	char text[32];

	assert_int_equal(policy_print_origin(&file, text, sizeof(text)), 8);
	assert_string_equal(text, "p.conf:3");
	assert_int_equal(policy_print_origin(&option, text, sizeof(text)), 10);
	assert_string_equal(text, "-p 8080:80");
	assert_int_equal(policy_print_origin(&option, text, 5), 4);
	assert_string_equal(text, "-p 8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prints_as_written),
		cmocka_unit_test(test_other_spellings),
		cmocka_unit_test(test_text_is_not_a_string),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_paths_are_for_who_judges_them),
		cmocka_unit_test(test_failure_leaves_the_policy_as_it_was),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_check_tells_all),
		cmocka_unit_test(test_print_and_parse_is_the_identity),
		cmocka_unit_test(test_long_words_do_not_overflow),
		cmocka_unit_test(test_origin_and_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
