/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	accept ─> identity, quota ─> greeting ──hello or ask──> settled <──> stuck
 *	                                │ GREETING_NS                         │ STUCK_NS
 *	                                └──────────────> closed <─────────────┘
 *
 * One turn of the loop: messages are received, at most BATCH from a connection and BUDGET
 * from a user, and acted on; then server_settle() writes what they changed to the journal
 * and sends the answers. epoll hands out ready descriptors in turns, so nobody is passed
 * over.
 *
 * Nothing here waits for a client. While answers to it are left over it is not read from,
 * so what it can make us queue is one batch of answers. If it takes none of them for
 * STUCK_NS it is closed. Events cannot be held back like this: a watcher that falls
 * WATCH_MAX bytes behind is told so and closed.
 *
 * Each connection is in one of three rings: greeting, stuck, settled. The time limit of a
 * ring is one, so its first member is the first to be due, and one timer serves all.
 *
 * A message that is none, descriptors where none belong or more than MESSAGE_FDS end the
 * connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/change.h"
#include "broker/graftd.h"
#include "broker/journal.h"
#include "broker/metrics.h"
#include "broker/quota.h"
#include "broker/server.h"

#define NS_PER_S 1000000000ull
/* The tests, which cannot wait that long, build this file with their own. */
#ifndef GREETING_NS
#	define GREETING_NS (5 * NS_PER_S)
#	define STUCK_NS    (10 * NS_PER_S)
#endif
#define PAUSE_NS     (NS_PER_S / 10)
#define BATCH        64
#define BUDGET       128
#define ACCEPT_BATCH 32
#define SEND_BATCH   1024
#define MESSAGE_FDS  3
#define SEND_BUFFER  65536

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

int server_fd(const struct server *server)
{
	return server->fd;
}

struct graftd *server_graftd(const struct server *server)
{
	return server->graftd;
}

size_t server_n_connections(const struct server *server)
{
	return server->n_connections;
}

struct link *server_watchers(struct server *server)
{
	return &server->watchers;
}

bool server_may_send(const struct server *server)
{
	return !journal_is_pending(server->graftd->journal);
}

void server_mark(struct connection *connection)
{
	link_join(&connection->dirty, &connection->server->dirty);
}

static void arm(struct server *server)
{
	uint64_t deadline = server->is_paused ? server->resume_ns : EVENT_NEVER;
	struct link *const rings[] = { &server->greeting, &server->stuck };
	static const uint64_t limits[] = { GREETING_NS, STUCK_NS };

	for (size_t i = 0; i < ARRAY_SIZE(rings); i++) {
		struct connection *first =
			container_of(rings[i]->next, struct connection, link);

		if (!link_is_alone(rings[i]) && first->since_ns + limits[i] < deadline)
			deadline = first->since_ns + limits[i];
	}
	server->timer.deadline_ns = deadline;
}

static void end(struct connection *connection)
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

/* Sends what can be sent. Return: 0, or -errno: it is over. */
static int flush(struct connection *connection)
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
		end(connection);
	} else if (link_is_alone(&connection->dirty) &&
		   (events & EPOLLOUT || connection->is_ending ||
		    connection->listing != LISTING_NONE)) {
		server_mark(connection);
	} else if (link_is_alone(&connection->dirty)) {
		settle_ring(connection, false);
	}
	arm(server);
}

