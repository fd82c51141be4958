/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <time.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/memory.h"

#define NS_PER_MS 1000000ull

uint64_t event_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

int event_loop_init(struct event_loop *loop)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return -errno;
	loop->epoll_fd = fd;
	loop->timers = NULL;
	loop->n_ready = 0;
	return 0;
}

void event_loop_deinit(struct event_loop *loop)
{
	loop->epoll_fd = fd_close(loop->epoll_fd);
	loop->timers = NULL;
}

static int control(struct event_loop *loop, int op, int fd, uint32_t events,
		   struct event_source *source)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(loop->epoll_fd, op, fd, &event) < 0 ? -errno : 0;
}

int event_loop_add(struct event_loop *loop, int fd, uint32_t events,
		   struct event_source *source)
{
	return control(loop, EPOLL_CTL_ADD, fd, events, source);
}

int event_loop_mod(struct event_loop *loop, int fd, uint32_t events,
		   struct event_source *source)
{
	return control(loop, EPOLL_CTL_MOD, fd, events, source);
}

void event_loop_del(struct event_loop *loop, int fd, struct event_source *source)
{
	control(loop, EPOLL_CTL_DEL, fd, 0, NULL);
	for (int i = 0; i < loop->n_ready; i++)
		if (loop->ready[i].data.ptr == source)
			loop->ready[i].data.ptr = NULL;
}

void event_loop_add_timer(struct event_loop *loop, struct event_timer *timer)
{
	timer->next = loop->timers;
	loop->timers = timer;
}

void event_loop_del_timer(struct event_loop *loop, struct event_timer *timer)
{
	for (struct event_timer **at = &loop->timers; *at; at = &(*at)->next) {
		if (*at == timer) {
			*at = timer->next;
			return;
		}
	}
}

static int wait_ms(const struct event_loop *loop, int timeout_ms)
{
	uint64_t first = EVENT_NEVER, now, ms;

	for (const struct event_timer *t = loop->timers; t; t = t->next)
		if (t->deadline_ns < first)
			first = t->deadline_ns;
	if (first == EVENT_NEVER)
		return timeout_ms;
	now = event_now_ns();
	ms = first > now ? (first - now + NS_PER_MS - 1) / NS_PER_MS : 0;
	if (ms > INT_MAX)
		ms = INT_MAX;
	return timeout_ms >= 0 && (uint64_t)timeout_ms < ms ? timeout_ms : (int)ms;
}

/* Starts over after each call, since a callback may take any timer out. A timer armed
 * again for the past waits for the next round. */
static void run_timers(struct event_loop *loop)
{
	uint64_t now = event_now_ns();
	unsigned int n = 0;

	for (struct event_timer *t = loop->timers; t; t = t->next)
		n++;
	for (struct event_timer *t = loop->timers; t && n;) {
		if (t->deadline_ns > now) {
			t = t->next;
			continue;
		}
		t->deadline_ns = EVENT_NEVER;
		t->expired(t, now);
		t = loop->timers;
		n--;
	}
}

int event_loop_run_once(struct event_loop *loop, int timeout_ms)
{
	int n = epoll_wait(loop->epoll_fd, loop->ready, EVENT_BATCH,
			   wait_ms(loop, timeout_ms));
	int n_called = 0;

	if (n < 0 && errno != EINTR)
		return -errno;
	loop->n_ready = n > 0 ? n : 0;
	for (int i = 0; i < loop->n_ready; i++) {
		struct event_source *source = loop->ready[i].data.ptr;

		if (!source)
			continue;
		source->ready(source, loop->ready[i].events);
		n_called++;
	}
	loop->n_ready = 0;
	run_timers(loop);
	return n_called;
}

int event_loop_run_resting(struct event_loop *loop)
{
	uint64_t since = event_now_ns();
	int r = event_loop_run_once(loop, loop->has_rested ? -1 : MEMORY_REST_MS);
	bool is_idle = r == 0 && event_now_ns() - since >= MEMORY_REST_MS * NS_PER_MS;

	if (is_idle && !loop->has_rested)
		memory_give_back();
	loop->has_rested = is_idle;
	return r;
}
