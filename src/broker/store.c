/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "broker/store_backend.h"

/* Those of a socket unit and of systemd's store alike. */
static int take_given(struct store *store)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(true, &names);

	for (int i = 0; i < n; i++) {
		store->ops->found(store->context, names[i], SD_LISTEN_FDS_START + i);
		free(names[i]);
	}
	free(names);
	return n < 0 ? n : 0;
}

int store_new(struct store **ret, struct event_loop *loop, int state,
	      const struct store_ops *ops, void *context)
{
	const char *manager = getenv("NOTIFY_SOCKET");
	struct store *store;
	int r = manager && *manager ? store_systemd_new(&store)
				    : store_holder_new(&store, loop, state);

	if (r < 0)
		return r;
	store->ops = ops;
	store->context = context;
	r = take_given(store);
	if (r < 0) {
		store_free(store, true);
		return r;
	}
	store->place->take(store);
	*ret = store;
	return 0;
}

struct store *store_free(struct store *store, bool keep)
{
	if (store)
		store->place->release(store, keep);
	return NULL;
}

int store_put(struct store *store, const char *name, int fd)
{
	if (strlen(name) > STORE_NAME_MAX)
		return -ENAMETOOLONG;
	return store->place->put(store, name, fd);
}

void store_drop(struct store *store, const char *name)
{
	store->place->drop(store, name);
}
