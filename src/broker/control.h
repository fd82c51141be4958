/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket that clients of graftd connect to, from one graftd to the next.
 */
#pragma once

#include <stdbool.h>

#include "broker/store.h"

struct control {
	struct store_item item; /* its fd: of the last graftd, at first; or -1 */
	const char *path;
	const char *group; /* or NULL */
	bool is_given;     /* whoever started us looks after it */
};

/* Makes item.fd listen at control->path: the one we were started with; or the last
 * graftd's, in which clients may wait already, if that is what the path leads to; or a
 * new one. Return: 0 or -errno, logged. */
int control_open(struct control *control, struct store *store);
/* What is to be left of it when graftd ends in good order. Closes nothing. */
void control_end(struct control *control, const struct store *store);
