/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * systemd's file descriptor store. It takes what comes with a message of sd_notify(3),
 * and starts the next graftd with all of it. It gives up what is there when the unit is
 * stopped, not when it is started again, so there is nothing to be done at our end.
 *
 * FDPOLL=0: else it would drop a socket that is at HUP, as a listener is that its server
 * has shut down, or that was not made to listen yet.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "broker/store_backend.h"

#define TEXT_MAX (64 + HOLDER_NAME_MAX)

bool store_systemd_is_there(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	return path && *path;
}

static void tell(const char *text, const int *fds, unsigned int n_fds)
{
	int r = sd_pid_notify_with_fds(0, 0, text, fds, n_fds);

	if (r < 0)
		log_limited(LOG_LEVEL_ERROR, "cannot reach systemd's store: %s",
			    strerror(-r));
}

/* It comes with what we are started with; see store.c. */
static int take(struct store *store)
{
	return 0;
}

static void put(struct store *store, const struct store_item *item)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", item->name);
	tell(text, &item->fd, 1);
}

static void remove_name(struct store *store, const char *name)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	tell(text, NULL, 0);
}

static void end(struct store *store)
{
}

static void release(struct store *store)
{
	free(store);
}

static const struct store_ops ops = {
	.take = take,
	.put = put,
	.remove = remove_name,
	.end = end,
	.release = release,
	.outlasts_end = true,
};

int store_systemd_new(struct store **ret)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return -ENOMEM;
	store->ops = &ops;
	*ret = store;
	return 0;
}
