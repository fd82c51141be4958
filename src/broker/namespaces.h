/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Network namespaces by name, and the stacks in them.
 *
 * Nothing is kept here: a name is looked up each time it is used, so one that was deleted
 * and made again is the new one, and no namespace lives on because an endpoint speaks of
 * it. A stack keeps its namespace; hold one for the length of a call, or for as long as a
 * client that is connected needs it.
 */
#pragma once

#include <sys/types.h>

struct netns_ref;
struct stack;

/*
 * Opens the namespace @ref names, NETNS_DEFAULT: the one we live in. What is no network
 * namespace is not opened, only looked at. Return: a descriptor, the caller's, or -errno
 * (-ENOENT, -ESRCH: no such name or process; -EINVAL: it is something else).
 */
int namespace_open(const struct netns_ref *ref);

/* The namespace of a socket, such as an accepted UNIX connection, which has its client's.
 * Return: a descriptor, the caller's, or -errno (-EPERM: without CAP_NET_ADMIN there). */
int namespace_of_socket(int socket);

/* @netns stays the caller's. Return: 0 or -errno (-EPERM: it may not be entered). */
int namespace_stack_new(struct stack **ret, int netns);

/* Both: the stack of the namespace that @ref names now. Return: 0 or -errno. */
int namespace_stack_of(struct stack **ret, const struct netns_ref *ref);
