/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stacks of one run: the host's, the program's own, those its endpoints name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Namespaces that the endpoints of one policy may name; each costs a process. */
#define STACKS_MAX 64

struct netns_ref;
struct policy;
struct stack;

struct stacks {
	struct stack *host;
	struct stack *own;                /* NULL when nothing is supervised */
	struct stack **by_endpoint;       /* by endpoint index, NULL for host; or NULL */
	struct stack *others[STACKS_MAX]; /* each namespace of an endpoint once */
	size_t n_others;
};

/* @program: a process in the program's namespaces. Forks helpers, so call it before
 * threads start. Return: 0, or -errno after logging. */
int stacks_new(struct stacks *ret, const struct policy *policy, pid_t program,
	       bool is_supervised);
/* Of an endpoint. Return: a descriptor, or -errno. */
int stacks_open_netns(const struct netns_ref *ref);
