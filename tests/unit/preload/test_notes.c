/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "intercept/preload/notes.h"

struct key {
	uint64_t a, b;
};

struct value {
	uint64_t words[4];
};

#define TABLE(bits, levels) NOTES_OF(struct key, struct value, bits, levels)

static struct value value_of(uint64_t number)
{
	return (struct value){ { number, ~number, number * 3, number ^ 0xff } };
}

/* What notes are for is to be used in signal handlers. */
/* NOLINTBEGIN(bugprone-signal-handler) */
static void set(struct notes *notes, uint64_t key, uint64_t value)
{
	struct key k = { key, key >> 3 };
	struct value v = value_of(value);

	notes_set(notes, &k, &v);
}

/* Return: the number, or 0; fails when a value is half one and half another. */
static uint64_t get(struct notes *notes, uint64_t key)
{
	struct key k = { key, key >> 3 };
	struct value v = { { 0 } }, whole;

	if (!notes_find(notes, &k, &v))
		return 0;
	whole = value_of(v.words[0]);
	assert_memory_equal(&v, &whole, sizeof(v));
	return v.words[0];
}

/* NOLINTEND(bugprone-signal-handler) */

static void empty(void **state)
{
	struct notes notes = TABLE(4, 4);

	assert_true(notes_is_empty(&notes));
	assert_int_equal(get(&notes, 1), 0);
	notes_forget(&notes, &(struct key){ 1, 0 });
	assert_true(notes_is_empty(&notes));
}

static void overwritten_and_forgotten(void **state)
{
	struct notes notes = TABLE(4, 4);

	set(&notes, 8, 1);
	assert_false(notes_is_empty(&notes));
	set(&notes, 8, 2);
	set(&notes, 9, 3);
	assert_int_equal(get(&notes, 8), 2);
	assert_int_equal(get(&notes, 9), 3);
	notes_forget(&notes, &(struct key){ 8, 1 });
	assert_int_equal(get(&notes, 8), 0);
	assert_int_equal(get(&notes, 9), 3);
	set(&notes, 8, 4);
	assert_int_equal(get(&notes, 8), 4);
}

static void grows(void **state)
{
	static struct notes notes = TABLE(2, 12);

	for (uint64_t i = 1; i <= 4000; i++)
		set(&notes, i, i);
	for (uint64_t i = 1; i <= 4000; i++)
		assert_int_equal(get(&notes, i), i);
}

static void is_bounded(void **state)
{
	static struct notes notes = TABLE(4, 2);
	unsigned int n = 0;

	for (uint64_t i = 1; i <= 10000; i++) {
		set(&notes, i, i);
		assert_int_equal(get(&notes, i), i);
	}
	for (uint64_t i = 1; i <= 10000; i++)
		n += get(&notes, i) == i;
	assert_in_range(n, 24, 48);
}

#define KEYS 64

static struct notes shared = TABLE(4, 4);

static void *write_many(void *context)
{
	for (uint64_t i = 1; i < 200000; i++)
		set(&shared, i % KEYS, i);
	return context;
}

static void threads(void **state)
{
	pthread_t writers[3];

	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&writers[i], NULL, write_many, NULL), 0);
	for (uint64_t i = 0; i < 400000; i++) {
		uint64_t found = get(&shared, i % KEYS);

		assert_true(found == 0 || found % KEYS == i % KEYS);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(writers[i], NULL);
	for (uint64_t i = 0; i < KEYS; i++)
		assert_true(get(&shared, i) != 0);
}

static struct notes interrupted = TABLE(3, 3);
static volatile sig_atomic_t n_signals;

static void on_alarm(int signal)
{
	set(&interrupted, (uint64_t)n_signals % 8 + 1, 7);
	get(&interrupted, 3);
	n_signals++;
}

static void signal_handlers(void **state)
{
	const struct itimerval often = { { 0, 100 }, { 0, 100 } }, never = { { 0 } };

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &often, NULL);
	for (uint64_t i = 0; n_signals < 200; i++) {
		set(&interrupted, i % 8 + 1, i + 1);
		get(&interrupted, i % 8 + 1);
	}
	setitimer(ITIMER_REAL, &never, NULL);
}

/* A slot whose writer died is never used again, and nothing waits for it. */
static void vfork_child_dies_writing(void **state)
{
	static struct notes notes = TABLE(3, 2);
	uint64_t *slots;

	set(&notes, 1, 1);
	slots = (uint64_t *)(void *)notes.levels[0];
	for (int i = 0; i < 8; i++)
		slots[7 * i] |= 1;
	assert_int_equal(get(&notes, 1), 0);
	set(&notes, 1, 2);
	assert_int_equal(get(&notes, 1), 2);
	notes_forget(&notes, &(struct key){ 1, 0 });
	assert_int_equal(get(&notes, 1), 0);
}

#ifdef __has_feature
#	if __has_feature(thread_sanitizer)
#		define VFORK_IS_FORK 1
#	endif
#endif

static void vfork_writes_for_both(void **state)
{
#ifdef VFORK_IS_FORK
	skip();
#endif
	static struct notes notes = TABLE(4, 4);
	pid_t child;
	int status;

	set(&notes, 1, 1);
	child = vfork();
	if (child == 0) {
		set(&notes, 2, 2);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(get(&notes, 1), 1);
	assert_int_equal(get(&notes, 2), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),
		cmocka_unit_test(overwritten_and_forgotten),
		cmocka_unit_test(grows),
		cmocka_unit_test(is_bounded),
		cmocka_unit_test(threads),
		cmocka_unit_test(signal_handlers),
		cmocka_unit_test(vfork_child_dies_writing),
		cmocka_unit_test(vfork_writes_for_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
