/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	accept ─> reading ──blank line──> writing ─> closed
 *
 * As much HTTP/1.0 as it takes to be asked by Prometheus or curl: GET /metrics, whatever
 * the headers, one answer, and the connection is closed. READERS_MAX of them at a time,
 * each with READER_NS for everything; who comes when there are as many waits in the
 * backlog. What is told holds nothing that is for the administrator alone but names of
 * endpoints; a UNIX socket has mode 0600, a loopback port is open to all local users.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd.h"
#include "broker/exporter.h"
#include "broker/graftd.h"
#include "broker/metrics.h"

#define READERS_MAX 8
#define REQUEST_MAX 4096
#define READER_NS   5000000000ull
#define BACKLOG     16

struct reader {
	struct event_source source;
	struct exporter *exporter;
	int fd; /* -1: free */
	uint64_t until_ns;
	char request[REQUEST_MAX];
	size_t n_request;
	char *answer;
	size_t size, sent;
};

struct exporter {
	struct event_source source;
	struct event_timer timer;
	struct graftd *graftd;
	int fd;
	bool is_listening; /* in the loop */
	struct wire_address address;
	struct reader readers[READERS_MAX];
};

static struct reader *find_free(struct exporter *exporter)
{
	for (size_t i = 0; i < READERS_MAX; i++)
		if (exporter->readers[i].fd < 0)
			return &exporter->readers[i];
	return NULL;
}

/* Listens while somebody could be served, and sets the clock. */
static void arm(struct exporter *exporter)
{
	struct event_loop *loop = &exporter->graftd->loop;
	bool wanted = find_free(exporter) != NULL;
	uint64_t deadline = EVENT_NEVER;

	for (size_t i = 0; i < READERS_MAX; i++)
		if (exporter->readers[i].fd >= 0 &&
		    exporter->readers[i].until_ns < deadline)
			deadline = exporter->readers[i].until_ns;
	exporter->timer.deadline_ns = deadline;
	if (wanted == exporter->is_listening)
		return;
	if (wanted)
		wanted = event_loop_add(loop, exporter->fd, EPOLLIN, &exporter->source) ==
			 0;
	else
		event_loop_del(loop, exporter->fd, &exporter->source);
	exporter->is_listening = wanted;
}

static void end(struct reader *reader)
{
	event_loop_del(&reader->exporter->graftd->loop, reader->fd, &reader->source);
	reader->fd = fd_close(reader->fd);
	free(reader->answer);
	reader->answer = NULL;
	reader->n_request = reader->size = reader->sent = 0;
}

static bool is_complete(const struct reader *reader)
{
	return memmem(reader->request, reader->n_request, "\r\n\r\n", 4) ||
	       memmem(reader->request, reader->n_request, "\n\n", 2);
}

static bool asks_for(const struct reader *reader, const char *start)
{
	size_t n = strlen(start);

	return reader->n_request > n && memcmp(reader->request, start, n) == 0 &&
	       strchr(" ?\r\n", reader->request[n]);
}

static int prepare(struct reader *reader)
{
	static const char type[] = "Content-Type: text/plain; version=0.0.4\r\n";
	const char *status = "404 Not Found", *body = "GET /metrics\n";
	_cleanup_free_ char *text = NULL;
	size_t size = strlen(body);
	int n;

	if (asks_for(reader, "GET /metrics")) {
		text = metrics_print(reader->exporter->graftd, &size);
		if (!text)
			return -ENOMEM;
		status = "200 OK";
		body = text;
	}
	reader->answer = malloc(size + 256);
	if (!reader->answer)
		return -ENOMEM;
	n = snprintf(reader->answer, 256,
		     "HTTP/1.0 %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n",
		     status, type, size);
	memcpy(reader->answer + n, body, size);
	reader->size = (size_t)n + size;
	return event_loop_mod(&reader->exporter->graftd->loop, reader->fd, EPOLLOUT,
			      &reader->source);
}

