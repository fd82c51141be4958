/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What server.c and server_client.c share.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/event.h"
#include "broker/connection.h"
#include "broker/list.h"

struct graftd;

struct server {
	struct event_source source;
	struct event_timer timer;
	struct graftd *graftd;
	int fd;
	bool is_paused;
	uint64_t resume_ns;
	uint64_t turn;
	size_t n_connections;
	struct link greeting, stuck, settled; /* rings of connection.link */
	struct link dirty, watchers;
};

/* When the first of the rings is due, the timer goes off. */
void server_arm(struct server *server);

/*
 * @fd is a client, @identity is who, and @user has one connection more for it. Return:
 * NULL when there is no memory; all three are released then.
 */
struct connection *server_begin(struct server *server, int fd,
				const struct identity *identity, struct user *user);
/* Closes it, and releases what it had. */
void server_end(struct connection *connection);
/* Sends what can be sent. Return: 0, or -errno: it is over. */
int server_flush(struct connection *connection);
