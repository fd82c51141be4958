/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's own descriptors: one to the broker, one for each supply of sockets. They
 * are close-on-exec, have high numbers, and the program cannot see them.
 *
 * Nothing says that a number is still ours: the program may have closed everything behind
 * libc's back, or this may be the parent of a vfork child that put one there. So a slot
 * holds the number together with the socket's cookie, and the cookie is asked for again
 * whenever the number is used. A slot is one word, written by compare-and-swap: there is
 * no lock, hence nothing to repair after fork().
 */
#pragma once

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>

#define OWN_CHANNEL  0
#define OWN_SUPPLIES 1 /* the first of them */
#define OWN_MAX      17

/* The lowest number ever ours; beneath it nothing has to be looked at. */
extern atomic_int own_lowest;

static inline bool own_may_have(int fd)
{
	return __builtin_expect(fd >= atomic_load_explicit(&own_lowest,
							   memory_order_relaxed),
				0);
}

/* Return: the number in @slot, verified; or -1. It stays ours. */
int own_get(unsigned int slot);
/* The same, not verified: it was ours a moment ago, and only a program that puts files
 * under numbers of its choosing behind libc's back could have taken it. */
int own_guess(unsigned int slot);
/*
 * Takes over @fd, gives it a high number and puts it into @slot, if that is empty or what
 * is there is ours no longer. Return: the number in the slot, which may be what another
 * thread put there meanwhile (@fd is closed then); or -errno, @fd closed.
 */
int own_put(unsigned int slot, int fd);
/* Empties @slot if it still holds @number, and closes that. */
void own_drop(unsigned int slot, int number);

/* Is @fd one of them? */
bool own_has(int fd);
/* Gives the one at @fd, if any, another number: the program wants this one. */
void own_make_way(int fd);
/* The first of ours in @first..@last, or -1. */
int own_first(unsigned int first, unsigned int last);
