/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "broker/holder.h"
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

static void on_inherited(void *context, const char *name, int fd)
{
	struct store *store = context;
	int r = store_put(store, name, fd);

	if (r < 0)
		log_warning("%s will not outlive us: %s", name, strerror(-r));
	store->ops->found(store->context, name, fd);
}

/* From the holder of a graftd that ran here before without a service manager. */
static void inherit(struct store *store, struct event_loop *loop, int state)
{
	static const struct store_ops ops = { .found = on_inherited };
	struct store *old;

	if (faccessat(state, HOLDER_SOCKET, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ||
	    store_holder_new(&old, loop, state, false) < 0)
		return;
	old->ops = &ops;
	old->context = store;
	old->place->take(old);
	store_free(old, false);
}

int store_new(struct store **ret, struct event_loop *loop, int state,
	      const struct store_ops *ops, void *context)
{
	const char *manager = getenv("NOTIFY_SOCKET");
	struct store *store;
	int r = manager && *manager ? store_systemd_new(&store)
				    : store_holder_new(&store, loop, state, true);

	if (r < 0)
		return r;
	store->ops = ops;
	store->context = context;
	r = take_given(store);
	if (r < 0) {
		store_free(store, true);
		return r;
	}
	if (store->place->is_systemd)
		inherit(store, loop, state);
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

bool store_is_systemd(const struct store *store)
{
	return store->place->is_systemd;
}

void store_drop(struct store *store, const char *name)
{
	store->place->drop(store, name);
}
