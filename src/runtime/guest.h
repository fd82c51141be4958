/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the supervisor: those of the container whose calls it answers. Its first
 * process is one, with all that descend from it; each process executed into it is
 * another. A guest is a seccomp listener; it is over when the listener hangs up.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/event.h"

struct listener;
struct notify;

#define GUESTS_MAX 256

struct guests {
	struct event_loop *loop;
	struct event_timer timer; /* while listeners are on their way out */
	struct guest *list;
	size_t n;
	void (*left)(struct guests *guests); /* one less */
};

void guests_init(struct guests *guests, struct event_loop *loop,
		 void (*left)(struct guests *guests));
/* Serves @listener, which is taken over in any case, until nobody has the filter of
 * process @pid (0: not known) any more. Return: 0 or -errno. */
int guests_add(struct guests *guests, struct notify *notify, pid_t pid, int listener);
