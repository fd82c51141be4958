/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One client of the server, from its first message to its last: what it said is taken, at
 * most so much in a turn, what is left for it is sent, and it goes into the ring that it
 * belongs to.
 *
 * A message that is none, descriptors where none belong or more than MESSAGE_FDS end the
 * connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/graftd.h"
#include "broker/metrics.h"
#include "broker/quota.h"
#include "broker/server.h"
#include "broker/server_internal.h"

#define BATCH       64
#define BUDGET      128
#define SEND_BATCH  1024
#define MESSAGE_FDS 3
#define SEND_BUFFER 65536

static void listen_to(struct connection *connection, uint32_t events)
{
	if (connection->events == events)
		return;
	connection->events = events;
	event_loop_mod(&connection->server->graftd->loop, connection->fd, events,
		       &connection->source);
}

/* Into the ring it belongs to now. @moved: some of what waited went. */
static void settle_ring(struct connection *connection, bool moved)
{
	struct server *server = connection->server;
	bool was_stuck = connection->events & EPOLLOUT;

	if (connection->out.first || connection->listing != LISTING_NONE) {
		if (moved || !was_stuck || !connection->out.first) {
			connection->since_ns = event_now_ns();
			link_join(&connection->link, &server->stuck);
		}
		listen_to(connection, EPOLLOUT);
		return;
	}
	if (was_stuck || connection->is_greeted)
		link_join(&connection->link, &server->settled);
	listen_to(connection, connection->is_ending ? 0 : EPOLLIN);
}

static void close_fds(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fds[i] = fd_close(fds[i]);
}

/* Return: 1 when a message was taken, 0 when there is none, or -errno. */
static int take_one(struct connection *connection)
{
	int fds[MESSAGE_FDS] = { -1, -1, -1 };
	struct wire_message message;
	char data[WIRE_MAX];
	size_t n_fds = 0;
	ssize_t n;
	int r;

	n = fd_receive_from(connection->fd, data, sizeof(data), fds, MESSAGE_FDS, &n_fds,
			    &connection->sender);
	if (n == -EAGAIN)
		return 0;
	if (n == 0)
		r = -ENOTCONN;
	else if (n < 0 && n != -EMSGSIZE)
		r = (int)n;
	else
		r = n < 0 ? -EBADMSG : wire_parse(data, (size_t)n, &message);
	if (r == 0) {
		r = talk_take(connection, &message, fds, n_fds);
	} else if (r == -EBADMSG || r == -EPROTONOSUPPORT) {
		log_limited(LOG_LEVEL_INFO, "uid %u, pid %d: not a message",
			    (unsigned int)connection->identity.uid,
			    (int)connection->identity.pid);
		r = connection_refuse(connection, -r,
				      r == -EBADMSG ? "not a message"
						    : "graftd is of another version");
		connection->is_ending = true;
		metrics_count(connection->server->graftd->metrics, METRICS_VIOLATED);
	}
	close_fds(fds, n_fds);
	return r < 0 ? r : 1;
}

static unsigned int *budget(struct connection *connection)
{
	struct user *user = connection->user;

	if (user->turn != connection->server->turn) {
		user->turn = connection->server->turn;
		user->budget = BUDGET;
	}
	return &user->budget;
}

static int take_many(struct connection *connection)
{
	unsigned int *left = budget(connection);
	int r = 1;

	for (int i = 0; i < BATCH && *left && r == 1; i++) {
		if (connection->is_ending || connection->listing != LISTING_NONE)
			return 0;
		r = take_one(connection);
		if (r == 1)
			(*left)--;
	}
	return r < 0 ? r : 0;
}

static void connection_ready(struct event_source *source, uint32_t events)
{
	struct connection *connection = container_of(source, struct connection, source);
	struct server *server = connection->server;
	int r = 0;

	if (events & EPOLLIN && !connection->is_ending)
		r = take_many(connection);
	else if (events & (EPOLLERR | EPOLLHUP))
		r = -ENOTCONN;
	if (r < 0) {
		server_end(connection);
	} else if (link_is_alone(&connection->dirty) &&
		   (events & EPOLLOUT || connection->is_ending ||
		    connection->listing != LISTING_NONE)) {
		server_mark(connection);
	} else if (link_is_alone(&connection->dirty)) {
		settle_ring(connection, false);
	}
	server_arm(server);
}

struct connection *server_begin(struct server *server, int fd,
				const struct identity *identity, struct user *user)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	const int size = SEND_BUFFER;
	struct identity spare = *identity;

	if (!connection ||
	    event_loop_add(&server->graftd->loop, fd, EPOLLIN, &connection->source) < 0) {
		free(connection);
		identity_deinit(&spare);
		fd_close(fd);
		quota_give(server->graftd->quota, user, QUOTA_CONNECTIONS);
		quota_unref(server->graftd->quota, user);
		return NULL;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	connection->source.ready = connection_ready;
	connection->server = server;
	connection->identity = *identity;
	connection->user = user;
	connection->fd = fd;
	connection->since_ns = event_now_ns();
	connection->events = EPOLLIN;
	packets_init(&connection->out);
	packets_init(&connection->later);
	link_init(&connection->link);
	link_init(&connection->dirty);
	link_init(&connection->watching);
	link_init(&connection->supplies);
	link_join(&connection->link, &server->greeting);
	server->n_connections++;
	metrics_count(server->graftd->metrics, METRICS_CONNECTIONS);
	return connection;
}

void server_end(struct connection *connection)
{
	struct server *server = connection->server;

	event_loop_del(&server->graftd->loop, connection->fd, &connection->source);
	talk_end(connection);
	link_leave(&connection->link);
	link_leave(&connection->dirty);
	link_leave(&connection->watching);
	packets_clear(&connection->out);
	packets_clear(&connection->later);
	identity_deinit(&connection->identity);
	fd_close(connection->fd);
	quota_give(server->graftd->quota, connection->user, QUOTA_CONNECTIONS);
	quota_unref(server->graftd->quota, connection->user);
	server->n_connections--;
	free(connection);
}

int server_flush(struct connection *connection)
{
	bool moved = false;
	int r;

	r = packets_send(&connection->out, connection->fd, SEND_BATCH, &moved);
	if (r == 0 && connection->listing != LISTING_NONE)
		r = talk_list(connection);
	if (r < 0)
		return r;
	if (!connection->out.first && connection->is_ending &&
	    connection->listing == LISTING_NONE)
		return -ENOTCONN;
	settle_ring(connection, moved);
	return 0;
}
