/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stack of the namespace we live in: socket() itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "stack/stack.h"

static int host_socket(struct stack *stack, int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	(void)stack;
	return fd < 0 ? -errno : fd;
}

static void host_release(struct stack *stack)
{
	free(stack);
}

static const struct stack_ops host_ops = {
	.name = "host",
	.socket = host_socket,
	.release = host_release,
};

int stack_host_new(struct stack **ret)
{
	_cleanup_fd_ int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct stack *stack;
	int r;

	if (probe < 0)
		return -errno;
	stack = calloc(1, sizeof(*stack));
	if (!stack)
		return -ENOMEM;
	stack->ops = &host_ops;
	r = stack_cookie_of(probe, &stack->cookie);
	if (r < 0) {
		free(stack);
		return r;
	}
	*ret = stack;
	return 0;
}

struct stack *stack_free(struct stack *stack)
{
	if (stack)
		stack->ops->release(stack);
	return NULL;
}