static struct connection *begin(struct server *server, int fd,
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

/* What is said to a client that cannot stay; if it does not fit it is not heard. */
static void turn_away(int fd, int number, const char *text)
{
	struct wire_message message = { .type = WIRE_ERROR,
					.error.number = (uint32_t)number };
	char data[WIRE_MAX];
	ssize_t n;

	wire_set_text(message.error.text, sizeof(message.error.text), text);
	n = wire_write(&message, data, sizeof(data));
	if (n > 0)
		fd_send(fd, data, (size_t)n, NULL, 0);
	fd_close(fd);
}

struct connection *server_adopt(struct server *server, int fd)
{
	struct quota *quota = server->graftd->quota;
	struct identity identity;
	struct quota_who who;
	struct user *user;
	int on = 1;
	int r = identity_read(&identity, fd, &server->graftd->self);

	if (r < 0) {
		metrics_count(server->graftd->metrics, METRICS_REFUSED);
		turn_away(fd, -r, "graftd cannot tell who you are");
		return NULL;
	}
	who = quota_who(identity.uid, identity.is_admin, identity.netns);
	user = quota_ref(quota, &who);
	r = user ? quota_take(quota, user, QUOTA_CONNECTIONS, false) : -ENOMEM;
	if (r < 0) {
		log_limited(LOG_LEVEL_WARNING, "uid %u has too many connections",
			    (unsigned int)identity.uid);
		if (user)
			quota_unref(quota, user);
		identity_deinit(&identity);
		metrics_count(server->graftd->metrics, METRICS_REFUSED);
		turn_away(fd, -r, "too many connections of this user");
		return NULL;
	}
	/* A connection may have several senders: forked children share it. */
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	return begin(server, fd, &identity, user);
}

static void pause_accept(struct server *server)
{
	event_loop_del(&server->graftd->loop, server->fd, &server->source);
	server->is_paused = true;
	server->resume_ns = event_now_ns() + PAUSE_NS;
}

static void server_ready(struct event_source *source, uint32_t events)
{
	struct server *server = container_of(source, struct server, source);

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			server_adopt(server, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		    errno == ENOBUFS) {
			log_limited(LOG_LEVEL_WARNING, "cannot accept: %s",
				    strerror(errno));
			pause_accept(server);
		}
		break;
	}
	arm(server);
}

static void end_due(struct link *ring, uint64_t limit_ns, uint64_t now_ns)
{
	while (!link_is_alone(ring)) {
		struct connection *first =
			container_of(ring->next, struct connection, link);

		if (first->since_ns + limit_ns > now_ns)
			return;
		log_limited(LOG_LEVEL_INFO, "uid %u, pid %d: silent for too long",
			    (unsigned int)first->identity.uid, (int)first->identity.pid);
		metrics_count(first->server->graftd->metrics, METRICS_SLOW);
		end(first);
	}
}

static void server_expired(struct event_timer *timer, uint64_t now_ns)
{
	struct server *server = container_of(timer, struct server, timer);

	end_due(&server->greeting, GREETING_NS, now_ns);
	end_due(&server->stuck, STUCK_NS, now_ns);
	if (server->is_paused && server->resume_ns <= now_ns) {
		server->is_paused = event_loop_add(&server->graftd->loop, server->fd,
						   EPOLLIN, &server->source) < 0;
		server->resume_ns = now_ns + PAUSE_NS;
	}
	arm(server);
}

/* What was to be answered may not be true: silence is. */
static void end_dirty(struct server *server)
{
	while (!link_is_alone(&server->dirty))
		end(container_of(server->dirty.next, struct connection, dirty));
}

void server_settle(struct server *server)
{
	struct link now;

	server->turn++;
	if (change_commit(server->graftd) < 0)
		end_dirty(server);
	/* A listing that goes on marks itself again, for the next turn. */
	link_init(&now);
	while (!link_is_alone(&server->dirty))
		link_join(server->dirty.next, &now);
	while (!link_is_alone(&now)) {
		struct connection *connection =
			container_of(now.next, struct connection, dirty);

		link_leave(&connection->dirty);
		if (flush(connection) < 0)
			end(connection);
	}
	arm(server);
}

int server_new(struct server **ret, struct graftd *graftd, int fd)
{
	struct server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return -ENOMEM;
	server->source.ready = server_ready;
	server->timer.expired = server_expired;
	server->timer.deadline_ns = EVENT_NEVER;
	server->graftd = graftd;
	link_init(&server->greeting);
	link_init(&server->stuck);
	link_init(&server->settled);
	link_init(&server->dirty);
	link_init(&server->watchers);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	r = event_loop_add(&graftd->loop, fd, EPOLLIN, &server->source);
	if (r < 0) {
		free(server);
		return r;
	}
	server->fd = fd;
	event_loop_add_timer(&graftd->loop, &server->timer);
	*ret = server;
	return 0;
}

static void end_all(struct link *ring)
{
	while (!link_is_alone(ring))
		end(container_of(ring->next, struct connection, link));
}

struct server *server_free(struct server *server)
{
	if (!server)
		return NULL;
	end_all(&server->greeting);
	end_all(&server->stuck);
	end_all(&server->settled);
	if (!server->is_paused)
		event_loop_del(&server->graftd->loop, server->fd, &server->source);
	event_loop_del_timer(&server->graftd->loop, &server->timer);
	fd_close(server->fd);
	free(server);
	return NULL;
}
