/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/event.h"
#include "run/grafts.h"

static void test_note_and_find(void **state)
{
	struct grafts *grafts = grafts_new();
	struct graft_note note;

	assert_non_null(grafts);
	assert_false(grafts_find(grafts, 7, &note));
	grafts_note(grafts, 7, 3, 1000);
	assert_true(grafts_find(grafts, 7, &note));
	assert_int_equal(note.rule, 3);
	assert_int_equal(note.since_ns, 1000);
	/* bound first, connected later: the age stays, the rule is the new one */
	grafts_note(grafts, 7, GRAFTS_NO_RULE, 2000);
	assert_true(grafts_find(grafts, 7, &note));
	assert_int_equal(note.rule, GRAFTS_NO_RULE);
	assert_int_equal(note.since_ns, 1000);
	assert_null(grafts_free(grafts));
	assert_null(grafts_free(NULL));
}

/* A million sockets: the newest tenth of what fits is all there, and the oldest gone. */
static void test_full(void **state)
{
	const uint64_t n = 1000000, recent = GRAFTS_MAX / 10;
	struct grafts *grafts = grafts_new();
	struct graft_note note;
	uint64_t started, missing = 0;

	started = event_now_ns();
	for (uint64_t i = 1; i <= n; i++)
		grafts_note(grafts, i, (uint32_t)i, i);
	print_message("# a note costs %llu ns\n",
		      (unsigned long long)((event_now_ns() - started) / n));
	for (uint64_t i = n - recent; i <= n; i++) {
		if (!grafts_find(grafts, i, &note))
			missing++;
		else
			assert_int_equal(note.rule, i);
	}
	assert_int_equal(missing, 0);
	for (uint64_t i = 1; i <= n / 2; i++)
		assert_false(grafts_find(grafts, i, &note));
	grafts_free(grafts);
}

static void *note_many(void *argument)
{
	struct grafts *grafts = argument;

	for (uint64_t i = 1; i <= 100000; i++) {
		struct graft_note note;

		grafts_note(grafts, i, (uint32_t)i, i);
		if (grafts_find(grafts, i, &note) && note.rule != i)
			return grafts;
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct grafts *grafts = grafts_new();
	pthread_t threads[4];
	void *wrong;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, note_many, grafts), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	grafts_free(grafts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_note_and_find),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
