// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The server: one epoll loop accepts, reads the first byte and answers crr by itself, as
 * an event-driven server does; long conversations (rr, bulk) each get a thread with
 * blocking calls, so that nothing but the socket is measured.
 *
 * For crr the server closes first: as with HTTP the waiting connections (TIME_WAIT) are
 * the server's and no way runs out of client ports.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

static void serve_rr(int fd)
{
	char message[RR_SIZE];

	while (socket_all(fd, message, sizeof(message), false) == 0 &&
	       socket_all(fd, message, sizeof(message), true) == 0)
		;
}

static void serve_bulk(int fd, char *buffer)
{
	unsigned char answer[8];
	uint64_t total = 0;
	ssize_t n;

	while ((n = socket_some(fd, buffer, BULK_SIZE)) > 0)
		total += (uint64_t)n;
	if (n < 0)
		return;
	for (int i = 0; i < 8; i++)
		answer[i] = (unsigned char)(total >> (56 - 8 * i));
	socket_all(fd, answer, sizeof(answer), true);
}

static void serve_whole(int fd, char *buffer)
{
	size_t total = 0;
	ssize_t n;

	while ((n = socket_some(fd, buffer, BULK_SIZE)) > 0) {
		total += (size_t)n;
		if (total < WHOLE_SIZE)
			continue;
		total -= WHOLE_SIZE;
		if (socket_all(fd, buffer, 1, true) < 0)
			return;
	}
}

struct conversation {
	int fd;
	enum wish wish;
	char buffer[BULK_SIZE];
};

/* Owns the conversation and its descriptor. */
static void *converse(void *argument)
{
	struct conversation *c = argument;

	switch (c->wish) {
	case WISH_RR:
		serve_rr(c->fd);
		break;
	case WISH_BULK:
		serve_bulk(c->fd, c->buffer);
		break;
	case WISH_WHOLE:
		serve_whole(c->fd, c->buffer);
		break;
	case WISH_REVERSE:
		while (socket_all(c->fd, c->buffer, sizeof(c->buffer), true) == 0)
			;
		break;
	case WISH_CRR:
		break;
	}
	close(c->fd);
	free(c);
	return NULL;
}

static void converse_start(int fd, enum wish wish, bool polls)
{
	struct conversation *c = calloc(1, sizeof(*c));
	pthread_t thread;

	if (!c) {
		close(fd);
		return;
	}
	c->fd = fd;
	c->wish = wish;
	if (!polls)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	if (pthread_create(&thread, NULL, converse, c) != 0) {
		close(fd);
		free(c);
		return;
	}
	pthread_detach(thread);
}

/* Answers, hands over or drops @fd; one whose byte is still to come waits in @epoll. */
static void first_byte(int epoll, int fd, bool waiting, bool polls)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	char wish;
	ssize_t n = recv(fd, &wish, 1, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		if (!waiting && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			close(fd);
		return;
	}
	if (n == 1 && (wish == WISH_RR || wish == WISH_BULK || wish == WISH_REVERSE ||
		       wish == WISH_WHOLE)) {
		if (waiting)
			epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
		converse_start(fd, (enum wish)wish, polls);
		return;
	}
	if (n == 1 && wish == WISH_CRR)
		send(fd, &wish, 1, MSG_NOSIGNAL);
	close(fd);
}

static int loop(int epoll, int listener, bool polls)
{
	struct epoll_event events[64];
	int fd, n;

	for (;;) {
		n = epoll_wait(epoll, events, 64, -1);
		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd != listener) {
				first_byte(epoll, events[i].data.fd, true, polls);
				continue;
			}
			fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
			if (fd >= 0)
				first_byte(epoll, fd, false, polls);
			else if (errno == EMFILE || errno == ENFILE || errno == EBADF)
				return -errno;
		}
	}
}

int serve(const struct options *options)
{
	struct epoll_event event = { .events = EPOLLIN };
	int listener, epoll, r;

	listener = socket_listen(options);
	if (listener < 0) {
		fprintf(stderr, "load: cannot listen: %s\n", strerror(-listener));
		return 1;
	}
	if (options->sinks && (r = datagram_sink(options)) < 0) {
		fprintf(stderr, "load: cannot take datagrams: %s\n", strerror(-r));
		return 1;
	}
	epoll = epoll_create1(EPOLL_CLOEXEC);
	event.data.fd = listener;
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) {
		fprintf(stderr, "load: epoll: %s\n", strerror(errno));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	r = loop(epoll, listener, options->polls);
	fprintf(stderr, "load: serving ends: %s\n", strerror(-r));
	return 1;
}
