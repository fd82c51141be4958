/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets handed out ahead of need: a SOCK_SEQPACKET pair of which the program has one
 * end and takes a socket from it whenever it calls socket(), without waking anybody.
 * Sockets on their way belong to no descriptor table. The other end is kept full here: it
 * becomes writable when three quarters were taken, and is filled in one go.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "wire/wire.h"

struct event_loop;
struct stack;
struct supply;

/* Sockets on their way at most, which the size of the send buffer makes. */
#define SUPPLY_AHEAD 32

/* Called before each filling; the supply is ended when it returns less than 0. */
typedef int supply_allow(void *context);

struct supply_request {
	struct event_loop *loop;
	struct stack *stack; /* stays the caller's, and longer than the supply */
	int family, type, protocol;
	struct wire_address source; /* WIRE_OP_FROM: each is bound to it; len 0: none */
	uid_t uid;                  /* whose they are, as far as we may say so */
	gid_t gid;
	int end; /* ours of the pair; taken over on success */
	supply_allow *allow;
	/* It ended: the program closed its end, or @allow refused. Frees nothing. */
	void (*ended)(void *context, struct supply *supply);
	void *context;
};

/* Fills it once. Return: 0 or -errno (-EPROTOTYPE: @end is not one of such a pair). */
int supply_new(struct supply **ret, const struct supply_request *request);
/* Sockets on their way are the program's to take until it closes its own end. */
struct supply *supply_free(struct supply *supply);
