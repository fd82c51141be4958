/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One ask, while it is answered: who asks, for what, and where that is.
 */
#pragma once

#include "base/cleanup.h"
#include "broker/identity.h"
#include "broker/registry.h"
#include "policy/policy.h"
#include "wire/wire.h"

struct connection;
struct graftd;
struct stack;

struct asked {
	struct graftd *graftd;
	struct connection *connection;
	const struct identity *who;
	const struct wire_ask *ask;
	int reply;           /* where to answer, or -1: the connection */
	int socket;          /* the one to replace, or the end of a supply; or -1 */
	pid_t pid;           /* who will have the socket, as far as we are told */
	struct entry *entry; /* NULL: the host's stack */
	struct endpoint endpoint;
	struct stack *stack;
	struct stack *own_stack; /* the same, if it is ours to free; or NULL */
	char reason[128];
};

/* Looks up what is asked for, in the client's own table, then in graftd's, judges the
 * client, and opens the stack. Return: 0 or -errno, maybe with a reason. */
int asked_find(struct asked *asked);
/* Gives the stack back, and what was parsed. */
void asked_release(struct asked *asked);
/* Return: @number. */
int asked_deny(struct asked *asked, int number, const char *format, ...) _printf_(3, 4);
