/* SPDX-License-Identifier: GPL-2.0-or-later */
/* epoll, with the socket registered from birth: before bind, before connect. */
#include <stdio.h>
#include <sys/epoll.h>

#include "topics.h"

#define DATA 0x1122334455667788ULL

static int xepoll(struct ctx *t)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		give_up(t, "epoll");
	return epoll;
}

static void watch(struct ctx *t, int epoll, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = DATA + fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		give_up(t, "epoll-add");
}

static long control(int epoll, int operation, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = DATA + fd };

	return epoll_ctl(epoll, operation, fd, &event);
}

/* The events of one ready descriptor; says so when the data is not what was given. */
static uint32_t next(struct ctx *t, int epoll, int fd, bool wait)
{
	struct epoll_event event = { 0 };
	int n = epoll_wait(epoll, &event, 1, wait ? -1 : 0);

	if (n == 0)
		return 0;
	if (n < 0 || event.data.u64 != DATA + fd)
		want(t, "data", "kept", n < 0 ? "no-wait" : "changed");
	return event.events;
}

/* Connects @fd, already watched, and returns the serving side. */
static int join(struct ctx *t, int fd)
{
	struct address server, client;
	int listener = serve(t, &server), peer;

	want_rc(t, "connect", 0, connect(fd, &server.sa, server.len));
	client = name_of(t, fd);
	peer = take(t, listener);
	if (!t->stream)
		xconnect(t, peer, &client);
	return peer;
}

static void from_birth(struct ctx *t)
{
	int epoll = xepoll(t), fd = xsocket(t), peer;
	char byte;

	watch(t, epoll, fd, EPOLLIN | EPOLLRDHUP);
	see_events(t, "fresh", next(t, epoll, fd, false));
	peer = join(t, fd);
	want_events(t, "connected", 0, next(t, epoll, fd, false));
	send(peer, "x", 1, 0);
	want_events(t, "data", EPOLLIN, next(t, epoll, fd, true));
	want_events(t, "still", EPOLLIN, next(t, epoll, fd, false));
	recv(fd, &byte, 1, 0);
	want_events(t, "taken", 0, next(t, epoll, fd, false));
	want_rc(t, "mod", 0, control(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT));
	want_events(t, "out", EPOLLOUT, next(t, epoll, fd, false));
	want_rc(t, "del", 0, control(epoll, EPOLL_CTL_DEL, fd, 0));
	want_rc(t, "del-again", -ENOENT, control(epoll, EPOLL_CTL_DEL, fd, 0));
	want_rc(t, "add", 0, control(epoll, EPOLL_CTL_ADD, fd, EPOLLOUT));
	want_rc(t, "add-again", -EEXIST, control(epoll, EPOLL_CTL_ADD, fd, EPOLLOUT));
}

static void before_bind(struct ctx *t)
{
	struct address address = at_lo(t, 0);
	int epoll = xepoll(t), fd = xsocket(t), peer = xsocket(t);

	watch(t, epoll, fd, EPOLLIN);
	xbind(t, fd, &address);
	want_rc(t, "mod", 0, control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN));
	if (t->stream)
		listen(fd, 4);
	address = name_of(t, fd);
	want_events(t, "idle", 0, next(t, epoll, fd, false));
	xconnect(t, peer, &address);
	send(peer, "x", 1, 0);
	want_events(t, "ready", EPOLLIN, next(t, epoll, fd, true));
	want_rc(t, "del", 0, control(epoll, EPOLL_CTL_DEL, fd, 0));
}

static void waited_connect(struct ctx *t)
{
	struct address server;
	int epoll = xepoll(t), listener = serve(t, &server), fd = xsocket(t);

	(void)listener;
	nonblocking(fd);
	watch(t, epoll, fd, EPOLLIN | EPOLLOUT | EPOLLET);
	see_events(t, "fresh", next(t, epoll, fd, false));
	want_rc(t, "connect", -EINPROGRESS, connect(fd, &server.sa, server.len));
	want_events(t, "connected", EPOLLOUT, next(t, epoll, fd, true));
	want_events(t, "edge", 0, next(t, epoll, fd, false));
	want_error(t, "error", 0, fd);
}

static void waited_refusal(struct ctx *t)
{
	struct address closed = closed_port(t);
	int epoll = xepoll(t), fd = xsocket(t);

	nonblocking(fd);
	watch(t, epoll, fd, EPOLLOUT | EPOLLRDHUP);
	want_rc(t, "connect", -EINPROGRESS, connect(fd, &closed.sa, closed.len));
	want_events(t, "refused", EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP,
		    next(t, epoll, fd, true));
	want_error(t, "error", ECONNREFUSED, fd);
	want_rc(t, "del", 0, control(epoll, EPOLL_CTL_DEL, fd, 0));
}

