/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks for sockets, supplies and the page.
 */
#pragma once

#include <stddef.h>

#include "wire/wire.h"

struct connection;

/* Takes ask, ask-supply, ask-page and ask-policy. A descriptor that is kept is set to -1.
 * Return: 0, or -errno to close the connection at once. */
int ask_take(struct connection *connection, const struct wire_message *message, int *fds,
	     size_t n_fds);
