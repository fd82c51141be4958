/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stack of a process outside that lends sockets (run/lender.h), for whoever lives in
 * a network namespace that it cannot leave.
 *
 *	connected ──the lender is gone, or says nothing for a while──> closed
 *	closed ──the next socket──> connected, if that is the same namespace
 *
 * What a late answer would belong to nobody knows, so a connection is not used again
 * after one that did not come. Requests are serialised by a mutex.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/fd.h"
#include "stack/kernel/lend.h"
#include "stack/stack.h"

/* The tests, which cannot wait that long, build this file with their own. */
#ifndef LENT_PATIENCE_US
#	define LENT_PATIENCE_US 5000000
#endif

struct lent_stack {
	struct stack stack;
	pthread_mutex_t lock; /* for what follows */
	struct sockaddr_un address;
	int via; /* -1: closed */
};

/* Return: a connection to a process of our own user, or -errno. */
static int connect_to(const struct sockaddr_un *address)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	const struct timeval patience = { .tv_sec = LENT_PATIENCE_US / 1000000,
					  .tv_usec = LENT_PATIENCE_US % 1000000 };
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	return peer.uid == geteuid() ? fd_steal(&fd) : -EPERM;
}

/* Which namespace is at the other end of @via? Return: 0 or -errno. */
static int ask_cookie(int via, uint64_t *ret)
{
	const struct lend_request request = { AF_INET, SOCK_DGRAM, 0 };
	_cleanup_fd_ int probe = lend_ask(via, &request);

	return probe < 0 ? probe : stack_cookie_of(probe, ret);
}

static int open_again(struct lent_stack *self)
{
	_cleanup_fd_ int via = connect_to(&self->address);
	uint64_t cookie;

	if (via < 0 || ask_cookie(via, &cookie) < 0 || cookie != self->stack.cookie)
		return -ENETDOWN;
	self->via = fd_steal(&via);
	return 0;
}

/* Of the call, not of the connection. */
static bool is_answer(int r)
{
	return r >= 0 || (r != -ENETDOWN && r != -EAGAIN && r != -EIO && r != -EMSGSIZE);
}

static int lent_socket(struct stack *stack, int family, int type, int protocol)
{
	const struct lend_request request = { family, type, protocol };
	struct lent_stack *self = (struct lent_stack *)stack;
	int r = -ENETDOWN;

	pthread_mutex_lock(&self->lock);
	for (int tries = 0; tries < 2 && !is_answer(r); tries++) {
		r = self->via < 0 ? open_again(self) : 0;
		if (r == 0)
			r = lend_ask(self->via, &request);
		if (!is_answer(r))
			self->via = fd_close(self->via);
	}
	pthread_mutex_unlock(&self->lock);
	return is_answer(r) ? r : -ENETDOWN;
}

static void lent_release(struct stack *stack)
{
	struct lent_stack *self = (struct lent_stack *)stack;

	fd_close(self->via);
	pthread_mutex_destroy(&self->lock);
	free(self);
}

static const struct stack_ops lent_ops = {
	.name = "lent",
	.socket = lent_socket,
	.release = lent_release,
};

int stack_lent_new(struct stack **ret, const char *path)
{
	struct lent_stack *self = calloc(1, sizeof(*self));
	int r = 0;

	if (!self)
		return -ENOMEM;
	self->stack.ops = &lent_ops;
	pthread_mutex_init(&self->lock, NULL);
	self->via = -1;
	self->address.sun_family = AF_UNIX;
	if (snprintf(self->address.sun_path, sizeof(self->address.sun_path), "%s",
		     path) >= (int)sizeof(self->address.sun_path))
		r = -ENAMETOOLONG;
	if (r == 0)
		r = self->via = connect_to(&self->address);
	if (r >= 0)
		r = ask_cookie(self->via, &self->stack.cookie);
	if (r < 0) {
		lent_release(&self->stack);
		return r;
	}
	*ret = &self->stack;
	return 0;
}
