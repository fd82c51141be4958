/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 *	arrives	     ->	its first process is watched (pidfd)
 *	that ends    ->	the listener is watched for its hang-up: others may have it
 *	it hangs up  ->	notify_leave(), again every NOTIFY_TICK_MS until it is gone
 *
 * Not the listener from the first: each look of epoll at it costs every call a little.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/process.h"
#include "intercept/notify/notify.h"
#include "runtime/guest.h"

struct guest {
	struct guest *next;
	struct guests *guests;
	struct event_source on_end, on_hang_up;
	int process, hang_up; /* what these are for; -1: not watched any more */
	struct listener *listener;
	bool is_leaving;
};

static void unwatch(struct guest *guest, int *fd, struct event_source *source)
{
	if (*fd < 0)
		return;
	event_loop_del(guest->guests->loop, *fd, source);
	*fd = fd_close(*fd);
}

static void leave(struct guest *guest)
{
	unwatch(guest, &guest->process, &guest->on_end);
	unwatch(guest, &guest->hang_up, &guest->on_hang_up);
	guest->is_leaving = true;
	guest->guests->timer.deadline_ns = event_now_ns();
}

static void on_hang_up(struct event_source *source, uint32_t events)
{
	struct guest *guest = container_of(source, struct guest, on_hang_up);

	if (events & EPOLLHUP)
		leave(guest);
}

/* Hang-up alone is asked for; the calls are the workers'. */
static void on_end(struct event_source *source, uint32_t events)
{
	struct guest *guest = container_of(source, struct guest, on_end);

	(void)events;
	unwatch(guest, &guest->process, &guest->on_end);
	if (event_loop_add(guest->guests->loop, guest->hang_up, 0, &guest->on_hang_up) <
	    0)
		leave(guest);
}

static void on_timer(struct event_timer *timer, uint64_t now_ns)
{
	struct guests *guests = container_of(timer, struct guests, timer);
	bool more = false;

	for (struct guest **at = &guests->list; *at;) {
		struct guest *guest = *at;

		if (guest->is_leaving && notify_leave(guest->listener)) {
			*at = guest->next;
			free(guest);
			guests->n--;
			continue;
		}
		more |= guest->is_leaving;
		at = &guest->next;
	}
	if (more)
		timer->deadline_ns = now_ns + NOTIFY_TICK_MS * 1000000ULL;
	guests->left(guests);
}

void guests_init(struct guests *guests, struct event_loop *loop,
		 void (*left)(struct guests *guests))
{
	*guests = (struct guests){ .loop = loop, .left = left };
	guests->timer.deadline_ns = EVENT_NEVER;
	guests->timer.expired = on_timer;
	event_loop_add_timer(loop, &guests->timer);
}

static void watch(struct guest *guest, pid_t pid)
{
	guest->process = pid ? process_open(pid) : -1;
	if (guest->process >= 0 && event_loop_add(guest->guests->loop, guest->process,
						  EPOLLIN, &guest->on_end) == 0)
		return;
	/* It has ended already, or cannot be watched. */
	on_end(&guest->on_end, 0);
}

int guests_add(struct guests *guests, struct notify *notify, pid_t pid, int listener)
{
	_cleanup_fd_ int fd = listener;
	struct guest *guest;
	int r;

	if (guests->n == GUESTS_MAX)
		return -EUSERS;
	guest = calloc(1, sizeof(*guest));
	if (!guest)
		return -ENOMEM;
	*guest = (struct guest){
		.guests = guests,
		.on_end.ready = on_end,
		.on_hang_up.ready = on_hang_up,
		.process = -1,
		.hang_up = fcntl(fd, F_DUPFD_CLOEXEC, 3),
	};
	r = guest->hang_up < 0 ? -errno
			       : notify_listen(notify, fd_steal(&fd), &guest->listener);
	if (r < 0) {
		fd_close(guest->hang_up);
		free(guest);
		return r;
	}
	guest->next = guests->list;
	guests->list = guest;
	guests->n++;
	watch(guest, pid);
	return 0;
}
