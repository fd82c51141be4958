/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What outlives graftd: descriptors under names, kept by the service manager or by
 * graft-holder. What is in the store when graftd is killed is there for the next one.
 *
 * The store refers to the descriptors of its items, it does not own them: should its
 * other end be lost, they are handed over again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/holder.h"
#include "broker/list.h"

struct event_loop;
struct store;

/* As FileDescriptorStoreMax= in the unit file. */
#define STORE_MAX 4096

/* Embedded by whoever puts something into the store. */
struct store_item {
	struct link link;
	int fd;
	char name[HOLDER_NAME_MAX + 1];
};

enum store_kind {
	STORE_CONTROL, /* the socket clients connect to */
	STORE_HELD,    /* a socket kept for an endpoint */
};

/* What an item's name says. A held socket's is never used for another. */
struct store_name {
	enum store_kind kind;
	uint64_t netns, cookie; /* held: its endpoint's table, SO_COOKIE */
	const char *endpoint;   /* held */
};

/* Return: 0 or -EINVAL for what is no endpoint's name. */
int store_print_name(const struct store_name *name, char text[HOLDER_NAME_MAX + 1]);
/* @ret->endpoint points into @text. Return: 0 or -EINVAL. */
int store_parse_name(struct store_name *ret, const char *text);

/* Return: the item for @name with @fd, both of which it takes over; or NULL: not wanted,
 * and the store forgets it and closes @fd. */
typedef struct store_item *store_on_item(void *context, const char *name, int fd);

/*
 * Opens the store: of the service manager if there is one that is told of our state, else
 * of the holder in directory @state, which stays the caller's; a holder is started if
 * there is none. Each thing that the last graftd left there is given to @on_item.
 * Return: 0 or -errno.
 */
int store_new(struct store **ret, struct event_loop *loop, int state,
	      store_on_item *on_item, void *context);
/* What is in it stays there. */
struct store *store_free(struct store *store);
/* Nothing of it will be needed any more, as far as we decide about that: the service
 * manager keeps what it has if it is to start us again. */
void store_end(struct store *store);

/*
 * @item->fd under @item->name; the fd stays the caller's, open until store_remove(). What
 * cannot be kept is logged: it is in use then, but does not outlive us. Return: 0, or
 * -ENOSPC when there are too many.
 */
int store_put(struct store *store, struct store_item *item);
/* Also of an item that is not in the store. */
void store_remove(struct store *store, struct store_item *item);

/* The listening socket that we were started with, as systemd.socket(5) does it. Return: a
 * descriptor, from now on the caller's; or -1. */
int store_steal_given(struct store *store);
/* Is what we leave behind there given to the next graftd after we have ended in good
 * order? */
bool store_outlasts_end(const struct store *store);
