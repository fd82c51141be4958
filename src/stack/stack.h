/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stack is where sockets come from. Every stack is a driver with an operations table;
 * the engines know nothing but this header, so a new driver (another namespace, a
 * user-level stack) changes no engine.
 *
 * A kernel stack is one network namespace and is recognised on any socket by the
 * namespace cookie the kernel reports (SO_NETNS_COOKIE): no table of descriptors is kept
 * anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#ifndef SO_NETNS_COOKIE
#	define SO_NETNS_COOKIE 71
#endif

struct stack;

struct stack_ops {
	const char *name;
	/* Makes a socket, close-on-exec. Return: descriptor or -errno. Any thread. */
	int (*socket)(struct stack *stack, int family, int type, int protocol);
	void (*release)(struct stack *stack);
};

struct stack {
	const struct stack_ops *ops;
	uint64_t cookie; /* of the network namespace; 0 when the driver has none */
};

static inline int stack_socket(struct stack *stack, int family, int type, int protocol)
{
	return stack->ops->socket(stack, family, type, protocol);
}

struct stack *stack_free(struct stack *stack);

/* The namespace the calling process lives in. Return: 0 or -errno. */
int stack_host_new(struct stack **ret);

/*
 * Another network namespace. A helper process joins the namespace (and the user
 * namespace that owns it, where it differs from the caller's), gives up every
 * capability and makes sockets on request until the stack is released or the caller
 * dies. @netns stays the caller's. Must be called before the caller starts threads.
 * Return: 0 or -errno (-EPERM: the namespace belongs to somebody else).
 */
int stack_netns_new(struct stack **ret, int netns);

/*
 * The same without a helper, for a caller that has CAP_SYS_ADMIN over both namespaces:
 * the calling thread enters the namespace for each socket and comes back. @netns stays
 * the caller's; the stack keeps the namespace until it is released. Return: 0 or -errno
 * (-EPERM).
 */
int stack_enter_new(struct stack **ret, int netns);

/*
 * The namespace of who lends sockets at the UNIX socket @path: a process of our own user.
 * When that has ended, sockets cannot be had (-ENETDOWN) until one of the same namespace
 * listens there. Return: 0 or -errno (-ENOENT, -ECONNREFUSED: nobody is there; -EPERM: it
 * is another user's; -ENETDOWN: we are turned away).
 */
int stack_lent_new(struct stack **ret, const char *path);

/* Reads the namespace cookie of socket @fd. Return: 0 or -errno. */
int stack_cookie_of(int fd, uint64_t *ret_cookie);
