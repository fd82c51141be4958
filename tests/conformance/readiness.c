/* SPDX-License-Identifier: GPL-2.0-or-later */
/* poll() and select() on sockets in every state, also watched before bind or connect. */
#include <sys/select.h>

#include "topics.h"

#define EVERYTHING (POLLIN | POLLPRI | POLLOUT | POLLRDHUP)

static void fresh(struct ctx *t)
{
	int fd = xsocket(t);

	want_events(t, "poll", t->stream ? POLLOUT | POLLHUP : POLLOUT,
		    polled(fd, EVERYTHING, false));
}

static void bound(struct ctx *t)
{
	struct address address = at_lo(t, 0);
	int fd = xsocket(t);

	xbind(t, fd, &address);
	see_events(t, "bound", polled(fd, EVERYTHING, false));
	if (!t->stream)
		return;
	listen(fd, 1);
	want_events(t, "listening", 0, polled(fd, EVERYTHING, false));
	address = name_of(t, fd);
	xconnect(t, xsocket(t), &address);
	want_events(t, "queued", POLLIN, polled(fd, EVERYTHING, true));
	close(take(t, fd));
	want_events(t, "taken", 0, polled(fd, EVERYTHING, false));
}

static void connected(struct ctx *t)
{
	int fds[2];
	char byte;

	connected_pair(t, fds);
	want_events(t, "idle", POLLOUT, polled(fds[0], EVERYTHING, false));
	send(fds[1], "x", 1, 0);
	want_events(t, "data", POLLIN | POLLOUT, polled(fds[0], POLLIN, true) | POLLOUT);
	recv(fds[0], &byte, 1, 0);
	want_events(t, "taken", POLLOUT, polled(fds[0], EVERYTHING, false));
}

static void half_closed(struct ctx *t)
{
	int fds[2];
	char byte;

	connected_pair(t, fds);
	shutdown(fds[0], SHUT_WR);
	want_rc(t, "end", 0, recv(fds[1], &byte, 1, 0));
	want_events(t, "reader", POLLIN | POLLOUT | POLLRDHUP,
		    polled(fds[1], EVERYTHING, false));
	want_events(t, "writer", POLLOUT, polled(fds[0], EVERYTHING, false));
	shutdown(fds[1], SHUT_WR);
	want_rc(t, "end-2", 0, recv(fds[0], &byte, 1, 0));
	want_events(t, "both", POLLIN | POLLOUT | POLLRDHUP | POLLHUP,
		    polled(fds[0], EVERYTHING, false));
}

static void shut_reading(struct ctx *t)
{
	int fds[2];

	connected_pair(t, fds);
	shutdown(fds[0], SHUT_RD);
	see_events(t, "shut", polled(fds[0], EVERYTHING, false));
	want_events(t, "peer", POLLOUT, polled(fds[1], EVERYTHING, false));
}

static void urgent(struct ctx *t)
{
	int fds[2];

	connected_pair(t, fds);
	send(fds[0], "!", 1, MSG_OOB);
	want_events(t, "poll", POLLPRI, polled(fds[1], POLLPRI, true));
}

static void descriptors(struct ctx *t)
{
	struct pollfd all[3] = { { -1, POLLIN, 0 }, { 800, POLLIN, 0 }, { 0 } };
	int fds[2];

	connected_pair(t, fds);
	all[2] = (struct pollfd){ fds[0], POLLOUT, 0 };
	want_rc(t, "poll", 2, poll(all, 3, 0));
	want_events(t, "negative", 0, all[0].revents);
	want_events(t, "not-open", POLLNVAL, all[1].revents);
	want_events(t, "good", POLLOUT, all[2].revents);
}

static void by_select(struct ctx *t)
{
	struct timeval now = { 0, 0 };
	fd_set in, out;
	int fds[2];

	connected_pair(t, fds);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fds[0], &in);
	FD_SET(fds[0], &out);
	want_rc(t, "idle", 1, select(fds[0] + 1, &in, &out, NULL, &now));
	want_int(t, "writable", 1, FD_ISSET(fds[0], &out));
	send(fds[1], "x", 1, 0);
	FD_ZERO(&in);
	FD_SET(fds[0], &in);
	want_rc(t, "data", 1, select(fds[0] + 1, &in, NULL, NULL, NULL));
	want_int(t, "readable", 1, FD_ISSET(fds[0], &in));
}

struct watcher {
	struct pollfd one;
	int result;
};

static void *poll_in_thread(void *argument)
{
	struct watcher *watcher = argument;

	watcher->result = poll(&watcher->one, 1, -1);
	return NULL;
}

/* The thread may get to poll() before or after the connect: the end is the same. */
static void polled_across_connect(struct ctx *t)
{
	struct watcher watcher = { .one = { .events = POLLIN } };
	struct address server, client;
	pthread_t thread;
	int listener = serve(t, &server), fd = xsocket(t), peer;

	if (t->stream)
		give_up(t, "datagrams-only");
	watcher.one.fd = fd;
	xbind(t, fd, &(struct address){ .in6 = at_lo(t, 0).in6, .len = server.len });
	xthread(t, &thread, poll_in_thread, &watcher);
	xconnect(t, fd, &server);
	client = name_of(t, fd);
	peer = take(t, listener);
	sendto(peer, "x", 1, 0, &client.sa, client.len);
	pthread_join(thread, NULL);
	want_int(t, "poll", 1, watcher.result);
	want_events(t, "events", POLLIN, watcher.one.revents);
}

const struct test_case readiness_cases[] = {
	{ "readiness.fresh", ALL, fresh, "a socket just made" },
	{ "readiness.bound", ALL, bound, "bound, listening, with a connection waiting" },
	{ "readiness.connected", ALL, connected, "idle, with data, without" },
	{ "readiness.half_closed", INET | STREAM, half_closed,
	  "POLLRDHUP, then POLLHUP" },
	{ "readiness.shut_reading", ALL, shut_reading, "SHUT_RD seen on both sides" },
	{ "readiness.urgent", INET | STREAM, urgent, "POLLPRI" },
	{ "readiness.descriptors", ALL, descriptors,
	  "POLLNVAL and negative descriptors" },
	{ "readiness.select", ALL, by_select, "select on both directions" },
	{ "readiness.polled_across_connect", INET | DGRAM, polled_across_connect,
	  "another thread is in poll meanwhile" },
};
CASES(readiness);