static void edge(struct ctx *t)
{
	int epoll = xepoll(t), fd = xsocket(t), peer;
	char byte;

	watch(t, epoll, fd, EPOLLIN | EPOLLET);
	next(t, epoll, fd, false);
	peer = join(t, fd);
	next(t, epoll, fd, false);
	send(peer, "ab", 2, 0);
	want_events(t, "data", EPOLLIN, next(t, epoll, fd, true));
	want_events(t, "once", 0, next(t, epoll, fd, false));
	recv(fd, &byte, 1, 0);
	want_events(t, "unread-is-no-edge", 0, next(t, epoll, fd, false));
	send(peer, "c", 1, 0);
	want_events(t, "new-edge", EPOLLIN, next(t, epoll, fd, true));
}

/* The edge that a datagram socket may show for connecting is as good as none. */
static void edge_once(struct ctx *t)
{
	int epoll = xepoll(t), fd = xsocket(t);
	uint32_t events;

	watch(t, epoll, fd, EPOLLIN | EPOLLOUT | EPOLLET);
	next(t, epoll, fd, false);
	want_events(t, "before", 0, next(t, epoll, fd, false));
	join(t, fd);
	events = next(t, epoll, fd, false);
	want_events(t, "connected", EPOLLOUT, t->stream ? events : events | EPOLLOUT);
	want_events(t, "once", 0, next(t, epoll, fd, false));
}

static void one_shot(struct ctx *t)
{
	int epoll = xepoll(t), fd = xsocket(t), peer;

	watch(t, epoll, fd, EPOLLIN | EPOLLONESHOT);
	next(t, epoll, fd, false);
	peer = join(t, fd);
	want_rc(t, "arm", 0, control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT));
	send(peer, "x", 1, 0);
	want_events(t, "data", EPOLLIN, next(t, epoll, fd, true));
	want_events(t, "disarmed", 0, next(t, epoll, fd, false));
	want_rc(t, "rearm", 0, control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT));
	want_events(t, "again", EPOLLIN, next(t, epoll, fd, false));
}

static void one_shot_spent(struct ctx *t)
{
	int epoll = xepoll(t), fd = xsocket(t), peer;

	watch(t, epoll, fd, EPOLLOUT | EPOLLONESHOT);
	want_events(t, "spent", t->stream ? EPOLLOUT | EPOLLHUP : EPOLLOUT,
		    next(t, epoll, fd, false));
	peer = join(t, fd);
	send(peer, "x", 1, 0);
	polled(fd, POLLIN, true);
	want_events(t, "stays-spent", 0, next(t, epoll, fd, false));
}

static void exclusive(struct ctx *t)
{
	struct address address = at_lo(t, 0);
	int epoll = xepoll(t), fd = xsocket(t), peer = xsocket(t);

	watch(t, epoll, fd, EPOLLIN | EPOLLEXCLUSIVE);
	xbind(t, fd, &address);
	if (t->stream)
		listen(fd, 4);
	address = name_of(t, fd);
	want_rc(t, "mod", -EINVAL, control(epoll, EPOLL_CTL_MOD, fd, EPOLLIN));
	xconnect(t, peer, &address);
	send(peer, "x", 1, 0);
	want_events(t, "ready", EPOLLIN, next(t, epoll, fd, true));
}

static void two_instances(struct ctx *t)
{
	int first = xepoll(t), second = xepoll(t), fd = xsocket(t), peer;

	watch(t, first, fd, EPOLLIN);
	watch(t, second, fd, EPOLLIN | EPOLLET);
	next(t, second, fd, false);
	peer = join(t, fd);
	next(t, second, fd, false);
	send(peer, "x", 1, 0);
	want_events(t, "first", EPOLLIN, next(t, first, fd, true));
	want_events(t, "second", EPOLLIN, next(t, second, fd, true));
	want_rc(t, "del-first", 0, control(first, EPOLL_CTL_DEL, fd, 0));
	want_rc(t, "del-second", 0, control(second, EPOLL_CTL_DEL, fd, 0));
}

static void nested(struct ctx *t)
{
	int outer = xepoll(t), inner = xepoll(t), fd = xsocket(t), peer;

	watch(t, outer, inner, EPOLLIN);
	watch(t, inner, fd, EPOLLIN);
	next(t, inner, fd, false);
	peer = join(t, fd);
	send(peer, "x", 1, 0);
	want_events(t, "outer", EPOLLIN, next(t, outer, inner, true));
	want_events(t, "inner", EPOLLIN, next(t, inner, fd, true));
}

static void copies(struct ctx *t)
{
	int epoll = xepoll(t), fd = xsocket(t), copy = fcntl(fd, F_DUPFD_CLOEXEC, 0),
	    peer;

	watch(t, epoll, fd, EPOLLIN);
	watch(t, epoll, copy, EPOLLOUT);
	peer = join(t, copy);
	want_events(t, "copy", EPOLLOUT, next(t, epoll, copy, true));
	want_rc(t, "del-copy", 0, control(epoll, EPOLL_CTL_DEL, copy, 0));
	send(peer, "x", 1, 0);
	want_events(t, "first", EPOLLIN, next(t, epoll, fd, true));
	want_rc(t, "del", 0, control(epoll, EPOLL_CTL_DEL, fd, 0));
}

