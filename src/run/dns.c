/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The DNS forwarder.
 *
 * Theory of operation
 *
 *	program's netns                    |          host's netns
 *	                                   |
 *	client ──udp──> ADDR:53 on lo ─────┼─> one connected socket per query ──> ADDR:53
 *	client ──tcp──> ADDR:53 on lo ─────┼─> one connection per connection  ──> ADDR:53
 *
 * The resolver's addresses are local addresses in the program's namespace, so that its
 * /etc/resolv.conf holds without a change and a program that reads it itself is served
 * too. The sockets on them are made there before the program starts (dns_listen.c) and
 * answered here, in the supervisor, which lives in the host's namespace. Messages pass
 * as they are; nothing in them is looked at.
 *
 * UDP. Each datagram of at least DNS_MESSAGE_MIN bytes becomes a `query`: the client's
 * address and an upstream socket of its own, whose port the kernel picks, as a resolver
 * would. The first datagram back goes to the client, from the bound socket and therefore
 * from ADDR:53, and ends the query; so does an error (the client then waits for its own
 * timeout, as it would for a dead server) and DNS_QUERY_NS. Queries end in the order they
 * began in, so one list serves for both the timeout and, when DNS_QUERIES_MAX are in
 * flight, for the one to give up.
 *
 * TCP. Each accepted connection becomes a `stream` of two ends:
 *
 *	connecting ──writable──> open ──both ends at end of file and drained──> gone
 *
 * What one end sent waits in that end's buffer until the other takes it; a full buffer
 * stops reading. End of file is passed on (shutdown) once the buffer is empty. An end is
 * in the epoll set only while something is wanted of it, as EPOLLHUP cannot be masked.
 * A stream without progress for DNS_STREAM_IDLE_NS ends; beyond DNS_STREAMS_MAX the one
 * idle for longest gives way.
 *
 * What it opens. The program can send anything to port 53 of these servers and of nobody
 * else, also where that is a loopback address of the host; `--dns none` closes it.
 *
 * Limits. Everything is of fixed size and belongs to one run, so a client that floods,
 * sends garbage, never reads or leaves connections half open takes only its own run's
 * slots. A wake-up handles at most DNS_BATCH datagrams or connections. A link-local
 * server is not reachable: its scope has no meaning in the other namespace.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/event.h"
#include "base/fd.h"
#include "run/dns.h"

#define DNS_QUERIES_MAX   256
#define DNS_STREAMS_MAX   32
#define DNS_STREAM_BUFFER 4096
#define DNS_BATCH         64
#define DNS_MESSAGE_MIN   12
#define DNS_MESSAGE_MAX   65535
#define NS_PER_S          1000000000ull
#define DNS_PAUSE_NS      NS_PER_S
/* The tests, which cannot wait that long, build this file with their own. */
#ifndef DNS_QUERY_NS
#	define DNS_QUERY_NS (10 * NS_PER_S)
#endif
#ifndef DNS_STREAM_IDLE_NS
#	define DNS_STREAM_IDLE_NS (30 * NS_PER_S)
#endif

struct server {
	struct dns_server address;
	struct event_source udp_source;
	struct event_source tcp_source;
	struct dns *dns;
	int udp;
	int tcp;
	bool paused; /* @tcp: no descriptor was left to accept with */
};

struct query {
	struct event_source source;
	TAILQ_ENTRY(query) link;
	struct server *server;
	int fd;
	uint64_t until_ns;
	struct sockaddr_storage client;
	socklen_t client_len;
};

struct end {
	struct event_source source;
	struct stream *stream;
	int fd;
	uint32_t events; /* 0: not in the epoll set */
	bool eof;        /* it will send nothing more */
	bool shut;       /* we will send it nothing more */
	size_t start, size;
	char buffer[DNS_STREAM_BUFFER];
};

enum { CLIENT, UPSTREAM };

struct stream {
	TAILQ_ENTRY(stream) link;
	struct dns *dns;
	bool connecting;
	uint64_t until_ns;
	struct end ends[2];
};

TAILQ_HEAD(query_list, query);
TAILQ_HEAD(stream_list, stream);

struct dns {
	struct event_loop *loop;
	struct event_timer timer;
	struct server servers[DNS_SERVERS_MAX];
	size_t n_servers;
	struct query_list queries, free_queries;  /* oldest first */
	struct stream_list streams, free_streams; /* longest idle first */
	size_t n_queries, n_streams;
	uint64_t resume_ns; /* when paused servers accept again */
	struct query query_slots[DNS_QUERIES_MAX];
	struct stream stream_slots[DNS_STREAMS_MAX];
	char message[DNS_MESSAGE_MAX];
};

