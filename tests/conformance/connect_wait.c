/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connect() that waits: interruption, time limits, other threads, fast open. */
#include <netinet/tcp.h>
#include <sys/time.h>

#include "topics.h"

#ifndef TCP_FASTOPEN_CONNECT
#	define TCP_FASTOPEN_CONNECT 30
#endif

static volatile sig_atomic_t n_alarms;
static int drain_listener = -1;

static long try_connect(int fd, const struct address *address)
{
	return connect(fd, &address->sa, address->len);
}

static void on_alarm(int number)
{
	n_alarms++;
}

/* Empties the full queue, so that the connect() going on can succeed. */
static void on_alarm_drain(int number)
{
	int fd;

	if (n_alarms++ == 0) {
		fd = accept(drain_listener, NULL, NULL);
		(void)fd;
	}
}

/* Repeats, so that one comes while the call waits however long it takes to get there. */
static void alarms(struct ctx *t, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
	struct itimerval often = { { 0, 50000 }, { 0, 50000 } };

	n_alarms = 0;
	if (sigaction(SIGALRM, &action, NULL) < 0 ||
	    setitimer(ITIMER_REAL, &often, NULL) < 0)
		give_up(t, "alarm");
}

static void no_alarms(void)
{
	struct itimerval never = { { 0, 0 }, { 0, 0 } };

	setitimer(ITIMER_REAL, &never, NULL);
}

static void already(struct ctx *t)
{
	struct address server;
	int filler, listener = full_listener(t, &server, &filler), fd = xsocket(t);

	nonblocking(fd);
	want_rc(t, "connect", -EINPROGRESS, try_connect(fd, &server));
	want_events(t, "poll", 0, polled(fd, POLLIN | POLLOUT, false));
	want_rc(t, "second", -EALREADY, try_connect(fd, &server));
	want_rc(t, "send", -EAGAIN, send(fd, "x", 1, MSG_NOSIGNAL));
	want_error(t, "error", 0, fd);
	see_peer(t, "peer", fd);
	want_name(t, "name", "lo:dyn", fd);
	(void)listener;
}

static void interrupted(struct ctx *t)
{
	struct address server;
	int filler, listener = full_listener(t, &server, &filler), fd = xsocket(t);

	(void)listener;
	alarms(t, on_alarm, 0);
	want_rc(t, "connect", -EINTR, try_connect(fd, &server));
	no_alarms();
	want(t, "handler", "ran", "%s", n_alarms ? "ran" : "silent");
	nonblocking(fd);
	want_rc(t, "goes-on", -EALREADY, try_connect(fd, &server));
	want_error(t, "error", 0, fd);
}

static void interrupted_completes(struct ctx *t)
{
	struct address server;
	int filler, listener = full_listener(t, &server, &filler), fd = xsocket(t);

	alarms(t, on_alarm, 0);
	want_rc(t, "connect", -EINTR, try_connect(fd, &server));
	no_alarms();
	close(take(t, listener));
	want_events(t, "poll", POLLOUT, polled(fd, POLLOUT, true));
	want_error(t, "error", 0, fd);
	want_peer(t, "peer", "lo:server", fd);
}

static void restarted(struct ctx *t)
{
	struct address server;
	int filler, listener = full_listener(t, &server, &filler), fd = xsocket(t);

	drain_listener = listener;
	alarms(t, on_alarm_drain, SA_RESTART);
	want_rc(t, "connect", 0, try_connect(fd, &server));
	no_alarms();
	want(t, "handler", "ran", "%s", n_alarms ? "ran" : "silent");
	want_peer(t, "peer", "lo:server", fd);
	exchange(t, "bytes", fd, take(t, listener));
}

static void time_limit(struct ctx *t)
{
	struct timeval limit = { 0, 50000 };
	struct address server;
	int filler, listener = full_listener(t, &server, &filler), fd = xsocket(t);

	(void)listener;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		give_up(t, "setsockopt");
	want_rc(t, "connect", -EINPROGRESS, try_connect(fd, &server));
	want_rc(t, "second", -EALREADY, try_connect(fd, &server));
}

struct waiter {
	struct address server;
	int fd;
	int result;
};

static void *wait_in_connect(void *argument)
{
	struct waiter *waiter = argument;

	waiter->result = try_connect(waiter->fd, &waiter->server) < 0 ? -errno : 0;
	return NULL;
}

static void others_go_on(struct ctx *t)
{
	struct waiter waiter = { .result = 1 };
	struct address server = at_lo(t, 0);
	pthread_t thread;
	int filler, listener, full, fd = xsocket(t);

	listener = serve_at(t, &server, &server);
	full = full_listener(t, &waiter.server, &filler);
	waiter.fd = xsocket(t);
	xthread(t, &thread, wait_in_connect, &waiter);
	until_state(waiter.fd, TCP_SYN_SENT);
	want_rc(t, "other", 0, try_connect(fd, &server));
	exchange(t, "bytes", fd, take(t, listener));
	want_int(t, "still-waits", 1, __atomic_load_n(&waiter.result, __ATOMIC_SEQ_CST));
	(void)full;
}

static void shut_by_other(struct ctx *t)
{
	struct waiter waiter = { .result = 1 };
	pthread_t thread;
	int filler, full = full_listener(t, &waiter.server, &filler);

	waiter.fd = xsocket(t);
	xthread(t, &thread, wait_in_connect, &waiter);
	until_state(waiter.fd, TCP_SYN_SENT);
	see_rc(t, "shutdown", shutdown(waiter.fd, SHUT_RDWR));
	pthread_join(thread, NULL);
	errno = -waiter.result;
	see_rc(t, "connect", waiter.result < 0 ? -1 : 0);
	(void)full;
}

