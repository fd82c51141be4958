/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small epoll loop for one thread. Sources and timers belong to the caller, who
 * embeds them in its own structures and takes them out before it frees those; a loop
 * allocates nothing after event_loop_init().
 *
 * A callback may add and delete any source or timer, its own included: an event already
 * fetched for a deleted source is not delivered. One source stands for one descriptor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#define EVENT_BATCH 32
#define EVENT_NEVER UINT64_MAX

#ifndef container_of
#	define container_of(pointer, type, member) \
		((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#endif

struct event_source {
	void (*ready)(struct event_source *source, uint32_t events);
};

/* Set @deadline_ns (CLOCK_MONOTONIC, or EVENT_NEVER) at will; it is EVENT_NEVER again
 * when @expired is called. */
struct event_timer {
	uint64_t deadline_ns;
	void (*expired)(struct event_timer *timer, uint64_t now_ns);
	struct event_timer *next;
};

struct event_loop {
	int epoll_fd;
	struct event_timer *timers;
	bool has_rested; /* memory was given back, and nothing happened since */
	int n_ready;
	struct epoll_event ready[EVENT_BATCH];
};

/* Return: 0 or -errno. */
int event_loop_init(struct event_loop *loop);
void event_loop_deinit(struct event_loop *loop);

/* Level-triggered EPOLLIN, EPOLLOUT ...; @fd stays the caller's. Return: 0 or -errno. */
int event_loop_add(struct event_loop *loop, int fd, uint32_t events,
		   struct event_source *source);
int event_loop_mod(struct event_loop *loop, int fd, uint32_t events,
		   struct event_source *source);
void event_loop_del(struct event_loop *loop, int fd, struct event_source *source);

void event_loop_add_timer(struct event_loop *loop, struct event_timer *timer);
void event_loop_del_timer(struct event_loop *loop, struct event_timer *timer);

/*
 * Waits at most @timeout_ms (-1: for ever) or until the next deadline, then calls what
 * is due. Return: the number of sources called (0 also when a signal came) or -errno.
 */
int event_loop_run_once(struct event_loop *loop, int timeout_ms);
/* The same without a limit, and whoever has waited for MEMORY_REST_MS gives memory back
 * meanwhile (memory.h). */
int event_loop_run_resting(struct event_loop *loop);

uint64_t event_now_ns(void);
