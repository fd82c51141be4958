/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bind(): who may have the same port. */
#include "topics.h"

static long try_bind(int fd, const struct address *address)
{
	return bind(fd, &address->sa, address->len);
}

static void in_use(struct ctx *t)
{
	struct address address = at_lo(t, t->port), any = at_any(t, t->port);
	int owner = xsocket(t), fd = xsocket(t);

	xbind(t, owner, &address);
	want_rc(t, "same", -EADDRINUSE, try_bind(fd, &address));
	want_rc(t, "wildcard", -EADDRINUSE, try_bind(fd, &any));
	close(owner);
	want_rc(t, "released", 0, try_bind(fd, &address));
}

static void in_use_by_wildcard(struct ctx *t)
{
	struct address address = at_lo(t, t->port), any = at_any(t, t->port);
	int owner = xsocket(t), fd = xsocket(t);

	xbind(t, owner, &any);
	want_rc(t, "loopback", -EADDRINUSE, try_bind(fd, &address));
	want_rc(t, "wildcard", -EADDRINUSE, try_bind(fd, &any));
}

static void other_type(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	int owner = xsocket(t);
	int fd = xsocket_of(t, t->family, t->stream ? SOCK_DGRAM : SOCK_STREAM);

	xbind(t, owner, &address);
	want_rc(t, "bind", 0, try_bind(fd, &address));
}

static void dual_stack(struct ctx *t)
{
	struct address v6 = at_text("::", t->port), v4 = at_text("0.0.0.0", t->port);
	struct address v4_lo = at_text("127.0.0.1", t->port);
	int owner, fd = xsocket_of(t, AF_INET, t->type);

	label(t, "asked", t->port);
	owner = serve_at(t, &v6, &v6);
	want_rc(t, "v4-any", -EADDRINUSE, try_bind(fd, &v4));
	want_rc(t, "v4-lo", -EADDRINUSE, try_bind(fd, &v4_lo));
	want_rc(t, "connect", 0, connect(fd, &v4_lo.sa, v4_lo.len));
	want_rc(t, "send", 1, send(fd, "x", 1, 0));
	owner = take(t, owner);
	want_events(t, "arrives", POLLIN, polled(owner, POLLIN, true));
	see_name(t, "serving", owner);
}

static void v6only(struct ctx *t)
{
	struct address v6 = at_text("::", t->port), v4 = at_text("0.0.0.0", t->port);
	struct address v4_lo = at_text("127.0.0.1", t->port);
	int six = xsocket(t), four, peer = xsocket_of(t, AF_INET, t->type);

	set_int(t, six, SOL_IPV6, IPV6_V6ONLY, 1);
	want_rc(t, "v6", 0, try_bind(six, &v6));
	if (t->stream)
		want_rc(t, "listen", 0, listen(six, 1));
	four = serve_at(t, &v4, &v4);
	want_rc(t, "connect", 0, connect(peer, &v4_lo.sa, v4_lo.len));
	want_rc(t, "send", 1, send(peer, "x", 1, 0));
	want_events(t, "v4-gets", POLLIN, polled(take(t, four), POLLIN, true));
	want_events(t, "v6-gets", 0, polled(six, POLLIN, false));
	want_int(t, "kept", 1, get_int(six, SOL_IPV6, IPV6_V6ONLY));
}

static void v6only_off(struct ctx *t)
{
	struct address v6 = at_text("::", t->port);
	int fd = xsocket(t);

	set_int(t, fd, SOL_IPV6, IPV6_V6ONLY, 1);
	set_int(t, fd, SOL_IPV6, IPV6_V6ONLY, 0);
	xbind(t, fd, &v6);
	want_int(t, "kept", 0, get_int(fd, SOL_IPV6, IPV6_V6ONLY));
	fd = xsocket_of(t, AF_INET, t->type);
	v6 = at_text("0.0.0.0", t->port);
	want_rc(t, "v4", -EADDRINUSE, try_bind(fd, &v6));
}

