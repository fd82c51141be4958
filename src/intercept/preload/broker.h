/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library asks of the broker: graftd, or that of a run.
 *
 * Everything here may be called from any thread, from a signal handler, and between fork
 * or vfork and exec.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/wire.h"

/* --- channel.c --- */

/* A socket that was granted. Descriptors are the receiver's. */
struct grant {
	struct wire_grant said;
	int fd;         /* -1: none */
	int path;       /* O_PATH of a UNIX path that means something else here; or -1 */
	uint64_t netns; /* cookie of the namespace that @fd is in */
};

void grant_release(struct grant *grant);

/*
 * Asks. @socket: the one to replace, or -1. Return: 0 or -errno as the broker said it;
 * -ENETDOWN when there is none or it does not answer in time.
 */
int channel_ask(const struct wire_ask *ask, int socket, struct grant *ret);
/* Hands one end of a SOCK_SEQPACKET pair over, for sockets. @end stays the caller's. */
int channel_ask_supply(const struct wire_ask *ask, int end);
/* Asks for the memfd that @type, WIRE_ASK_POLICY or WIRE_ASK_PAGE, is answered with.
 * Return: it, the caller's; or -errno. */
int channel_ask_memory(enum wire_type type);
/* Is somebody at the other end? False also when nobody asked anything yet. */
bool channel_is_alive(void);

/* --- page.c --- */

/* The connection was made anew. */
void page_forget(void);

/* The number that changes with the registry. Return: 0 when it is not known. */
uint64_t page_generation(void);
/* After a grant of this generation, so that the page is there when it is needed. */
void page_want(void);

/* --- supply.c --- */

/*
 * Takes a socket made ahead of need, in the stack where @ask leads to, which wants op,
 * name, family, type and protocol. The number is the lowest free one, and close-on-exec
 * as @flags (SOCK_CLOEXEC) say; SOCK_NONBLOCK too. @at_once: there is no other way to
 * have one. Return: descriptor, the caller's, with the namespace's cookie; or -EAGAIN:
 * there is none now, ask.
 */
int supply_take(const struct wire_ask *ask, int flags, bool at_once, uint64_t *ret_netns);

/* --- cache.c: grants for a connect that go on holding --- */

bool cache_find(const struct wire_ask *ask, struct wire_grant *ret, uint64_t *ret_netns);
void cache_keep(const struct wire_ask *ask, const struct grant *grant);
