/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	graftd ──── HOLDER_SOCKET ──── graft-holder		see holder.h
 *
 * A message that was sent is safe, so nothing is acknowledged. The holder answers to one
 * question, asked once: what there is. If it is lost, stops reading or makes no sense it
 * is killed, the next one is started, and that is given everything again; between two
 * tries that failed some time is left.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "broker/holder.h"
#include "broker/store_backend.h"
#include "broker/store_process.h"

#define NS_PER_MS    1000000ull
#define HEALTHY_NS   (1000 * NS_PER_MS)
#define RETRY_MIN_NS (100 * NS_PER_MS)
#define RETRY_MAX_NS (60000 * NS_PER_MS)

struct holder_store {
	struct store store;
	struct event_loop *loop;
	struct event_source source;
	struct event_timer timer; /* in the loop while there is no holder */
	uint64_t retry_ns, started_ns;
	int state;
	int fd; /* connected to the holder, or -1 */
	pid_t pid;
	bool starts;
};

static struct holder_store *holder_store_of(struct store *store)
{
	return container_of(store, struct holder_store, store);
}

/* --- the connection --- */

static void leave(struct holder_store *self)
{
	if (self->pid)
		store_process_end(self->pid, self->fd);
	self->pid = 0;
	if (self->fd < 0)
		return;
	event_loop_del(self->loop, self->fd, &self->source);
	self->fd = fd_close(self->fd);
}

static int adopt(struct holder_store *self, int fd, pid_t pid)
{
	int r = event_loop_add(self->loop, fd, EPOLLIN, &self->source);

	if (r < 0)
		return r;
	self->fd = fd;
	self->pid = pid;
	return 0;
}

static int start(struct holder_store *self)
{
	_cleanup_fd_ int listener = store_process_listen(self->state);
	_cleanup_fd_ int fd =
		listener < 0 ? listener : store_process_connect(self->state);
	pid_t pid;
	int r;

	self->started_ns = event_now_ns();
	if (fd < 0)
		return fd_steal(&fd);
	pid = store_process_start(listener, self->state);
	r = pid < 0 ? (int)pid : adopt(self, fd, pid);
	if (r == 0)
		fd_steal(&fd);
	return r;
}

static int wait_for_room(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	int n = poll(&poll_fd, 1, STORE_PATIENCE_MS);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n ? 0 : -ETIMEDOUT;
}

/* Return: 0 or -errno (-ENOTCONN: there is no holder now). */
static int say(struct holder_store *self, enum holder_op op, const char *name, int fd)
{
	char message[HOLDER_MESSAGE_MAX + 1];
	int n = snprintf(message, sizeof(message), "%c%s", (char)op, name);
	int r = self->fd < 0 ? -ENOTCONN : -EAGAIN, n_waits = 0;

	while (r == -EAGAIN) {
		r = fd_send_now(self->fd, message, (size_t)n, &fd, fd >= 0);
		if (r == -EAGAIN && wait_for_room(self->fd) < 0)
			return -ETIMEDOUT;
		if (r == -ETOOMANYREFS && ++n_waits < STORE_PATIENCE_MS) {
			poll(NULL, 0, 1);
			r = -EAGAIN;
		}
	}
	return r;
}

/* --- another one in its place --- */

static void try_later(struct holder_store *self)
{
	self->timer.deadline_ns = event_now_ns() + self->retry_ns;
	if (self->retry_ns < RETRY_MAX_NS)
		self->retry_ns *= 2;
}

/* In the next turn of the loop, unless this one was just started. */
static void lose(struct holder_store *self, int r)
{
	log_warning("graft-holder is lost: %s",
		    r == -ENOTCONN ? "it ended" : strerror(-r));
	leave(self);
	if (event_now_ns() - self->started_ns >= HEALTHY_NS) {
		self->retry_ns = RETRY_MIN_NS;
		self->timer.deadline_ns = 0;
	} else {
		try_later(self);
	}
}

static void start_or_try_later(struct holder_store *self)
{
	int r = start(self);

	if (r == 0)
		return;
	log_error("no graft-holder (%s): should graftd be killed now, clients are refused "
		  "and held sockets lost",
		  strerror(-r));
	leave(self);
	try_later(self);
}

static void on_time(struct event_timer *timer, uint64_t now_ns)
{
	struct holder_store *self = container_of(timer, struct holder_store, timer);

	start_or_try_later(self);
	if (self->fd >= 0)
		self->store.ops->lost(self->store.context);
}