static int read_some(struct reader *reader)
{
	size_t room = REQUEST_MAX - reader->n_request;
	ssize_t n =
		recv(reader->fd, reader->request + reader->n_request, room, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	reader->n_request += (size_t)n;
	if (is_complete(reader))
		return prepare(reader);
	return n == 0 || reader->n_request == REQUEST_MAX ? -EBADMSG : 0;
}

static int write_some(struct reader *reader)
{
	ssize_t n = send(reader->fd, reader->answer + reader->sent,
			 reader->size - reader->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	reader->sent += (size_t)n;
	return reader->sent == reader->size ? -ESHUTDOWN : 0;
}

static void reader_ready(struct event_source *source, uint32_t events)
{
	struct reader *reader = container_of(source, struct reader, source);
	int r = reader->answer ? write_some(reader) : read_some(reader);

	if (r < 0)
		end(reader);
	arm(reader->exporter);
}

static void exporter_ready(struct event_source *source, uint32_t events)
{
	struct exporter *exporter = container_of(source, struct exporter, source);
	struct reader *reader = find_free(exporter);
	int fd = accept4(exporter->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (!reader ||
	    event_loop_add(&exporter->graftd->loop, fd, EPOLLIN, &reader->source) < 0) {
		fd_close(fd);
		return;
	}
	reader->fd = fd;
	reader->until_ns = event_now_ns() + READER_NS;
	arm(exporter);
}

static void exporter_expired(struct event_timer *timer, uint64_t now_ns)
{
	struct exporter *exporter = container_of(timer, struct exporter, timer);

	for (size_t i = 0; i < READERS_MAX; i++)
		if (exporter->readers[i].fd >= 0 &&
		    exporter->readers[i].until_ns <= now_ns)
			end(&exporter->readers[i]);
	arm(exporter);
}

static const char *path_of(const struct wire_address *address)
{
	return address->address.ss_family == AF_UNIX
		       ? ((const struct sockaddr_un *)&address->address)->sun_path
		       : NULL;
}

/* Only a socket gives way. */
static void clear_path(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
}

static int open_listener(const struct wire_address *address)
{
	const struct sockaddr *any = (const struct sockaddr *)&address->address;
	const char *path = path_of(address);
	const int on = 1;
	_cleanup_fd_ int fd =
		socket(any->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int r;

	if (fd < 0)
		return -errno;
	if (path)
		clear_path(path);
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	mask = umask(0177);
	r = bind(fd, any, address->len) < 0 || listen(fd, BACKLOG) < 0 ? -errno : 0;
	umask(mask);
	return r < 0 ? r : fd_steal(&fd);
}

int exporter_new(struct exporter **ret, struct graftd *graftd,
		 const struct wire_address *address)
{
	_cleanup_free_ struct exporter *exporter = calloc(1, sizeof(*exporter));
	int fd;

	if (!exporter)
		return -ENOMEM;
	fd = open_listener(address);
	if (fd < 0)
		return fd;
	exporter->source.ready = exporter_ready;
	exporter->timer.expired = exporter_expired;
	exporter->graftd = graftd;
	exporter->fd = fd;
	exporter->address = *address;
	for (size_t i = 0; i < READERS_MAX; i++) {
		exporter->readers[i].source.ready = reader_ready;
		exporter->readers[i].exporter = exporter;
		exporter->readers[i].fd = -1;
	}
	arm(exporter);
	event_loop_add_timer(&graftd->loop, &exporter->timer);
	*ret = steal_pointer(exporter);
	return 0;
}

struct exporter *exporter_free(struct exporter *exporter)
{
	const char *path;

	if (!exporter)
		return NULL;
	for (size_t i = 0; i < READERS_MAX; i++)
		if (exporter->readers[i].fd >= 0)
			end(&exporter->readers[i]);
	if (exporter->is_listening)
		event_loop_del(&exporter->graftd->loop, exporter->fd, &exporter->source);
	event_loop_del_timer(&exporter->graftd->loop, &exporter->timer);
	fd_close(exporter->fd);
	path = path_of(&exporter->address);
	if (path)
		clear_path(path);
	free(exporter);
	return NULL;
}
