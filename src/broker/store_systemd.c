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
#include <systemd/sd-daemon.h>

#include "broker/store_backend.h"

#define TEXT_MAX (64 + STORE_NAME_MAX)

/* It came with what we were started with; see store.c. */
static void take(struct store *store)
{
}

static int put(struct store *store, const char *name, int fd)
{
	char text[TEXT_MAX];
	int r;

	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	r = sd_pid_notify_with_fds(0, false, text, &fd, 1);
	return r > 0 ? 0 : r < 0 ? r : -ENOTCONN;
}

static void drop(struct store *store, const char *name)
{
	sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

static void release(struct store *store, bool keep)
{
	free(store);
}

static const struct store_place place = {
	.take = take,
	.put = put,
	.drop = drop,
	.release = release,
	.is_systemd = true,
};

int store_systemd_new(struct store **ret)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return -ENOMEM;
	store->place = &place;
	*ret = store;
	return 0;
}
