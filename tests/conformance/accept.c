/* SPDX-License-Identifier: GPL-2.0-or-later */
/* listen() and accept(). */
#include <netinet/tcp.h>

#include "topics.h"

static void flags(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd;

	for (int i = 0; i < 4; i++) {
		int wanted = (i & 1 ? SOCK_NONBLOCK : 0) | (i & 2 ? SOCK_CLOEXEC : 0);

		xconnect(t, xsocket(t), &server);
		fd = accept4(listener, NULL, NULL, wanted);
		want_int(t, "nonblock", i & 1 ? O_NONBLOCK : 0,
			 fcntl(fd, F_GETFL) & O_NONBLOCK);
		want_int(t, "cloexec", i & 2 ? FD_CLOEXEC : 0, fcntl(fd, F_GETFD));
	}
	nonblocking(listener);
	xconnect(t, xsocket(t), &server);
	polled(listener, POLLIN, true);
	fd = accept(listener, NULL, NULL);
	want_int(t, "not-inherited", 0, fcntl(fd, F_GETFL) & O_NONBLOCK);
	want_rc(t, "odd-flags", -EINVAL, accept4(listener, NULL, NULL, 1));
}

static void names(struct ctx *t)
{
	struct address server, client, from = { .len = sizeof(from.storage) };
	int listener = serve(t, &server), fd = xsocket(t), peer;

	xconnect(t, fd, &server);
	client = name_of(t, fd);
	label(t, "client", port_of(&client));
	peer = accept(listener, &from.sa, &from.len);
	want_address(t, "from", "lo:client", &from);
	want_peer(t, "peer", "lo:client", peer);
	want_name(t, "name", "lo:server", peer);
}

static void short_name(struct ctx *t)
{
	struct address server, from;
	int listener = serve(t, &server);

	for (socklen_t len = 0; len <= server.len; len += 4) {
		memset(&from, 0xee, sizeof(from));
		from.len = len;
		xconnect(t, xsocket(t), &server);
		want(t, "accept", "ok", "%s",
		     accept(listener, &from.sa, &from.len) < 0 ? "failed" : "ok");
		want_int(t, "length", server.len, from.len);
		want_int(t, "untouched", 0xee, ((unsigned char *)&from.storage)[len]);
	}
}

static void bad_arguments(struct ctx *t)
{
	struct address server, from = { .len = (socklen_t)-1 };
	int listener = serve(t, &server), fd = xsocket(t), pair[2];

	xconnect(t, fd, &server);
	want_rc(t, "length", -EFAULT, accept(listener, &from.sa, BAD_POINTER));
	xconnect(t, xsocket(t), &server);
	want_rc(t, "negative", -EINVAL, accept(listener, &from.sa, &from.len));
	want_rc(t, "unlistened", -EINVAL, accept(xsocket(t), NULL, NULL));
	want_rc(t, "connected", -EINVAL, accept(fd, NULL, NULL));
	want_rc(t, "not-open", -EBADF, accept(800, NULL, NULL));
	if (pipe(pair) < 0)
		give_up(t, "pipe");
	want_rc(t, "pipe", -ENOTSOCK, accept(pair[0], NULL, NULL));
}

static void would_block(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server);

	nonblocking(listener);
	want_rc(t, "empty", -EAGAIN, accept(listener, NULL, NULL));
	want_events(t, "poll", 0, polled(listener, POLLIN, false));
	xconnect(t, xsocket(t), &server);
	want_events(t, "poll-2", POLLIN, polled(listener, POLLIN, true));
	want(t, "accept", "ok", "%s", accept(listener, NULL, NULL) < 0 ? "failed" : "ok");
	want_rc(t, "empty-2", -EAGAIN, accept(listener, NULL, NULL));
}

static void datagram(struct ctx *t)
{
	struct address server;
	int fd = serve(t, &server);

	want_rc(t, "listen", -EOPNOTSUPP, listen(fd, 1));
	want_rc(t, "accept", -EOPNOTSUPP, accept(fd, NULL, NULL));
}

struct blocked {
	int listener;
	int fd;
	int error;
	bool done;
};

