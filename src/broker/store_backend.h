/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two places where the store can be, behind one table of operations.
 */
#pragma once

#include "broker/store.h"

struct store_place {
	/* Calls store->ops->found() for each thing that is there. */
	void (*take)(struct store *store);
	int (*put)(struct store *store, const char *name, int fd);
	void (*drop)(struct store *store, const char *name);
	void (*release)(struct store *store, bool keep);
	bool is_systemd;
};

/* The first member of what a place allocates. */
struct store {
	const struct store_place *place;
	const struct store_ops *ops;
	void *context;
};

int store_systemd_new(struct store **ret);
/* @starts: where there is no holder, one is started. */
int store_holder_new(struct store **ret, struct event_loop *loop, int state, bool starts);
