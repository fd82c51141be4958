/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names are what both places take: printable, no colon, short.
 *
 *	graft.control
 *	graft.held.NETNS.COOKIE.ENDPOINT	numbers in hexadecimal
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/number.h"
#include "broker/store_backend.h"
#include "policy/policy.h"

#define NAME_OURS    "graft."
#define NAME_CONTROL NAME_OURS "control"
#define NAME_HELD    NAME_OURS "held."

static const char name_letters[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

static bool is_endpoint_name(const char *text)
{
	size_t size = strspn(text, name_letters);

	return size && size <= POLICY_NAME_MAX && !text[size];
}

int store_print_name(const struct store_name *name, char text[HOLDER_NAME_MAX + 1])
{
	switch (name->kind) {
	case STORE_CONTROL:
		strcpy(text, NAME_CONTROL);
		return 0;
	case STORE_HELD:
		if (!is_endpoint_name(name->endpoint))
			return -EINVAL;
		snprintf(text, HOLDER_NAME_MAX + 1, NAME_HELD "%llx.%llx.%s",
			 (unsigned long long)name->netns,
			 (unsigned long long)name->cookie, name->endpoint);
		return 0;
	}
	return -EINVAL;
}

int store_parse_name(struct store_name *ret, const char *text)
{
	struct store_name name = { .kind = STORE_HELD };

	if (!strcmp(text, NAME_CONTROL)) {
		*ret = (struct store_name){ .kind = STORE_CONTROL };
		return 0;
	}
	if (strncmp(text, NAME_HELD, strlen(NAME_HELD)))
		return -EINVAL;
	text += strlen(NAME_HELD);
	if (!number_take(&text, 16, &name.netns) || *text++ != '.' ||
	    !number_take(&text, 16, &name.cookie) || *text++ != '.' ||
	    !is_endpoint_name(text))
		return -EINVAL;
	name.endpoint = text;
	*ret = name;
	return 0;
}

void store_taken(struct store *store, const char *name, int fd)
{
	struct store_item *item = store->on_item(store->context, name, fd);

	if (!item) {
		store->ops->remove(store, name);
		fd_close(fd);
		return;
	}
	item->fd = fd;
	snprintf(item->name, sizeof(item->name), "%s", name);
	link_init(&item->link);
	link_join(&item->link, &store->items);
	store->n++;
}

static void take_given(struct store *store, const char *name, int fd)
{
	if (strncmp(name, NAME_OURS, strlen(NAME_OURS)) == 0) {
		store_taken(store, name, fd);
	} else if (store->given < 0 && sd_is_socket(fd, AF_UNIX, SOCK_SEQPACKET, 1) > 0) {
		store->given = fd;
	} else {
		log_warning("the socket '%s' we were started with is of no use", name);
		fd_close(fd);
	}
}

/* From the service manager: sockets of ours, and those of the store. */
static int take_all_given(struct store *store)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(true, &names);

	for (int i = 0; i < n; i++) {
		take_given(store, names[i], SD_LISTEN_FDS_START + i);
		free(names[i]);
	}
	free(names);
	return n < 0 ? n : 0;
}

int store_new(struct store **ret, struct event_loop *loop, int state,
	      store_on_item *on_item, void *context)
{
	struct store *store;
	int r = store_systemd_is_there() ? store_systemd_new(&store)
					 : store_holder_new(&store, loop, state);

	if (r < 0)
		return r;
	link_init(&store->items);
	store->on_item = on_item;
	store->context = context;
	store->given = -1;
	r = take_all_given(store);
	if (r == 0)
		r = store->ops->take(store);
	if (r < 0) {
		store_free(store);
		return r;
	}
	*ret = store;
	return 0;
}

struct store *store_free(struct store *store)
{
	if (!store)
		return NULL;
	fd_close(store->given);
	store->ops->release(store);
	return NULL;
}

void store_end(struct store *store)
{
	store->ops->end(store);
}

int store_put(struct store *store, struct store_item *item)
{
	if (store->n >= STORE_MAX)
		return -ENOSPC;
	link_init(&item->link);
	link_join(&item->link, &store->items);
	store->n++;
	store->ops->put(store, item);
	return 0;
}

void store_remove(struct store *store, struct store_item *item)
{
	if (!item->link.next || link_is_alone(&item->link))
		return;
	link_leave(&item->link);
	store->n--;
	store->ops->remove(store, item->name);
}

int store_steal_given(struct store *store)
{
	return fd_steal(&store->given);
}

bool store_outlasts_end(const struct store *store)
{
	return store->ops->outlasts_end;
}
