/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copies of descriptors, closing, shutting down, and how many there can be. */
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "topics.h"

/* Connects through @fd and talks through @other, a copy of it. */
static void use_copy(struct ctx *t, int fd, int other)
{
	struct address server, client;
	int listener = serve(t, &server), peer;

	want_rc(t, "connect", 0, connect(fd, &server.sa, server.len));
	want_peer(t, "peer-of-copy", "lo:server", other);
	client = name_of(t, fd);
	peer = take(t, listener);
	if (!t->stream)
		xconnect(t, peer, &client);
	exchange(t, "copy", other, peer);
	exchange(t, "first", fd, peer);
	close(fd);
	exchange(t, "copy-alone", other, peer);
}

static void by_dup(struct ctx *t)
{
	int fd = xsocket(t);

	use_copy(t, fd, dup(fd));
}

static void by_dup_used(struct ctx *t)
{
	int fd = xsocket(t);

	use_copy(t, dup(fd), fd);
}

static void by_dup2(struct ctx *t)
{
	int fd = xsocket(t);

	want_rc(t, "same", fd, dup2(fd, fd));
	use_copy(t, fd, dup2(fd, 300));
}

static void by_dup3(struct ctx *t)
{
	int fd = xsocket(t), copy = dup3(fd, 301, O_CLOEXEC);

	want_int(t, "cloexec", FD_CLOEXEC, fcntl(copy, F_GETFD));
	fcntl(fd, F_SETFD, 0);
	want_rc(t, "same", -EINVAL, dup3(fd, fd, O_CLOEXEC));
	use_copy(t, fd, copy);
	want_int(t, "cloexec-kept", FD_CLOEXEC, fcntl(copy, F_GETFD));
}

static void by_fcntl(struct ctx *t)
{
	int fd = xsocket(t), copy = fcntl(fd, F_DUPFD, 200), closing;

	closing = fcntl(fd, F_DUPFD_CLOEXEC, 200);
	want_int(t, "first", 200, copy);
	want_int(t, "second", 201, closing);
	use_copy(t, fd, copy);
	want_int(t, "no-cloexec", 0, fcntl(copy, F_GETFD));
	want_int(t, "cloexec", FD_CLOEXEC, fcntl(closing, F_GETFD));
}

static void copies_bound(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	int fd = xsocket(t), copy = dup(fd), peer = xsocket(t);

	label(t, "asked", t->port);
	want_rc(t, "bind", 0, bind(copy, &address.sa, address.len));
	want_name(t, "name", "lo:asked", fd);
	if (t->stream)
		want_rc(t, "listen", 0, listen(fd, 4));
	close(copy);
	xconnect(t, peer, &address);
	send(peer, "x", 1, 0);
	want_events(t, "arrives", POLLIN, polled(take(t, fd), POLLIN, true));
}

static void shared_flags(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t), copy = dup(fd);

	(void)listener;
	xconnect(t, fd, &server);
	nonblocking(fd);
	want_int(t, "shared", O_NONBLOCK, fcntl(copy, F_GETFL) & O_NONBLOCK);
	set_int(t, copy, SOL_SOCKET, SO_KEEPALIVE, 1);
	want_int(t, "option", 1, get_int(fd, SOL_SOCKET, SO_KEEPALIVE));
}

static void over_another(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fds[2], fd = xsocket(t);
	char byte;

	(void)listener;
	connected_pair(t, fds);
	want_rc(t, "dup2", fds[0], dup2(fd, fds[0]));
	if (t->stream)
		want_rc(t, "old-ends", 0, recv(fds[1], &byte, 1, 0));
	want_rc(t, "connect", 0, connect(fds[0], &server.sa, server.len));
	see_peer(t, "peer", fd);
}

static void lowest(struct ctx *t)
{
	struct address server, address = at_lo(t, 0);
	int listener = serve(t, &server), first = xsocket(t), second, third;

	(void)listener;
	second = xsocket(t);
	third = xsocket(t);
	want_int(t, "next", first + 1, second);
	want_int(t, "next-2", first + 2, third);
	close(second);
	xconnect(t, first, &server);
	xbind(t, third, &address);
	want_int(t, "hole", second, xsocket(t));
	want_int(t, "after", third + 1, xsocket(t));
	close(0);
	want_int(t, "zero", 0, xsocket(t));
	want_rc(t, "zero-connects", 0, connect(0, &server.sa, server.len));
	want_peer(t, "zero-peer", "lo:server", 0);
}