static void *accept_one(void *argument)
{
	struct blocked *blocked = argument;

	blocked->fd = accept4(blocked->listener, NULL, NULL, SOCK_CLOEXEC);
	blocked->error = blocked->fd < 0 ? errno : 0;
	__atomic_store_n(&blocked->done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static void while_blocked(struct ctx *t)
{
	struct address server, other = at_lo(t, 0);
	struct blocked blocked = { .listener = serve(t, &server) };
	pthread_t thread;
	int fd = xsocket(t);

	xthread(t, &thread, accept_one, &blocked);
	for (int i = 0; i < 100; i++) {
		struct address again = name_of(t, blocked.listener);

		if (port_of(&again) != port_of(&server))
			want(t, "name", "same", "other");
	}
	want_name(t, "name", "lo:server", blocked.listener);
	want_int(t, "option", 1, get_int(blocked.listener, SOL_SOCKET, SO_ACCEPTCONN));
	serve_at(t, &other, &other);
	want_rc(t, "connect", 0, connect(fd, &server.sa, server.len));
	pthread_join(thread, NULL);
	exchange(t, "bytes", fd, blocked.fd);
}

static void two_acceptors(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server);
	struct blocked blocked[2] = { { .listener = listener },
				      { .listener = listener } };
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		xthread(t, &threads[i], accept_one, &blocked[i]);
	for (int i = 0; i < 2; i++)
		xconnect(t, xsocket(t), &server);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	want_int(t, "errors", 0, blocked[0].error + blocked[1].error);
	want(t, "descriptors", "two", "%s",
	     blocked[0].fd != blocked[1].fd ? "two" : "one");
}

static void inherited(struct ctx *t)
{
	struct address server;
	int listener = xsocket(t), fd, address_fd;

	server = at_lo(t, 0);
	xbind(t, listener, &server);
	set_int(t, listener, SOL_TCP, TCP_NODELAY, 1);
	set_int(t, listener, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(t, listener, SOL_TCP, TCP_KEEPIDLE, 77);
	set_int(t, listener, SOL_SOCKET, SO_RCVBUF, 30000);
	set_int(t, listener, SOL_SOCKET, SO_PRIORITY, 3);
	listen(listener, 4);
	server = name_of(t, listener);
	address_fd = xsocket(t);
	xconnect(t, address_fd, &server);
	fd = take(t, listener);
	want_int(t, "nodelay", 1, get_int(fd, SOL_TCP, TCP_NODELAY));
	want_int(t, "keepalive", 1, get_int(fd, SOL_SOCKET, SO_KEEPALIVE));
	want_int(t, "keepidle", 77, get_int(fd, SOL_TCP, TCP_KEEPIDLE));
	want_int(t, "rcvbuf", 60000, get_int(fd, SOL_SOCKET, SO_RCVBUF));
	see_int(t, "priority", get_int(fd, SOL_SOCKET, SO_PRIORITY));
	want_int(t, "acceptconn", 0, get_int(fd, SOL_SOCKET, SO_ACCEPTCONN));
	want_int(t, "listener", 1, get_int(listener, SOL_SOCKET, SO_ACCEPTCONN));
}

static void listen_unbound(struct ctx *t)
{
	struct address server;
	int listener = xsocket(t), fd = xsocket(t);

	want_rc(t, "listen", 0, listen(listener, 1));
	want_name(t, "name", "any:dyn", listener);
	server = at_lo(t, 0);
	server = at_lo(t, port_of((struct address[]){ name_of(t, listener) }));
	want_rc(t, "connect", 0, connect(fd, &server.sa, server.len));
	exchange(t, "bytes", fd, take(t, listener));
}

static void listen_states(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);

	want_rc(t, "again", 0, listen(listener, 5));
	want_rc(t, "zero", 0, listen(listener, 0));
	want_rc(t, "negative", 0, listen(listener, -1));
	xconnect(t, fd, &server);
	want_rc(t, "connected", -EINVAL, listen(fd, 1));
	want_rc(t, "accepted", -EINVAL, listen(take(t, listener), 1));
	want_rc(t, "not-open", -EBADF, listen(800, 1));
	want_rc(t, "not-socket", -ENOTSOCK, listen(t->out, 1));
}

static void backlog(struct ctx *t)
{
	struct address address = at_lo(t, 0);
	int listener = xsocket(t), n_good = 0;

	xbind(t, listener, &address);
	want_rc(t, "listen", 0, listen(listener, 3));
	address = name_of(t, listener);
	for (int i = 0; i < 4; i++)
		if (connect(xsocket(t), &address.sa, address.len) == 0)
			n_good++;
	want_int(t, "queued", 4, n_good);
	nonblocking(listener);
	for (n_good = 0; accept(listener, NULL, NULL) >= 0; n_good++)
		;
	want_int(t, "accepted", 4, n_good);
}

static void shut_listener(struct ctx *t)
{
	struct address server;
	struct blocked blocked = { .listener = serve(t, &server) };
	int fd = xsocket(t), other = xsocket(t);
	pthread_t thread;

	xthread(t, &thread, accept_one, &blocked);
	want_rc(t, "shutdown", 0, shutdown(blocked.listener, SHUT_RD));
	pthread_join(thread, NULL);
	want_rc(t, "blocked-accept", -blocked.error, -1 * !!(errno = blocked.error));
	want(t, "woken-by", "EINVAL", "%s", strerrorname_np(blocked.error));
	want_rc(t, "accept", -EINVAL, accept(blocked.listener, NULL, NULL));
	want_rc(t, "connect", -ECONNREFUSED, connect(fd, &server.sa, server.len));
	see_name(t, "name", blocked.listener);
	/* So that the port chosen next is never the same by chance. */
	bind(other, &server.sa, server.len);
	see_rc(t, "listen-again", listen(blocked.listener, 1));
	see_name(t, "name-again", blocked.listener);
}

static void gone_before(struct ctx *t)
{
	struct linger now = { 1, 0 };
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t), peer;
	char byte;

	xconnect(t, fd, &server);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
	polled(listener, POLLIN, true);
	peer = accept(listener, NULL, NULL);
	want(t, "accept", "ok", "%s", peer < 0 ? "failed" : "ok");
	want_rc(t, "recv", -ECONNRESET, recv(peer, &byte, 1, 0));
}

