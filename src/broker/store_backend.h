/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two places where the store can be, behind one table of operations.
 */
#pragma once

#include "broker/store.h"

struct store_ops {
	/* Calls store_taken() for each thing that is there. Return: 0 or -errno. */
	int (*take)(struct store *store);
	/* When it returns, the other end has it, or it is logged. */
	void (*put)(struct store *store, const struct store_item *item);
	void (*remove)(struct store *store, const char *name);
	void (*end)(struct store *store);
	void (*release)(struct store *store);
	bool outlasts_end;
};

/* The first member of what a backend allocates. */
struct store {
	const struct store_ops *ops;
	struct link items;
	size_t n;
	int given; /* see store_steal_given() */
	store_on_item *on_item;
	void *context;
};

/* Takes @fd over. */
void store_taken(struct store *store, const char *name, int fd);

/* Is there a service manager that is told of our state? */
bool store_systemd_is_there(void);
int store_systemd_new(struct store **ret);
int store_holder_new(struct store **ret, struct event_loop *loop, int state);