static void v6only_late(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	int fd = xsocket(t), on = 1;

	xbind(t, fd, &address);
	want_rc(t, "set", -EINVAL,
		setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
	/* An address of IPv6 alone has made it so. */
	want_int(t, "by-address", 1, get_int(fd, SOL_IPV6, IPV6_V6ONLY));
}

static int bound_with(struct ctx *t, int option, const struct address *address)
{
	int fd = xsocket(t);

	if (option)
		set_int(t, fd, SOL_SOCKET, option, 1);
	errno = 0;
	if (try_bind(fd, address) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void want_bound(struct ctx *t, const char *key, int error, int fd)
{
	want_rc(t, key, -error, fd < 0 ? -1 : 0);
}

static void reuse_address(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	int first = bound_with(t, SO_REUSEADDR, &address);
	int second = bound_with(t, SO_REUSEADDR, &address);

	want_bound(t, "first", 0, first);
	want_bound(t, "second", 0, second);
	want_bound(t, "without", EADDRINUSE, bound_with(t, 0, &address));
	if (!t->stream)
		return;
	want_rc(t, "listen", 0, listen(first, 1));
	want_rc(t, "listen-too", -EADDRINUSE, listen(second, 1));
	want_bound(t, "on-listener", EADDRINUSE, bound_with(t, SO_REUSEADDR, &address));
}

static void time_wait(struct ctx *t)
{
	struct address server = at_lo(t, t->port);
	int listener = xsocket(t), peer = xsocket(t), fd;
	char byte;

	set_int(t, listener, SOL_SOCKET, SO_REUSEADDR, 1);
	xbind(t, listener, &server);
	listen(listener, 1);
	xconnect(t, peer, &server);
	fd = take(t, listener);
	close(listener);
	shutdown(fd, SHUT_WR);
	want_rc(t, "eof", 0, recv(peer, &byte, 1, 0));
	close(peer);
	want_rc(t, "eof-back", 0, recv(fd, &byte, 1, 0));
	close(fd);
	want_bound(t, "without", EADDRINUSE, bound_with(t, 0, &server));
	want_bound(t, "with", 0, bound_with(t, SO_REUSEADDR, &server));
}

static void reuse_port(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	int first = bound_with(t, SO_REUSEPORT, &address);
	int second = bound_with(t, SO_REUSEPORT, &address);

	want_bound(t, "first", 0, first);
	want_bound(t, "second", 0, second);
	want_bound(t, "without", EADDRINUSE, bound_with(t, 0, &address));
	want_int(t, "kept", 1, get_int(second, SOL_SOCKET, SO_REUSEPORT));
	if (!t->stream)
		return;
	want_rc(t, "listen", 0, listen(first, 1));
	want_rc(t, "listen-too", 0, listen(second, 1));
}

static void reuse_port_not_forced(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	int first = bound_with(t, 0, &address);

	want_bound(t, "first", 0, first);
	want_int(t, "off", 0, get_int(first, SOL_SOCKET, SO_REUSEPORT));
	want_int(t, "address-off", 0, get_int(first, SOL_SOCKET, SO_REUSEADDR));
	want_bound(t, "with", EADDRINUSE, bound_with(t, SO_REUSEPORT, &address));
	if (t->stream)
		want_rc(t, "listen", 0, listen(first, 1));
	want_bound(t, "second", EADDRINUSE, bound_with(t, 0, &address));
}

struct race {
	struct address address;
	pthread_barrier_t barrier;
	int fd;
	int n_good;
	int n_einval;
	int n_other;
};

static void *race_bind(void *argument)
{
	struct race *race = argument;
	int *count = &race->n_good;

	pthread_barrier_wait(&race->barrier);
	if (bind(race->fd, &race->address.sa, race->address.len) < 0)
		count = errno == EINVAL ? &race->n_einval : &race->n_other;
	__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void two_threads(struct ctx *t)
{
	struct race race = { .address = at_lo(t, 0) };
	pthread_t threads[2];

	pthread_barrier_init(&race.barrier, NULL, 2);
	for (int round = 0; round < 50; round++) {
		race.fd = xsocket(t);
		for (int i = 0; i < 2; i++)
			xthread(t, &threads[i], race_bind, &race);
		for (int i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		close(race.fd);
	}
	want_int(t, "bound", 50, race.n_good);
	want_int(t, "einval", 50, race.n_einval);
	want_int(t, "other", 0, race.n_other);
}

static void outlives_closer(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	int owner = xsocket(t), copy, fd = xsocket(t);

	xbind(t, owner, &address);
	copy = fcntl(owner, F_DUPFD_CLOEXEC, 0);
	close(owner);
	want_rc(t, "copy-open", -EADDRINUSE, try_bind(fd, &address));
	close(copy);
	want_rc(t, "all-closed", 0, try_bind(fd, &address));
}

/* Nobody else may hold the socket for a moment longer than its owner. */
static void released_at_once(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	int n_good = 0;

	for (int round = 0; round < 300; round++) {
		int fd = xsocket(t);

		n_good += try_bind(fd, &address) == 0;
		if (t->stream && round % 2)
			listen(fd, 1);
		close(fd);
	}
	want_int(t, "bound", 300, n_good);
}

enum { N_SHARED = 64, N_AFTER = 16 };

struct member {
	struct ctx *t;
	int fd;
	char tag;
};

/* Answers every connection or datagram with its tag. */
static void *answer_all(void *argument)
{
	const struct member *member = argument;
	struct address from;
	char byte;

	for (;;) {
		int peer = take(member->t, member->fd);

		from.len = sizeof(from.storage);
		if (recvfrom(peer, &byte, 1, 0, &from.sa, &from.len) != 1)
			return NULL;
		if (member->t->stream) {
			send(peer, &member->tag, 1, MSG_NOSIGNAL);
			close(peer);
		} else {
			sendto(peer, &member->tag, 1, 0, &from.sa, from.len);
		}
	}
}

/* Asks @n times, each from a socket of its own. */
static void ask(struct ctx *t, const struct address *server, int n, int *ret_parent,
		int *ret_child)
{
	char byte;

	*ret_parent = *ret_child = 0;
	for (int i = 0; i < n; i++) {
		int fd = xsocket(t);

		xconnect(t, fd, server);
		if (send(fd, "?", 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) == 1)
			*(byte == 'p' ? ret_parent : ret_child) += 1;
		close(fd);
	}
}

static struct member join_group(struct ctx *t, const struct address *address, char tag)
{
	int fd = bound_with(t, SO_REUSEPORT, address);

	if (fd < 0 || (t->stream && listen(fd, 128) < 0))
		give_up(t, "join");
	return (struct member){ t, fd, tag };
}

static void reuse_port_forked(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	struct member member = join_group(t, &address, 'p');
	int ready[2], parent, child;
	pthread_t thread;
	pid_t pid;
	char byte;

	if (pipe(ready) < 0)
		give_up(t, "pipe");
	pid = fork();
	if (pid == 0) {
		close(member.fd);
		member = join_group(t, &address, 'c');
		if (write(ready[1], "x", 1) == 1)
			answer_all(&member);
		_exit(0);
	}
	if (read(ready[0], &byte, 1) != 1)
		give_up(t, "child");
	xthread(t, &thread, answer_all, &member);
	ask(t, &address, N_SHARED, &parent, &child);
	want_int(t, "answers", N_SHARED, parent + child);
	want(t, "from", "both", "%s",
	     parent && child ? "both"
	     : child         ? "child"
			     : "parent");
	kill(pid, SIGKILL);
	child_status(pid);
	ask(t, &address, N_AFTER, &parent, &child);
	want_int(t, "then-parent", N_AFTER, parent);
}

const struct test_case bind_share_cases[] = {
	{ "bind.in_use", ALL, in_use, "EADDRINUSE until the owner closes" },
	{ "bind.in_use_by_wildcard", ALL, in_use_by_wildcard,
	  "a wildcard takes every address" },
	{ "bind.other_type", ALL, other_type, "TCP and UDP ports are apart" },
	{ "bind.dual_stack", V6 | EACH, dual_stack,
	  "[::] takes and serves IPv4 as well" },
	{ "bind.v6only", V6 | EACH, v6only, "IPV6_V6ONLY leaves the port to IPv4" },
	{ "bind.v6only_off", V6 | EACH, v6only_off, "IPV6_V6ONLY switched off again" },
	{ "bind.v6only_late", V6 | EACH, v6only_late,
	  "IPV6_V6ONLY is refused once bound" },
	{ "bind.reuse_address", ALL, reuse_address, "SO_REUSEADDR, and one listener" },
	{ "bind.time_wait", INET | STREAM, time_wait, "TIME_WAIT needs SO_REUSEADDR" },
	{ "bind.reuse_port", ALL, reuse_port, "SO_REUSEPORT shares when both ask" },
	{ "bind.reuse_port_not_forced", ALL, reuse_port_not_forced,
	  "nothing is shared unasked" },
	{ "bind.reuse_port_forked", ALL, reuse_port_forked,
	  "SO_REUSEPORT shares between parent and child" },
	{ "bind.two_threads", ALL, two_threads, "of two threads one binds, 50 times" },
	{ "bind.released_at_once", ALL, released_at_once,
	  "bind, close, bind again, 300 times" },
	{ "bind.outlives_closer", ALL, outlives_closer,
	  "the last copy releases the port" },
};
CASES(bind_share);
