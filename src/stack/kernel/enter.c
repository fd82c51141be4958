/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stack of another network namespace, for a process that may enter it and come back.
 *
 * setns() to a network namespace moves the calling thread alone, and there and back takes
 * less than a microsecond; asking a helper that lives there (netns.c) takes 50. Nothing
 * but the descriptor keeps the namespace, and that goes with the stack. Coming back needs
 * CAP_SYS_ADMIN, which a helper that joined a user namespace would not have.
 *
 * A thread that cannot come back would make the next socket in the wrong place without
 * anybody noticing, so the process ends instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "stack/stack.h"

struct enter_stack {
	struct stack stack;
	int netns, home;
};

static int enter_socket(struct stack *stack, int family, int type, int protocol)
{
	const struct enter_stack *self = (const struct enter_stack *)stack;
	int fd;

	if (setns(self->netns, CLONE_NEWNET) < 0)
		return -errno;
	fd = socket(family, type | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		fd = -errno;
	if (setns(self->home, CLONE_NEWNET) < 0) {
		log_error("cannot leave a network namespace: %m");
		abort();
	}
	return fd;
}

static void enter_release(struct stack *stack)
{
	struct enter_stack *self = (struct enter_stack *)stack;

	fd_close(self->netns);
	fd_close(self->home);
	free(self);
}

static const struct stack_ops enter_ops = {
	.name = "enter",
	.socket = enter_socket,
	.release = enter_release,
};

static int prepare(struct enter_stack *self, int netns)
{
	_cleanup_fd_ int probe = -1;

	self->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	self->netns = fcntl(netns, F_DUPFD_CLOEXEC, 0);
	if (self->home < 0 || self->netns < 0)
		return -errno;
	/* Coming back is tried before it has to work. */
	if (setns(self->home, CLONE_NEWNET) < 0)
		return -errno;
	probe = enter_socket(&self->stack, AF_UNIX, SOCK_DGRAM, 0);
	if (probe < 0)
		return probe;
	return stack_cookie_of(probe, &self->stack.cookie);
}

int stack_enter_new(struct stack **ret, int netns)
{
	struct enter_stack *self = calloc(1, sizeof(*self));
	int r;

	if (!self)
		return -ENOMEM;
	self->stack.ops = &enter_ops;
	self->netns = self->home = -1;
	r = prepare(self, netns);
	if (r < 0) {
		enter_release(&self->stack);
		return r;
	}
	*ret = &self->stack;
	return 0;
}