static void arm(struct dns *dns)
{
	const struct query *query = TAILQ_FIRST(&dns->queries);
	const struct stream *stream = TAILQ_FIRST(&dns->streams);
	uint64_t deadline = dns->resume_ns;

	if (query && query->until_ns < deadline)
		deadline = query->until_ns;
	if (stream && stream->until_ns < deadline)
		deadline = stream->until_ns;
	dns->timer.deadline_ns = deadline;
}

static int upstream_socket(const struct server *server, int type)
{
	const struct dns_server *to = &server->address;
	_cleanup_fd_ int fd =
		socket(to->address.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&to->address, to->len) < 0 &&
	    errno != EINPROGRESS)
		return -errno;
	return fd_steal(&fd);
}

static void query_end(struct query *query)
{
	struct dns *dns = query->server->dns;

	event_loop_del(dns->loop, query->fd, &query->source);
	query->fd = fd_close(query->fd);
	TAILQ_REMOVE(&dns->queries, query, link);
	TAILQ_INSERT_HEAD(&dns->free_queries, query, link);
	dns->n_queries--;
}

static void query_ready(struct event_source *source, uint32_t events)
{
	struct query *query = container_of(source, struct query, source);
	struct dns *dns = query->server->dns;
	ssize_t n = recv(query->fd, dns->message, sizeof(dns->message), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* A client that is gone or does not read loses its answer, as on a network. */
	if (n >= DNS_MESSAGE_MIN &&
	    sendto(query->server->udp, dns->message, (size_t)n, MSG_NOSIGNAL,
		   (struct sockaddr *)&query->client, query->client_len) < 0)
		errno = 0;
	query_end(query);
	arm(dns);
}

/* Sends the datagram in dns->message on its way. */
static int query_begin(struct server *server, size_t size,
		       const struct sockaddr_storage *client, socklen_t client_len)
{
	struct dns *dns = server->dns;
	struct query *query = TAILQ_FIRST(&dns->free_queries);
	_cleanup_fd_ int fd = -1;
	int r;

	if (!query) {
		query_end(TAILQ_FIRST(&dns->queries));
		query = TAILQ_FIRST(&dns->free_queries);
	}
	fd = upstream_socket(server, SOCK_DGRAM);
	if (fd < 0)
		return fd;
	if (send(fd, dns->message, size, MSG_NOSIGNAL) < 0)
		return -errno;
	r = event_loop_add(dns->loop, fd, EPOLLIN, &query->source);
	if (r < 0)
		return r;
	query->source.ready = query_ready;
	query->server = server;
	query->fd = fd_steal(&fd);
	query->until_ns = event_now_ns() + DNS_QUERY_NS;
	query->client = *client;
	query->client_len = client_len;
	TAILQ_REMOVE(&dns->free_queries, query, link);
	TAILQ_INSERT_TAIL(&dns->queries, query, link);
	dns->n_queries++;
	return 0;
}

static void udp_ready(struct event_source *source, uint32_t events)
{
	struct server *server = container_of(source, struct server, udp_source);
	struct dns *dns = server->dns;

	for (int i = 0; i < DNS_BATCH; i++) {
		struct sockaddr_storage client;
		socklen_t len = sizeof(client);
		ssize_t n = recvfrom(server->udp, dns->message, sizeof(dns->message), 0,
				     (struct sockaddr *)&client, &len);

		if (n < 0)
			break;
		/* What cannot be sent is lost, as on a network; the client asks again. */
		if (n >= DNS_MESSAGE_MIN)
			query_begin(server, (size_t)n, &client, len);
	}
	arm(dns);
}

static void end_close(struct end *end)
{
	if (end->events)
		event_loop_del(end->stream->dns->loop, end->fd, &end->source);
	end->events = 0;
	end->fd = fd_close(end->fd);
}

static void stream_end(struct stream *stream)
{
	struct dns *dns = stream->dns;

	end_close(&stream->ends[CLIENT]);
	end_close(&stream->ends[UPSTREAM]);
	TAILQ_REMOVE(&dns->streams, stream, link);
	TAILQ_INSERT_HEAD(&dns->free_streams, stream, link);
	dns->n_streams--;
}

static void stream_touch(struct stream *stream)
{
	struct dns *dns = stream->dns;

	stream->until_ns = event_now_ns() + DNS_STREAM_IDLE_NS;
	TAILQ_REMOVE(&dns->streams, stream, link);
	TAILQ_INSERT_TAIL(&dns->streams, stream, link);
}

/* Reads once from @from if there is room. Return: bytes, 0, or -errno. */
static ssize_t end_fill(struct end *from)
{
	ssize_t n;

	if (from->eof || from->size)
		return 0;
	n = recv(from->fd, from->buffer, sizeof(from->buffer), 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	from->eof = n == 0;
	from->start = 0;
	from->size = (size_t)n;
	return n;
}

/* Writes once what @from sent to @to. Return: bytes, 0, or -errno. */
static ssize_t end_drain(struct end *from, struct end *to)
{
	ssize_t n = 0;

	if (from->size) {
		n = send(to->fd, from->buffer + from->start, from->size, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		from->start += (size_t)n;
		from->size -= (size_t)n;
	}
	if (from->eof && !from->size && !to->shut) {
		to->shut = true;
		if (shutdown(to->fd, SHUT_WR) < 0)
			return -errno;
	}
	return n;
}

/* Keeps the epoll set in step with what is wanted of @end. */
static int end_watch(struct end *end, const struct end *other, bool connecting)
{
	struct event_loop *loop = end->stream->dns->loop;
	uint32_t events = 0;
	int r = 0;

	if (connecting || other->size)
		events |= EPOLLOUT;
	if (!connecting && !end->eof && !end->size)
		events |= EPOLLIN;
	if (events == end->events)
		return 0;
	if (!events)
		event_loop_del(loop, end->fd, &end->source);
	else if (end->events)
		r = event_loop_mod(loop, end->fd, events, &end->source);
	else
		r = event_loop_add(loop, end->fd, events, &end->source);
	end->events = events;
	return r;
}

static int stream_pump(struct stream *stream)
{
	struct end *client = &stream->ends[CLIENT], *upstream = &stream->ends[UPSTREAM];
	ssize_t n, moved = 0;
	int r;

	n = end_fill(client);
	if (n >= 0 && !stream->connecting) {
		moved += n;
		n = end_drain(client, upstream);
	}
	if (n >= 0 && !stream->connecting) {
		moved += n;
		n = end_fill(upstream);
	}
	if (n >= 0 && !stream->connecting) {
		moved += n;
		n = end_drain(upstream, client);
	}
	if (n < 0)
		return (int)n;
	if (moved + n)
		stream_touch(stream);
	if (client->shut && upstream->shut)
		return -ENOTCONN;
	r = end_watch(client, upstream, false);
	return r < 0 ? r : end_watch(upstream, client, stream->connecting);
}

static void end_ready(struct event_source *source, uint32_t events)
{
	struct end *end = container_of(source, struct end, source);
	struct stream *stream = end->stream;
	struct dns *dns = stream->dns;
	bool broken = events & EPOLLERR;

	if (end == &stream->ends[UPSTREAM])
		stream->connecting = false;
	if (broken || stream_pump(stream) < 0)
		stream_end(stream);
	arm(dns);
}

static int stream_begin(struct server *server, int client_fd)
{
	struct dns *dns = server->dns;
	struct stream *stream = TAILQ_FIRST(&dns->free_streams);
	int upstream_fd = upstream_socket(server, SOCK_STREAM);

	if (upstream_fd < 0)
		return upstream_fd;
	stream->connecting = true;
	for (int i = CLIENT; i <= UPSTREAM; i++) {
		struct end *end = &stream->ends[i];

		end->source.ready = end_ready;
		end->stream = stream;
		end->fd = i == CLIENT ? client_fd : upstream_fd;
		end->events = 0;
		end->eof = end->shut = false;
		end->start = end->size = 0;
	}
	TAILQ_REMOVE(&dns->free_streams, stream, link);
	TAILQ_INSERT_TAIL(&dns->streams, stream, link);
	dns->n_streams++;
	stream_touch(stream);
	if (stream_pump(stream) < 0)
		stream_end(stream);
	return 0;
}

/* Leaves @server's queue of connections alone for a while, as it would wake us at once
 * again. */
static void server_pause(struct server *server)
{
	event_loop_del(server->dns->loop, server->tcp, &server->tcp_source);
	server->paused = true;
	server->dns->resume_ns = event_now_ns() + DNS_PAUSE_NS;
}

static void servers_resume(struct dns *dns)
{
	dns->resume_ns = EVENT_NEVER;
	for (size_t i = 0; i < dns->n_servers; i++) {
		struct server *server = &dns->servers[i];

		if (!server->paused)
			continue;
		server->paused = false;
		if (event_loop_add(dns->loop, server->tcp, EPOLLIN, &server->tcp_source) <
		    0)
			server->tcp = fd_close(server->tcp);
	}
}

static void tcp_ready(struct event_source *source, uint32_t events)
{
	struct server *server = container_of(source, struct server, tcp_source);
	struct dns *dns = server->dns;

	for (int i = 0; i < DNS_BATCH; i++) {
		int fd = accept4(server->tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			    errno == ENOMEM)
				server_pause(server);
			break;
		}
		if (TAILQ_EMPTY(&dns->free_streams))
			stream_end(TAILQ_FIRST(&dns->streams));
		if (stream_begin(server, fd) < 0)
			fd_close(fd);
	}
	arm(dns);
}

static void dns_expired(struct event_timer *timer, uint64_t now_ns)
{
	struct dns *dns = container_of(timer, struct dns, timer);
	struct query *query;
	struct stream *stream;

	while ((query = TAILQ_FIRST(&dns->queries)) && query->until_ns <= now_ns)
		query_end(query);
	while ((stream = TAILQ_FIRST(&dns->streams)) && stream->until_ns <= now_ns)
		stream_end(stream);
	if (dns->resume_ns <= now_ns)
		servers_resume(dns);
	arm(dns);
}

int dns_new(struct dns **ret, const struct dns_server *servers, const int (*fds)[2],
	    size_t n)
{
	struct dns *dns = n <= DNS_SERVERS_MAX ? calloc(1, sizeof(*dns)) : NULL;

	if (!dns) {
		for (size_t i = 0; i < n; i++) {
			fd_close(fds[i][0]);
			fd_close(fds[i][1]);
		}
		return n <= DNS_SERVERS_MAX ? -ENOMEM : -E2BIG;
	}
	TAILQ_INIT(&dns->queries);
	TAILQ_INIT(&dns->free_queries);
	TAILQ_INIT(&dns->streams);
	TAILQ_INIT(&dns->free_streams);
	for (size_t i = 0; i < DNS_QUERIES_MAX; i++)
		TAILQ_INSERT_TAIL(&dns->free_queries, &dns->query_slots[i], link);
	for (size_t i = 0; i < DNS_STREAMS_MAX; i++) {
		dns->stream_slots[i].dns = dns;
		TAILQ_INSERT_TAIL(&dns->free_streams, &dns->stream_slots[i], link);
	}
	for (size_t i = 0; i < n; i++) {
		dns->servers[i].address = servers[i];
		dns->servers[i].udp_source.ready = udp_ready;
		dns->servers[i].tcp_source.ready = tcp_ready;
		dns->servers[i].dns = dns;
		dns->servers[i].udp = fds[i][0];
		dns->servers[i].tcp = fds[i][1];
	}
	dns->n_servers = n;
	dns->timer.expired = dns_expired;
	dns->timer.deadline_ns = EVENT_NEVER;
	dns->resume_ns = EVENT_NEVER;
	*ret = dns;
	return 0;
}

static void dns_detach(struct dns *dns)
{
	while (!TAILQ_EMPTY(&dns->queries))
		query_end(TAILQ_FIRST(&dns->queries));
	while (!TAILQ_EMPTY(&dns->streams))
		stream_end(TAILQ_FIRST(&dns->streams));
	for (size_t i = 0; i < dns->n_servers; i++) {
		struct server *server = &dns->servers[i];

		if (server->udp >= 0)
			event_loop_del(dns->loop, server->udp, &server->udp_source);
		if (server->tcp >= 0 && !server->paused)
			event_loop_del(dns->loop, server->tcp, &server->tcp_source);
	}
	event_loop_del_timer(dns->loop, &dns->timer);
	dns->loop = NULL;
}

struct dns *dns_free(struct dns *dns)
{
	if (!dns)
		return NULL;
	if (dns->loop)
		dns_detach(dns);
	for (size_t i = 0; i < dns->n_servers; i++) {
		fd_close(dns->servers[i].udp);
		fd_close(dns->servers[i].tcp);
	}
	free(dns);
	return NULL;
}

int dns_attach(struct dns *dns, struct event_loop *loop)
{
	int r = 0;

	if (dns->loop)
		return -EBUSY;
	dns->loop = loop;
	event_loop_add_timer(loop, &dns->timer);
	for (size_t i = 0; i < dns->n_servers && r == 0; i++) {
		struct server *server = &dns->servers[i];

		if (server->udp >= 0)
			r = event_loop_add(loop, server->udp, EPOLLIN,
					   &server->udp_source);
		if (server->tcp >= 0 && r == 0)
			r = event_loop_add(loop, server->tcp, EPOLLIN,
					   &server->tcp_source);
	}
	if (r < 0)
		dns_detach(dns);
	return r;
}

size_t dns_n_queries(const struct dns *dns)
{
	return dns->n_queries;
}

size_t dns_n_streams(const struct dns *dns)
{
	return dns->n_streams;
}
