/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sockets of `hold` endpoints: which endpoint has which, counted for the user whose
 * endpoint it is, and in the store.
 */
#pragma once

#include <sys/types.h>

struct entry;
struct grant_request;
struct graftd;
struct keep;
struct store_item;
struct store_name;
struct wire_grant;

/*
 * A bind to @entry, which has `hold`, by process @pid: the socket there is, or a new one,
 * which is kept. @shares: several may have it at once. Return: a descriptor, the
 * caller's; or -errno (-EADDRINUSE: somebody has it, -EDQUOT, as grant_make()).
 */
int keep_grant(struct graftd *graftd, struct entry *entry,
	       const struct grant_request *request, pid_t pid, struct wire_grant *ret);
/* Who has the socket of @entry: its start time, for the journal; 0: none. */
uint64_t keep_user_start(const struct entry *entry);
/* Lets go of what is kept for @entry, if anything. To be called before it goes. */
void keep_drop(struct graftd *graftd, struct entry *entry);

/* The store has @fd for what @name says, and the registry is restored. Return: the
 * store's item, and @fd is taken over; or NULL: there is no such endpoint. */
struct store_item *keep_restore(struct graftd *graftd, const struct store_name *name,
				int fd);
/* That was all: what the journal has and the store has not is lost. */
void keep_settle(struct graftd *graftd);
/* Frees all, and leaves them in the store. */
void keep_free_all(struct graftd *graftd);
