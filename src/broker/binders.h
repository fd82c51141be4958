/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who is bound to one endpoint now, and where: the port of a `dynamic` one, for those who
 * connect to it.
 *
 * A program closes sockets without a word to us, so a note only says that a socket was
 * bound once. The kernel is asked before one is used: who holds the address, and is that
 * a socket we noted? A stranger who took the port over is never taken for a binder.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/wire.h"

struct binder_note;
struct granted;
struct stack;

/* Noted of one endpoint at most; the oldest gives way. */
#define BINDERS_MAX 256

/* All zero: nobody. */
struct binders {
	struct binder_note *list; /* oldest first */
	uint16_t n;
	bool is_cut; /* some gave way */
};

/* A socket was bound. @protocol as socket() had it, 0 for the type's own. Return: 0 or
 * -ENOMEM. */
int binders_note(struct binders *binders, const struct wire_grant *grant, int type,
		 int protocol);
/*
 * Finds the one who bound last and is there: a stream socket that listens, a datagram
 * socket that receives. @stack: of the endpoint. Forgets who has gone. Return: false when
 * nobody is there, or not yet.
 */
bool binders_find(struct binders *binders, struct stack *stack, struct wire_address *ret);
/* As binders_find(). Return: the port, or 0. */
uint16_t binders_port(struct binders *binders, struct stack *stack);
/* Those of AF_INET and AF_INET6, newest first, whether they are still there or not. */
void binders_copy(const struct binders *binders, struct granted *ret);
/* Forgets all. */
void binders_clear(struct binders *binders);
