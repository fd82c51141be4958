/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/eventfd.h>

#include "base/event.h"
#include "base/fd.h"

#define N 4

static struct event_loop loop;

struct counter {
	struct event_source source;
	int fd;
	int n_calls;
};

static struct counter counters[N];

static void count(struct event_source *source, uint32_t events)
{
	container_of(source, struct counter, source)->n_calls++;
}

/* Whoever is first deletes all the others. */
static void count_alone(struct event_source *source, uint32_t events)
{
	count(source, events);
	for (int i = 0; i < N; i++)
		if (&counters[i].source != source)
			event_loop_del(&loop, counters[i].fd, &counters[i].source);
}

static int set_up(void **state)
{
	if (event_loop_init(&loop) < 0)
		return -1;
	for (int i = 0; i < N; i++) {
		counters[i] = (struct counter){ { count }, eventfd(1, EFD_CLOEXEC), 0 };
		if (event_loop_add(&loop, counters[i].fd, EPOLLIN, &counters[i].source) <
		    0)
			return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	for (int i = 0; i < N; i++)
		close(counters[i].fd);
	event_loop_deinit(&loop);
	return loop.epoll_fd != -1;
}

static int calls(void)
{
	int n = 0;

	for (int i = 0; i < N; i++)
		n += counters[i].n_calls;
	return n;
}

static void test_sources(void **state)
{
	assert_int_equal(event_loop_run_once(&loop, 0), N);
	assert_int_equal(calls(), N);
	assert_int_equal(event_loop_mod(&loop, counters[0].fd, 0, &counters[0].source),
			 0);
	assert_int_equal(event_loop_run_once(&loop, 0), N - 1);
	assert_int_equal(event_loop_add(&loop, -1, EPOLLIN, &counters[0].source), -EBADF);
}

static void test_deleted_in_the_same_round(void **state)
{
	for (int i = 0; i < N; i++)
		counters[i].source.ready = count_alone;
	assert_int_equal(event_loop_run_once(&loop, 0), 1);
	assert_int_equal(calls(), 1);
	assert_int_equal(event_loop_run_once(&loop, 0), 1);
}

static struct event_timer timers[3];
static int n_expired;

static void expire(struct event_timer *timer, uint64_t now_ns)
{
	assert_true(timer->deadline_ns == EVENT_NEVER);
	n_expired++;
}

/* Takes the others out, and is due again at once. */
static void expire_alone(struct event_timer *timer, uint64_t now_ns)
{
	n_expired++;
	for (int i = 0; i < 3; i++)
		if (&timers[i] != timer)
			event_loop_del_timer(&loop, &timers[i]);
	timer->deadline_ns = 0;
}

static void test_timers(void **state)
{
	uint64_t now = event_now_ns();

	for (int i = 0; i < N; i++)
		event_loop_del(&loop, counters[i].fd, &counters[i].source);
	n_expired = 0;
	timers[0] = (struct event_timer){ now + 20000000, expire };
	timers[1] = (struct event_timer){ now + 10000000, expire };
	timers[2] = (struct event_timer){ EVENT_NEVER, expire };
	for (int i = 0; i < 3; i++)
		event_loop_add_timer(&loop, &timers[i]);
	assert_int_equal(event_loop_run_once(&loop, 0), 0);
	while (n_expired < 2)
		assert_int_equal(event_loop_run_once(&loop, -1), 0);
	assert_true(event_now_ns() - now >= 20000000);

	for (int i = 0; i < 3; i++)
		timers[i] = (struct event_timer){ 0, expire_alone, timers[i].next };
	n_expired = 0;
	event_loop_run_once(&loop, 0);
	assert_in_range(n_expired, 1, 3);
	n_expired = 0;
	event_loop_run_once(&loop, 1000); /* does not wait */
	assert_in_range(n_expired, 1, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sources, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deleted_in_the_same_round, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_timers, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