static void closed(struct ctx *t)
{
	int epoll = xepoll(t), fd = xsocket(t), peer, copy;

	watch(t, epoll, fd, EPOLLIN);
	peer = join(t, fd);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	send(peer, "x", 1, 0);
	polled(fd, POLLIN, true);
	close(fd);
	want_events(t, "copy-keeps-it", EPOLLIN, next(t, epoll, fd, false));
	close(copy);
	want_events(t, "gone", 0, next(t, epoll, fd, false));
}

struct sleeper {
	struct epoll_event event;
	int epoll;
	int n;
};

static void *wait_in_thread(void *argument)
{
	struct sleeper *sleeper = argument;

	sleeper->n = epoll_wait(sleeper->epoll, &sleeper->event, 1, -1);
	return NULL;
}

/* The thread waits from before the connect on; EPOLLET keeps the fresh socket's HUP out.
 */
static void waiting_meanwhile(struct ctx *t)
{
	struct sleeper sleeper = { .epoll = xepoll(t) };
	pthread_t thread;
	int fd = xsocket(t), peer;

	watch(t, sleeper.epoll, fd, EPOLLIN | EPOLLONESHOT);
	next(t, sleeper.epoll, fd, false);
	xthread(t, &thread, wait_in_thread, &sleeper);
	peer = join(t, fd);
	send(peer, "x", 1, 0);
	want_rc(t, "arm", 0,
		control(sleeper.epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT));
	pthread_join(thread, NULL);
	want_int(t, "ready", 1, sleeper.n);
	want_events(t, "events", EPOLLIN, sleeper.event.events);
}

static void hang_up(struct ctx *t)
{
	int epoll = xepoll(t), fd = xsocket(t), peer;
	char byte;

	watch(t, epoll, fd, EPOLLIN | EPOLLRDHUP);
	peer = join(t, fd);
	shutdown(peer, SHUT_WR);
	want_rc(t, "end", 0, recv(fd, &byte, 1, 0));
	want_events(t, "half", EPOLLIN | EPOLLRDHUP, next(t, epoll, fd, true));
	shutdown(fd, SHUT_WR);
	want_events(t, "full", EPOLLIN | EPOLLRDHUP | EPOLLHUP, next(t, epoll, fd, true));
	want_rc(t, "del", 0, control(epoll, EPOLL_CTL_DEL, fd, 0));
}

enum { N_MANY = 65 };

static void many(struct ctx *t)
{
	struct address server;
	int epoll = xepoll(t), listener = serve(t, &server), fds[N_MANY], n_good = 0;
	struct epoll_event events[N_MANY];

	(void)listener;
	for (int i = 0; i < N_MANY; i++) {
		fds[i] = xsocket(t);
		watch(t, epoll, fds[i], EPOLLOUT | EPOLLET);
	}
	epoll_wait(epoll, events, N_MANY, 0);
	for (int i = 0; i < N_MANY; i++)
		xconnect(t, fds[i], &server);
	for (int i = 0; i < N_MANY; i++)
		n_good += control(epoll, EPOLL_CTL_MOD, fds[i], EPOLLOUT) == 0;
	want_int(t, "modified", N_MANY, n_good);
	want_int(t, "ready", N_MANY, epoll_wait(epoll, events, N_MANY, 0));
	n_good = 0;
	for (int i = 0; i < N_MANY; i++)
		for (int j = 0; j < N_MANY; j++)
			n_good += events[i].data.u64 == DATA + fds[j];
	want_int(t, "data-kept", N_MANY, n_good);
}

const struct test_case readiness_epoll_cases[] = {
	{ "readiness.epoll_from_birth", ALL, from_birth,
	  "added before connect, changed and removed after" },
	{ "readiness.epoll_before_bind", ALL, before_bind, "added before bind" },
	{ "readiness.epoll_connect", INET | STREAM, waited_connect,
	  "a non-blocking connect's EPOLLOUT" },
	{ "readiness.epoll_refusal", INET | STREAM, waited_refusal, "and its refusal" },
	{ "readiness.epoll_edge", ALL, edge, "EPOLLET kept" },
	{ "readiness.epoll_one_shot", ALL, one_shot, "EPOLLONESHOT kept" },
	{ "readiness.epoll_one_shot_spent", ALL, one_shot_spent,
	  "a spent EPOLLONESHOT stays spent" },
	{ "readiness.epoll_exclusive", ALL, exclusive, "EPOLLEXCLUSIVE before bind" },
	{ "readiness.epoll_two", ALL, two_instances, "two epoll instances" },
	{ "readiness.epoll_nested", ALL, nested, "epoll in epoll" },
	{ "readiness.epoll_copies", ALL, copies,
	  "two numbers of one socket, each its own events" },
	{ "readiness.epoll_closed", ALL, closed, "close removes it with the last copy" },
	{ "readiness.epoll_waiting", ALL, waiting_meanwhile,
	  "a thread waits across the connect" },
	{ "readiness.epoll_hang_up", INET | STREAM, hang_up, "EPOLLRDHUP and EPOLLHUP" },
	{ "readiness.epoll_edge_once", ALL, edge_once,
	  "EPOLLET: connecting is one edge" },
	{ "readiness.epoll_many", ALL, many, "65 sockets in one instance" },
};
CASES(readiness_epoll);