static void abandoned(struct ctx *t)
{
	struct address server;
	int filler, full = full_listener(t, &server, &filler), fd;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(1);
		signal(SIGALRM, SIG_DFL);
		fd = xsocket(t);
		try_connect(fd, &server);
		_exit(0);
	}
	want_int(t, "killed", 128 + SIGALRM, child_status(pid));
	fd = xsocket(t);
	nonblocking(fd);
	want_rc(t, "others-work", -EINPROGRESS, try_connect(fd, &server));
	(void)full;
}

enum { N_THREADS = 8, N_ROUNDS = 16 };

static void *connect_often(void *argument)
{
	struct waiter *waiter = argument;
	struct ctx *t = NULL;

	(void)t;
	for (int i = 0; i < N_ROUNDS; i++) {
		int fd =
			socket(waiter->server.sa.sa_family, waiter->fd | SOCK_CLOEXEC, 0);

		if (try_connect(fd, &waiter->server) == 0)
			__atomic_add_fetch(&waiter->result, 1, __ATOMIC_SEQ_CST);
		close(fd);
	}
	return NULL;
}

static void many_threads(struct ctx *t)
{
	struct waiter waiter = { .fd = t->type };
	pthread_t threads[N_THREADS];
	int listener = serve(t, &waiter.server);

	if (t->stream)
		listen(listener, N_THREADS * N_ROUNDS);
	for (int i = 0; i < N_THREADS; i++)
		xthread(t, &threads[i], connect_often, &waiter);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	want_int(t, "connected", N_THREADS * N_ROUNDS, waiter.result);
}

static void see_text(struct ctx *t, const char *key, int listener, const char *expected)
{
	char text[16] = "";
	int fd = take(t, listener);

	recv(fd, text, strlen(expected), MSG_WAITALL);
	want(t, key, expected, "%s", text);
}

static void fast_open(struct ctx *t)
{
	struct address server, closed = closed_port(t);
	int listener = serve(t, &server), fd = xsocket(t);

	want_rc(t, "send", 5,
		sendto(fd, "hello", 5, MSG_FASTOPEN, &server.sa, server.len));
	want_peer(t, "peer", "lo:server", fd);
	see_text(t, "text", listener, "hello");
	want_rc(t, "again", -EISCONN,
		sendto(fd, "hello", 5, MSG_FASTOPEN, &server.sa, server.len));
	fd = xsocket(t);
	want_rc(t, "refused", -ECONNREFUSED,
		sendto(fd, "hello", 5, MSG_FASTOPEN | MSG_NOSIGNAL, &closed.sa,
		       closed.len));
}

static void fast_open_later(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);

	nonblocking(fd);
	want_rc(t, "send", -EINPROGRESS,
		sendto(fd, "hello", 5, MSG_FASTOPEN, &server.sa, server.len));
	want_events(t, "poll", POLLOUT, polled(fd, POLLOUT, true));
	want_rc(t, "send-2", 5, send(fd, "hello", 5, 0));
	see_text(t, "text", listener, "hello");
}

static void fast_open_message(struct ctx *t)
{
	struct address server;
	struct iovec part = { (void *)"hello", 5 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int listener = serve(t, &server), fd = xsocket(t);

	want_rc(t, "no-name", -EINVAL, sendmsg(fd, &message, MSG_FASTOPEN));
	message.msg_name = &server.sa;
	message.msg_namelen = server.len;
	want_rc(t, "send", 5, sendmsg(fd, &message, MSG_FASTOPEN));
	see_text(t, "text", listener, "hello");
	want_peer(t, "peer", "lo:server", fd);
}

static void fast_open_connect(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);

	set_int(t, fd, SOL_TCP, TCP_FASTOPEN_CONNECT, 1);
	want_rc(t, "connect", 0, try_connect(fd, &server));
	want_int(t, "kept", 1, get_int(fd, SOL_TCP, TCP_FASTOPEN_CONNECT));
	want_rc(t, "send", 5, send(fd, "hello", 5, 0));
	see_text(t, "text", listener, "hello");
}

const struct test_case connect_wait_cases[] = {
	{ "connect.already", INET | STREAM, already,
	  "EALREADY while the SYN is unanswered" },
	{ "connect.interrupted", INET | STREAM, interrupted,
	  "EINTR by a handler, and it goes on" },
	{ "connect.interrupted_completes", INET | STREAM, interrupted_completes,
	  "after EINTR poll tells the end" },
	{ "connect.restarted", INET | STREAM, restarted,
	  "SA_RESTART continues the call" },
	{ "connect.time_limit", INET | STREAM, time_limit,
	  "SO_SNDTIMEO ends it with EINPROGRESS" },
	{ "connect.others_go_on", INET | STREAM, others_go_on,
	  "one thread's waiting connect holds up nobody" },
	{ "connect.shut_by_other", INET | STREAM, shut_by_other,
	  "shutdown by another thread" },
	{ "connect.abandoned", INET | STREAM, abandoned,
	  "the waiting process is killed" },
	{ "connect.many_threads", ALL, many_threads, "8 threads, 16 connects each" },
	{ "connect.fast_open", INET | STREAM, fast_open, "sendto(MSG_FASTOPEN)" },
	{ "connect.fast_open_later", INET | STREAM, fast_open_later,
	  "the same, non-blocking" },
	{ "connect.fast_open_message", INET | STREAM, fast_open_message,
	  "sendmsg(MSG_FASTOPEN)" },
	{ "connect.fast_open_connect", INET | STREAM, fast_open_connect,
	  "TCP_FASTOPEN_CONNECT" },
};
CASES(connect_wait);
