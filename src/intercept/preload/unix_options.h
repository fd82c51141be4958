/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options of a socket that became AF_UNIX while its program thinks of AF_INET.
 *
 * The wrappers make the real call first. What the kernel refuses on AF_UNIX, or what it
 * answers truthfully but not as the program thinks (SO_DOMAIN), comes here; sockets that
 * are not AF_UNIX, or not ours, leave as they came.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "intercept/preload/view.h"

/* After the real call returned @r: is there anything to look at? */
static inline bool unix_options_set_concerns(int r, int level)
{
	return r < 0 && level != SOL_SOCKET && view_is_on(VIEW_UNIX) &&
	       (errno == EOPNOTSUPP || errno == ENOPROTOOPT);
}

static inline bool unix_options_get_concerns(int r, int level, int name)
{
	return view_is_on(VIEW_UNIX) &&
	       (level == SOL_SOCKET
			? r == 0 && (name == SO_DOMAIN || name == SO_PROTOCOL)
			: r < 0 && (errno == EOPNOTSUPP || errno == ENOPROTOOPT));
}

/* Return: as the calls do, with errno; the kernel's answer when it is none of ours. */
int unix_options_set(int fd, int level, int name, const void *value, socklen_t size);
int unix_options_get(int fd, int r, int level, int name, void *value, socklen_t *size);

/* The few that programs ask for again, or that say what the socket is. */
#define UNIX_OPTIONS_CARRIED 2

struct unix_options {
	bool is_set[UNIX_OPTIONS_CARRIED];
	int values[UNIX_OPTIONS_CARRIED];
};

/* @to, which is AF_UNIX, takes the place of @from. */
void unix_options_carry(int from, int to);
/* The same where both are one descriptor, before and after. */
void unix_options_take(int from, struct unix_options *ret);
void unix_options_give(int to, const struct unix_options *taken);
