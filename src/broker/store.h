/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where descriptors outlive graftd, under names: with systemd, or with a holder process.
 * What is in the store when graftd is killed is given to the next one.
 *
 * A name has at most STORE_NAME_MAX bytes, printable ones without a colon.
 */
#pragma once

#include <stdbool.h>

struct event_loop;
struct store;

#define STORE_CONTROL \
	"graftd-control"       /* the control socket; a unit's has any other name */
#define STORE_HELD     "held-" /* and SO_COOKIE: a socket of an endpoint */
#define STORE_NAME_MAX 127
/* The most that is kept. As FileDescriptorStoreMax= in the unit file. */
#define STORE_MAX 4096

struct store_ops {
	/* One that was kept, or that systemd opened; @fd is the callee's. */
	void (*found)(void *context, const char *name, int fd);
	/* The keeper is gone; another was started, and wants everything again. */
	void (*lost)(void *context);
};

/*
 * Finds the keeper, or starts one (in the directory @state, which stays the caller's),
 * and takes what it has; that stays in the store. One that cannot be started is tried
 * again later. Return: 0 or -errno.
 */
int store_new(struct store **ret, struct event_loop *loop, int state,
	      const struct store_ops *ops, void *context);
/* @keep false: in good order, nobody needs the descriptors any more. (systemd keeps what
 * it has until the unit is stopped, and gives it up then.) */
struct store *store_free(struct store *store, bool keep);

/* @fd stays the caller's, too. Return: 0: it is kept, or will be asked for (lost) in the
 * next turn of the loop; or -errno. */
int store_put(struct store *store, const char *name, int fd);
bool store_is_systemd(const struct store *store);
void store_drop(struct store *store, const char *name);
