/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>

#include "base/cleanup.h"
#include "intercept/notify/engine.h"

#define HOST true
#define OWN  false

static struct notify notify;

static struct notify *fresh(unsigned int default_host_v4, unsigned int default_host_v6)
{
	memset(&notify, 0, sizeof(notify));
	notify.reach.default_host_v4 = default_host_v4;
	notify.reach.default_host_v6 = default_host_v6;
	guess_init(&notify);
	return &notify;
}

static bool guess(pid_t thread, int family, enum policy_proto proto)
{
	struct call call = { .notify = &notify, .pid = thread };

	return guess_is_host(&call, family, proto);
}

static void learn(pid_t thread, int family, enum policy_proto proto, bool host)
{
	struct call call = { .notify = &notify, .pid = thread };
	struct subject subject = { .domain = family, .proto = proto };

	guess_learn(&call, &subject, host);
}

static void test_default(void **state)
{
	fresh(POLICY_TCP, POLICY_UDP);
	assert_true(guess(1, AF_INET, POLICY_TCP));
	assert_false(guess(1, AF_INET, POLICY_UDP));
	assert_false(guess(1, AF_INET6, POLICY_TCP));
	assert_true(guess(1, AF_INET6, POLICY_UDP));
	fresh(0, 0);
	assert_false(guess(1, AF_INET, POLICY_TCP));
	assert_false(guess(1, AF_INET6, POLICY_UDP));
}

/* What connects came to, and the guess after them. */
static void test_learn(void **state)
{
	static const struct {
		bool first;
		const char *connects; /* h: host, o: own */
		bool after;
	} rows[] = {
		{ HOST, "", HOST },         { OWN, "", OWN },
		{ HOST, "o", OWN },         { OWN, "h", HOST }, /* not firm yet */
		{ HOST, "ho", HOST },       { HOST, "hoo", OWN },
		{ OWN, "oh", OWN },         { OWN, "ohh", HOST },
		{ HOST, "hhhhhhoo", OWN },  { OWN, "ooooooohh", HOST },
		{ HOST, "hohohoho", HOST }, { HOST, "hooo", OWN },
		{ HOST, "hooohh", HOST },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fresh(rows[i].first ? POLICY_TCP : 0, 0);
		for (const char *c = rows[i].connects; *c; c++)
			learn(1, AF_INET, POLICY_TCP, *c == 'h');
		print_message("# %s\n", rows[i].connects);
		assert_int_equal(guess(1, AF_INET, POLICY_TCP), rows[i].after);
	}
}

static void test_rows_are_apart(void **state)
{
	fresh(POLICY_TCP | POLICY_UDP, POLICY_TCP | POLICY_UDP);
	for (int i = 0; i < 4; i++)
		learn(1, AF_INET6, POLICY_UDP, OWN);
	assert_false(guess(1, AF_INET6, POLICY_UDP));
	assert_true(guess(1, AF_INET6, POLICY_TCP));
	assert_true(guess(1, AF_INET, POLICY_UDP));
	assert_true(guess(1, AF_INET, POLICY_TCP));
}

/* A thread keeps what it learned; one that comes later starts from what the run did. */
static void test_threads(void **state)
{
	fresh(POLICY_TCP, 0);
	for (int i = 0; i < 4; i++)
		learn(1, AF_INET, POLICY_TCP, HOST);
	for (int i = 0; i < 4; i++)
		learn(2, AF_INET, POLICY_TCP, OWN);
	assert_true(guess(1, AF_INET, POLICY_TCP));
	assert_false(guess(2, AF_INET, POLICY_TCP));
	assert_false(guess(3, AF_INET, POLICY_TCP));
	for (int i = 0; i < 4; i++)
		learn(1, AF_INET, POLICY_TCP, HOST);
	assert_true(guess(4, AF_INET, POLICY_TCP));
	assert_false(guess(2, AF_INET, POLICY_TCP));
	assert_false(guess(3, AF_INET, POLICY_TCP));
}

/* Two ids in one slot: each takes it over and starts from the run's guess. */
static void test_collision(void **state)
{
	const pid_t other = 1 + GUESS_SLOTS;

	fresh(POLICY_TCP, 0);
	for (int i = 0; i < 4; i++)
		learn(1, AF_INET, POLICY_TCP, OWN);
	for (int i = 0; i < 8; i++)
		learn(5, AF_INET, POLICY_TCP, HOST);
	assert_false(guess(1, AF_INET, POLICY_TCP));
	assert_true(guess(other, AF_INET, POLICY_TCP));
	assert_true(guess(1, AF_INET, POLICY_TCP));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),        cmocka_unit_test(test_learn),
		cmocka_unit_test(test_rows_are_apart), cmocka_unit_test(test_threads),
		cmocka_unit_test(test_collision),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
