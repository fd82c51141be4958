/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A socket on its way lies in the receive queue of the program's end and is charged to
 * the send buffer of ours, so the kernel does the counting: with the buffer sized to
 * SUPPLY_AHEAD messages our end becomes writable when a quarter of them is left. What one
 * message is charged depends on the kernel, and is measured once on a pair of our own.
 *
 * The program can do what it likes with the pair, also with copies of our end: it may
 * change its buffer, its flags, send on it, or pass on something else altogether. So
 * sends never wait (MSG_DONTWAIT), what is on its way is counted before each filling, and
 * the wake-up is edge-triggered: a program can wake us only by taking something.
 *
 * States: full (wakes by EPOLLOUT); pausing (short of descriptors, memory, or the
 * kernel's limit of descriptors on their way: tries again by timer); ended.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/event.h"
#include "base/fd.h"
#include "broker/grant.h"
#include "broker/rights.h"
#include "broker/supply.h"
#include "stack/stack.h"

#define PAUSE_NS  100000000ull
#define OURSELVES ((uid_t)-1) /* request.uid: nobody has to be told */

struct supply {
	struct supply_request request;
	struct event_source source;
	struct event_timer timer;
	int charge; /* bytes of the send buffer that one message takes */
	bool is_pausing;
};

/* Return: 0 or -errno (-EAGAIN: full). */
static int send_socket(int via, int fd)
{
	return fd_send_now(via, "", 1, &fd, 1);
}

static int make_socket(const struct supply_request *request)
{
	_cleanup_fd_ int fd = stack_socket(request->stack, request->family, request->type,
					   request->protocol);
	int r = 0;

	if (fd < 0)
		return fd_steal(&fd);
	if (request->source.len)
		r = grant_bind_source(fd, &request->source);
	return r < 0 ? r : fd_steal(&fd);
}

static int bytes_ahead(int end)
{
	int size = 0;

	return ioctl(end, SIOCOUTQ, &size) < 0 ? -errno : size;
}

/* Return: what one message is charged, once measured, or -errno. */
static int measure_charge(void)
{
	static int charge;
	int pair[2], r;

	if (charge)
		return charge;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	r = send_socket(pair[0], pair[1]);
	if (r == 0)
		r = bytes_ahead(pair[0]);
	fd_close(pair[0]);
	fd_close(pair[1]);
	if (r > 0)
		charge = r;
	return r ? r : -EPROTO;
}

/* A message is taken while the buffer holds less than its size, and that is made twice
 * what is set. */
static int size_buffer(struct supply *self)
{
	int size = self->charge * SUPPLY_AHEAD / 2;

	if (setsockopt(self->request.end, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0)
		return -errno;
	return 0;
}

/* Return: how many there is room for, or -errno. */
static int count_room(const struct supply *self)
{
	int size = bytes_ahead(self->request.end), n;

	if (size < 0)
		return size;
	n = size / self->charge;
	return n < SUPPLY_AHEAD ? SUPPLY_AHEAD - n : 0;
}

static int add_one(struct supply *self)
{
	_cleanup_fd_ int fd = make_socket(&self->request);

	return fd < 0 ? fd : send_socket(self->request.end, fd);
}

static bool is_shortage(int error)
{
	switch (error) {
	case -ETOOMANYREFS:
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -ENOBUFS:
		return true;
	default:
		return false;
	}
}

static void pause_filling(struct supply *self)
{
	self->timer.deadline_ns = event_now_ns() + PAUSE_NS;
	if (!self->is_pausing)
		event_loop_add_timer(self->request.loop, &self->timer);
	self->is_pausing = true;
}

static void end_pause(struct supply *self)
{
	if (self->is_pausing)
		event_loop_del_timer(self->request.loop, &self->timer);
	self->is_pausing = false;
}

/*
 * A socket belongs to the file identity of who makes it, which shows in ss(8) and in
 * netfilter's owner match. Changing ours once for many costs less than fchown() of each.
 * Capabilities for files are away meanwhile, those for the network are not.
 */
static void be_owner(const struct supply_request *request)
{
	if (request->uid != OURSELVES)
		rights_set_file_identity(request->uid, request->gid);
}

static void be_ourselves(const struct supply_request *request)
{
	if (request->uid != OURSELVES && !rights_set_file_identity(geteuid(), getegid()))
		abort();
}

/* Return: 0 when it is full or pauses, or -errno when it is over. */
static int fill(struct supply *self)
{
	int r = self->request.allow ? self->request.allow(self->request.context) : 0;
	int room;

	end_pause(self);
	if (r < 0)
		return r;
	room = count_room(self);
	if (room < 0)
		return room;
	be_owner(&self->request);
	for (r = 0; room && r == 0; room--)
		r = add_one(self);
	be_ourselves(&self->request);
	if (is_shortage(r)) {
		pause_filling(self);
		return 0;
	}
	return r == -EAGAIN ? 0 : r;
}

static void refill(struct supply *self)
{
	if (fill(self) < 0)
		self->request.ended(self->request.context, self);
}

static void on_writable(struct event_source *source, uint32_t events)
{
	struct supply *self = container_of(source, struct supply, source);

	if (events & (EPOLLHUP | EPOLLERR))
		self->request.ended(self->request.context, self);
	else if (events & EPOLLOUT)
		refill(self);
}

static void on_pause_over(struct event_timer *timer, uint64_t now_ns)
{
	refill(container_of(timer, struct supply, timer));
}

/* The end came from the program. */
static int check_end(int end)
{
	int domain = 0, type = 0;
	socklen_t size = sizeof(int);

	if (getsockopt(end, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
	    getsockopt(end, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return -errno;
	return domain == AF_UNIX && type == SOCK_SEQPACKET ? 0 : -EPROTOTYPE;
}

int supply_new(struct supply **ret, const struct supply_request *request)
{
	struct supply *self;
	int charge, r = check_end(request->end);

	charge = r < 0 ? r : measure_charge();
	if (charge < 0)
		return charge;
	self = calloc(1, sizeof(*self));
	if (!self)
		return -ENOMEM;
	self->request = *request;
	if (request->uid == geteuid())
		self->request.uid = OURSELVES;
	self->source.ready = on_writable;
	self->timer.expired = on_pause_over;
	self->charge = charge;
	r = size_buffer(self);
	if (r == 0)
		r = event_loop_add(request->loop, request->end, EPOLLOUT | EPOLLET,
				   &self->source);
	if (r == 0) {
		r = fill(self);
		if (r < 0)
			event_loop_del(request->loop, request->end, &self->source);
	}
	if (r < 0) {
		self->request.end = -1; /* stays the caller's */
		supply_free(self);
		return r;
	}
	*ret = self;
	return 0;
}

struct supply *supply_free(struct supply *self)
{
	if (!self)
		return NULL;
	end_pause(self);
	if (self->request.end >= 0) {
		event_loop_del(self->request.loop, self->request.end, &self->source);
		fd_close(self->request.end);
	}
	free(self);
	return NULL;
}