static void on_ready(struct event_source *source, uint32_t events)
{
	struct holder_store *self = container_of(source, struct holder_store, source);
	char message[HOLDER_MESSAGE_MAX + 1];
	ssize_t n = recv(self->fd, message, HOLDER_MESSAGE_MAX, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		lose(self, n < 0 ? -errno : -ENOTCONN);
		return;
	}
	message[n] = '\0';
	log_limited(LOG_LEVEL_ERROR,
		    "graft-holder cannot keep %s: it would not outlive us", message + 1);
}

/* --- what the last graftd left --- */

static int check_peer(int fd, pid_t *ret_pid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	if (peer.uid != geteuid())
		return -EPERM;
	*ret_pid = peer.pid;
	return 0;
}

/* Return: 1 when there may be more, 0, or -errno. */
static int take_one(struct holder_store *self)
{
	char message[HOLDER_MESSAGE_MAX + 1];
	int fd = -1;
	size_t n_fds = 0;
	ssize_t n = fd_receive(self->fd, message, HOLDER_MESSAGE_MAX, &fd, 1, &n_fds);

	if (n <= 0)
		return n < 0 ? (int)n : -ENOTCONN;
	message[n] = '\0';
	if (message[0] == HOLDER_HELD && n_fds) {
		self->store.ops->found(self->store.context, message + 1, fd);
		return 1;
	}
	fd_close(fd);
	if (message[0] != HOLDER_TOLD)
		return -EPROTO;
	self->pid = (pid_t)strtol(message + 1, NULL, 10);
	return 0;
}

static int take_all(struct holder_store *self)
{
	int r = say(self, HOLDER_TAKE, "", -1);

	if (r == 0)
		do {
			r = take_one(self);
		} while (r > 0);
	return r;
}

static void take(struct store *store)
{
	struct holder_store *self = holder_store_of(store);
	_cleanup_fd_ int fd = store_process_connect(self->state);
	pid_t pid = 0;
	int r;

	if (fd < 0) {
		if (self->starts)
			start_or_try_later(self);
		return;
	}
	r = check_peer(fd, &pid);
	if (r == 0)
		r = adopt(self, fd, pid);
	if (r == 0) {
		fd_steal(&fd);
		r = take_all(self);
	}
	if (r == 0)
		return;
	log_error("what graft-holder kept is lost: %s", strerror(-r));
	leave(self);
	if (self->starts)
		self->timer.deadline_ns = 0;
}

/* --- operations --- */

static int put(struct store *store, const char *name, int fd)
{
	struct holder_store *self = holder_store_of(store);
	int r = say(self, HOLDER_PUT, name, fd);

	if (r < 0 && self->fd >= 0)
		lose(self, r);
	return 0;
}

/* Whoever does not hear of it is lost, and the next one does not have it. */
static void drop(struct store *store, const char *name)
{
	struct holder_store *self = holder_store_of(store);
	int r = say(self, HOLDER_REMOVE, name, -1);

	if (r < 0 && self->fd >= 0)
		lose(self, r);
}

/* It takes its path away, if it can. */
static void end(struct holder_store *self)
{
	char byte;

	if (say(self, HOLDER_END, "", -1) < 0 || recv(self->fd, &byte, 1, 0) != 0) {
		unlinkat(self->state, HOLDER_SOCKET, 0);
	} else {
		waitpid(self->pid, NULL, 0);
		self->pid = 0;
	}
	leave(self);
}

static void release(struct store *store, bool keep)
{
	struct holder_store *self = holder_store_of(store);

	event_loop_del_timer(self->loop, &self->timer);
	if (!keep)
		end(self);
	self->pid = 0; /* it lives on */
	leave(self);
	free(self);
}

static const struct store_place place = {
	.take = take,
	.put = put,
	.drop = drop,
	.release = release,
};

int store_holder_new(struct store **ret, struct event_loop *loop, int state, bool starts)
{
	struct holder_store *self = calloc(1, sizeof(*self));

	if (!self)
		return -ENOMEM;
	self->store.place = &place;
	self->loop = loop;
	self->source.ready = on_ready;
	self->timer.expired = on_time;
	self->timer.deadline_ns = EVENT_NEVER;
	self->retry_ns = RETRY_MIN_NS;
	self->state = state;
	self->starts = starts;
	self->fd = -1;
	event_loop_add_timer(loop, &self->timer);
	*ret = &self->store;
	return 0;
}