static void ranges(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t), copy = dup2(fd, 400);

	want_rc(t, "close_range", 0, close_range(400, 500, 0));
	want_rc(t, "copy-gone", -EBADF, fcntl(copy, F_GETFD));
	want_rc(t, "connect", 0, connect(fd, &server.sa, server.len));
	want_rc(t, "mark", 0, close_range(fd, fd, CLOSE_RANGE_CLOEXEC));
	want_int(t, "cloexec", FD_CLOEXEC, fcntl(fd, F_GETFD));
	want_rc(t, "all", 0, close_range(3, 800, 0));
	want_rc(t, "gone", -EBADF, fcntl(listener, F_GETFD));
	fd = xsocket(t);
	want_int(t, "first-again", 3, fd);
	want_rc(t, "after", t->stream ? -ECONNREFUSED : 0,
		connect(fd, &server.sa, server.len));
}

static void closing(struct ctx *t)
{
	struct address address = at_lo(t, 0);
	int fd = xsocket(t);

	want_rc(t, "close", 0, close(fd));
	want_rc(t, "close-2", -EBADF, close(fd));
	want_rc(t, "bind", -EBADF, bind(fd, &address.sa, address.len));
	want_rc(t, "connect", -EBADF, connect(fd, &address.sa, address.len));
	want_rc(t, "send", -EBADF, sendto(fd, "x", 1, 0, &address.sa, address.len));
	want_rc(t, "listen", -EBADF, listen(fd, 1));
}

static void half_close(struct ctx *t)
{
	int fds[2];
	char byte;

	connected_pair(t, fds);
	want_rc(t, "shut", 0, shutdown(fds[0], SHUT_WR));
	want_rc(t, "end", 0, recv(fds[1], &byte, 1, 0));
	want_rc(t, "other-way", 1, send(fds[1], "x", 1, 0));
	want_rc(t, "arrives", 1, recv(fds[0], &byte, 1, 0));
	want_rc(t, "shut-back", 0, shutdown(fds[1], SHUT_WR));
	want_rc(t, "end-back", 0, recv(fds[0], &byte, 1, 0));
	see_rc(t, "shut-again", shutdown(fds[0], SHUT_RDWR));
}

static void shut_reading(struct ctx *t)
{
	int fds[2];
	char byte;

	connected_pair(t, fds);
	want_rc(t, "shut", 0, shutdown(fds[0], SHUT_RD));
	want_rc(t, "recv", 0, recv(fds[0], &byte, 1, MSG_DONTWAIT));
	want_rc(t, "send", 1, send(fds[0], "x", 1, 0));
	want_rc(t, "arrives", 1, recv(fds[1], &byte, 1, 0));
	want_rc(t, "bad-how", -EINVAL, shutdown(fds[0], 3));
}

static void shut_unconnected(struct ctx *t)
{
	struct address server;
	int fd = xsocket(t);

	want_rc(t, "fresh", -ENOTCONN, shutdown(fd, SHUT_WR));
	if (!t->stream)
		return;
	fd = serve(t, &server);
	want_rc(t, "listener", 0, shutdown(fd, SHUT_WR));
}

struct reader {
	int fd;
	int result;
};

static void *read_one(void *argument)
{
	struct reader *reader = argument;
	char byte;

	reader->result = (int)recv(reader->fd, &byte, 1, 0);
	return NULL;
}

static void shut_wakes_reader(struct ctx *t)
{
	struct reader reader;
	pthread_t thread;
	int fds[2];

	connected_pair(t, fds);
	reader.fd = fds[0];
	xthread(t, &thread, read_one, &reader);
	want_rc(t, "shutdown", 0, shutdown(fds[0], SHUT_RDWR));
	pthread_join(thread, NULL);
	want_int(t, "recv", 0, reader.result);
}

static void close_while_reading(struct ctx *t)
{
	struct reader reader;
	pthread_t thread;
	int fds[2];

	connected_pair(t, fds);
	reader.fd = dup(fds[0]);
	xthread(t, &thread, read_one, &reader);
	want_rc(t, "close", 0, close(fds[0]));
	want_rc(t, "send", 1, send(fds[1], "x", 1, 0));
	pthread_join(thread, NULL);
	want_int(t, "recv", 1, reader.result);
}

static void end_follows_data(struct ctx *t)
{
	static char room[100000];
	ssize_t got, total = 0;
	int fds[2];

	connected_pair(t, fds);
	want_rc(t, "send", sizeof(room), send(fds[0], room, sizeof(room), 0));
	close(fds[0]);
	while ((got = recv(fds[1], room, sizeof(room), 0)) > 0)
		total += got;
	want_rc(t, "end", 0, got);
	want_int(t, "all", sizeof(room), total);
}

static void end_without_reader(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t), peer;
	char byte;

	xconnect(t, fd, &server);
	shutdown(fd, SHUT_WR);
	peer = take(t, listener);
	want_rc(t, "accepted-at-end", 0, recv(peer, &byte, 1, 0));
	close(peer);
	want_rc(t, "end-back", 0, recv(fd, &byte, 1, 0));
}

