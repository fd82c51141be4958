/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket and its clients.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "broker/connection.h"

struct graftd;
struct server;

/* @fd: listening; taken over on success. Return: 0 or -errno. */
int server_new(struct server **ret, struct graftd *graftd, int fd);
struct server *server_free(struct server *server);
/* Its listening socket. */
int server_fd(const struct server *server);
struct graftd *server_graftd(const struct server *server);
size_t server_n_connections(const struct server *server);

/* Takes @fd, which is a connection, in as if it had been accepted. Return: NULL when it
 * was turned away; @fd is closed then. */
struct connection *server_adopt(struct server *server, int fd);

/* What one turn of the loop changed is written to the journal, then its answers are sent.
 * To be called after each turn. */
void server_settle(struct server *server);

/* May an answer go before server_settle()? */
bool server_may_send(const struct server *server);
/* @connection has something to be sent in server_settle(). */
void server_mark(struct connection *connection);
/* Those that watch. */
struct link *server_watchers(struct server *server);
/* What one message of a client leads to; talk.c. Closes no descriptor it does not set to
 * -1. Return: 0, or -errno to close the connection at once. */
int talk_take(struct connection *connection, const struct wire_message *message, int *fds,
	      size_t n_fds);
/* Goes on with the listing @connection asked for; talk.c. Return: 0 or -errno. */
int talk_list(struct connection *connection);
/* It ends: gives back what it had; talk.c. */
void talk_end(struct connection *connection);
