/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	accept ─> identity, quota ─> greeting ──hello or ask──> settled <──> stuck
 *	                                │ GREETING_NS                         │ STUCK_NS
 *	                                └──────────────> closed <─────────────┘
 *
 * One turn of the loop: messages are received (server_client.c), at most BATCH from a
 * connection and BUDGET from a user, and acted on; then server_settle() writes what they
 * changed to the journal and sends the answers. epoll hands out ready descriptors in
 * turns, so nobody is passed over.
 *
 * Nothing here waits for a client. While answers to it are left over it is not read from,
 * so what it can make us queue is one batch of answers. If it takes none of them for
 * STUCK_NS it is closed. Events cannot be held back like this: a watcher that falls
 * WATCH_MAX bytes behind is told so and closed.
 *
 * Each connection is in one of three rings: greeting, stuck, settled. The time limit of a
 * ring is one, so its first member is the first to be due, and one timer serves all.
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
#include "broker/server_internal.h"

#define NS_PER_S     1000000000ull
#define GREETING_NS  (5 * NS_PER_S)
#define STUCK_NS     (10 * NS_PER_S)
#define PAUSE_NS     (NS_PER_S / 10)
#define ACCEPT_BATCH 32

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

void server_arm(struct server *server)
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
	return server_begin(server, fd, &identity, user);
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
	server_arm(server);
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
		server_end(first);
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
	server_arm(server);
}

/* What was to be answered may not be true: silence is. */
static void end_dirty(struct server *server)
{
	while (!link_is_alone(&server->dirty))
		server_end(container_of(server->dirty.next, struct connection, dirty));
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
		if (server_flush(connection) < 0)
			server_end(connection);
	}
	server_arm(server);
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
		server_end(container_of(ring->next, struct connection, link));
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
