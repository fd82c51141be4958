/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where descriptors outlive graftd: with systemd, or with a holder process.
 */
#pragma once

#include <stdbool.h>

struct event_loop;
struct store;

#define STORE_CONTROL "control" /* the control socket */

struct store_ops {
	/* One that was kept, or that systemd opened; @fd is the callee's. */
	void (*found)(void *context, const char *name, int fd);
	/* The keeper is gone; another was started, and wants everything again. */
	void (*lost)(void *context);
};

/*
 * Finds the keeper, or starts one (in the directory @state, which stays the caller's),
 * and takes what it has. Return: 0 or -errno.
 */
int store_new(struct store **ret, struct event_loop *loop, int state,
	      const struct store_ops *ops, void *context);
/* @keep false: in good order, nobody needs the descriptors any more. */
struct store *store_free(struct store *store, bool keep);

/* @fd stays the caller's, too. Return: 0 or -errno. */
int store_put(struct store *store, const char *name, int fd);
void store_drop(struct store *store, const char *name);