static void thousand(struct ctx *t)
{
	struct rlimit limit;
	struct address server;
	int listener = serve(t, &server), fds[1000], n_connected = 0, n_named = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 2100 < limit.rlim_max ? 2100 : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < 1000; i++)
		fds[i] = xsocket(t);
	for (int i = 0; i < 1000; i++) {
		n_connected += connect(fds[i], &server.sa, server.len) == 0;
		if (t->stream)
			close(take(t, listener));
	}
	want_int(t, "connected", 1000, n_connected);
	for (int i = 0; i < 1000; i++) {
		struct address name = name_of(t, fds[i]);

		n_named += port_of(&name) != 0;
	}
	want_int(t, "named", 1000, n_named);
}

static void no_more(struct ctx *t)
{
	struct address server;
	struct rlimit limit = { 40, 40 };
	int listener = serve(t, &server), fd, last = -1, n = 0;

	(void)listener;
	setrlimit(RLIMIT_NOFILE, &limit);
	while ((fd = socket(t->family, t->type, 0)) >= 0 && n++ < 100)
		last = fd;
	want_rc(t, "socket", -EMFILE, fd);
	want_int(t, "last", 39, last);
	want_rc(t, "connect", 0, connect(last, &server.sa, server.len));
	want_peer(t, "peer", "lo:server", last);
	if (t->stream)
		want_rc(t, "accept", -EMFILE, accept(listener, NULL, NULL));
	close(last);
	want_int(t, "again", 39, socket(t->family, t->type, 0));
}

enum { RACE_ROUNDS = 40, RACERS = 4 };

struct racer {
	struct address server;
	int type;
	int n_good;
};

static void *race(void *argument)
{
	struct racer *racer = argument;

	for (int i = 0; i < RACE_ROUNDS; i++) {
		int fd = socket(racer->server.sa.sa_family, racer->type, 0),
		    copy = dup(fd);
		bool good = connect(fd, &racer->server.sa, racer->server.len) == 0;

		close(fd);
		good &= send(copy, "x", 1, MSG_NOSIGNAL) == 1;
		close(copy);
		if (good)
			__atomic_add_fetch(&racer->n_good, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void racing(struct ctx *t)
{
	struct racer racer = { .type = t->type | SOCK_CLOEXEC };
	pthread_t threads[RACERS];
	int listener = serve(t, &racer.server);

	if (t->stream)
		listen(listener, RACERS * RACE_ROUNDS);
	for (int i = 0; i < RACERS; i++)
		xthread(t, &threads[i], race, &racer);
	for (int i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);
	want_int(t, "good", RACERS * RACE_ROUNDS, racer.n_good);
}

const struct test_case lifetime_cases[] = {
	{ "lifetime.dup", ALL, by_dup, "dup before connect, both numbers work" },
	{ "lifetime.dup_connects", ALL, by_dup_used, "the copy connects" },
	{ "lifetime.dup2", ALL, by_dup2, "dup2 before connect" },
	{ "lifetime.dup3", ALL, by_dup3, "dup3 before connect, flags of its own" },
	{ "lifetime.fcntl_dup", ALL, by_fcntl,
	  "F_DUPFD and F_DUPFD_CLOEXEC before connect" },
	{ "lifetime.dup_bound", ALL, copies_bound, "dup before bind" },
	{ "lifetime.shared_flags", ALL, shared_flags, "copies share flags and options" },
	{ "lifetime.over_another", ALL, over_another, "dup2 onto a connected socket" },
	{ "lifetime.lowest", ALL, lowest, "the lowest free number, also 0" },
	{ "lifetime.close_range", ALL, ranges, "close_range, also of everything" },
	{ "lifetime.closed", ALL, closing, "every call on a closed descriptor" },
	{ "lifetime.half_close", INET | STREAM, half_close, "one way, then the other" },
	{ "lifetime.shut_reading", INET | STREAM, shut_reading, "SHUT_RD" },
	{ "lifetime.shut_unconnected", ALL, shut_unconnected, "ENOTCONN" },
	{ "lifetime.shut_wakes_reader", ALL, shut_wakes_reader,
	  "shutdown ends another thread's recv" },
	{ "lifetime.close_while_reading", ALL, close_while_reading,
	  "close of a copy does not" },
	{ "lifetime.end_follows_data", INET | STREAM, end_follows_data,
	  "all data, then the end" },
	{ "lifetime.end_before_accept", INET | STREAM, end_without_reader,
	  "shut before accepted" },
	{ "lifetime.thousand", ALL, thousand, "a thousand sockets" },
	{ "lifetime.no_more", ALL, no_more,
	  "EMFILE at RLIMIT_NOFILE; connect still works" },
	{ "lifetime.racing", ALL, racing,
	  "four threads make, copy, connect, send, close" },
};
CASES(lifetime);