static void closed_listener(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t), late = xsocket(t);
	char byte;

	xconnect(t, fd, &server);
	polled(listener, POLLIN, true);
	close(listener);
	want_rc(t, "queued", -ECONNRESET, recv(fd, &byte, 1, 0));
	want_rc(t, "late", -ECONNREFUSED, connect(late, &server.sa, server.len));
}

static void defer(struct ctx *t)
{
	struct address server = at_lo(t, 0);
	int listener = xsocket(t), fd = xsocket(t);

	set_int(t, listener, SOL_TCP, TCP_DEFER_ACCEPT, 5);
	xbind(t, listener, &server);
	listen(listener, 4);
	server = name_of(t, listener);
	xconnect(t, fd, &server);
	want_events(t, "silent", 0, polled(listener, POLLIN, false));
	send(fd, "x", 1, 0);
	want_events(t, "data", POLLIN, polled(listener, POLLIN, true));
}

static void inherited_by_child(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);
	pid_t pid = fork();
	char byte = 0;

	if (pid == 0) {
		int peer = accept(listener, NULL, NULL);

		_exit(peer < 0 || send(peer, "c", 1, 0) != 1);
	}
	close(listener);
	xconnect(t, fd, &server);
	want_rc(t, "recv", 1, recv(fd, &byte, 1, 0));
	want(t, "byte", "c", "%c", byte);
	want_int(t, "child", 0, child_status(pid));
}

const struct test_case accept_cases[] = {
	{ "accept.flags", INET | STREAM, flags,
	  "SOCK_NONBLOCK and SOCK_CLOEXEC, each alone" },
	{ "accept.names", INET | STREAM, names,
	  "the peer's address, by accept and getpeername" },
	{ "accept.short_name", INET | STREAM, short_name,
	  "address room of 0 to 28 bytes" },
	{ "accept.bad_arguments", INET | STREAM, bad_arguments,
	  "bad pointers and descriptors" },
	{ "accept.would_block", INET | STREAM, would_block, "EAGAIN, not blocking" },
	{ "accept.datagram", INET | DGRAM, datagram, "EOPNOTSUPP" },
	{ "accept.while_blocked", INET | STREAM, while_blocked,
	  "the listener answers while a thread waits in accept" },
	{ "accept.two_acceptors", INET | STREAM, two_acceptors, "two threads in accept" },
	{ "accept.inherited", INET | STREAM, inherited, "options of the listener" },
	{ "accept.listen_unbound", INET | STREAM, listen_unbound,
	  "listen chooses a port" },
	{ "accept.listen_states", INET | STREAM, listen_states,
	  "listen twice, on other sockets" },
	{ "accept.backlog", INET | STREAM, backlog, "a queue of 3 holds 4" },
	{ "accept.shut_listener", INET | STREAM, shut_listener,
	  "shutdown wakes accept with EINVAL" },
	{ "accept.gone_before", INET | STREAM, gone_before, "reset before accept" },
	{ "accept.closed_listener", INET | STREAM, closed_listener,
	  "queued connections are reset" },
	{ "accept.defer", INET | STREAM, defer, "TCP_DEFER_ACCEPT waits for data" },
	{ "accept.by_child", INET | STREAM, inherited_by_child,
	  "a forked child accepts" },
};
CASES(accept);
