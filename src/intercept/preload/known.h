/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this process knows of the sockets it made itself.
 *
 * A record is found by number. When a socket is made, what becomes of its number is
 * watched: the record goes with close(), dup2() and whatever else may put another file
 * there. When it is used for the first time the socket's cookie is read and written
 * down; from then on the socket at the number must have it. So a number that was closed
 * and taken again means nothing. Sockets without a record (accepted, inherited, received,
 * made behind libc's back) are asked about in the kernel, and moved with every care: the
 * record is only what makes the usual case cheap. It says
 *
 *  - what the socket is and in which stack, which cannot change;
 *  - that nothing happened to it which a move would have to look for: it has no other
 *    number, no epoll instance watches it;
 *  - which options were set, so that only these need carrying over.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define KNOWN_OPTIONS 8

enum known_mark {
	KNOWN_COPIED = 1 << 0,  /* there may be another number for it */
	KNOWN_WATCHED = 1 << 1, /* epoll may know it */
	KNOWN_OPTION = 1 << 2,  /* options may be set that are not listed */
	KNOWN_GRAFT = 1 << 3,   /* made with socket(AF_GRAFT) */
};

struct known {
	uint64_t cookie;
	uint64_t netns;
	int domain, type, protocol;
	unsigned int marks;
	unsigned int changes; /* how often an option was set */
	int n_options;
	struct {
		int level, name;
	} options[KNOWN_OPTIONS];
};

/* Remembers the socket just made at @number; its cookie may be 0: not read yet. */
void known_add(int number, const struct known *known);
/* Return: whether there is a record of the socket at @number, which has this @cookie. */
bool known_find(int number, uint64_t cookie, struct known *ret);
void known_mark(int number, unsigned int marks);
void known_mark_option(int number, int level, int name);
/* @number is, or is about to be, something else. */
void known_forget(int number);
void known_forget_range(unsigned int first, unsigned int last);
