/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connect(): success, refusal, states, and connecting again. */
#include "topics.h"

static long try_connect(int fd, const struct address *address)
{
	return connect(fd, &address->sa, address->len);
}

static long disconnect(int fd)
{
	struct sockaddr nothing = { .sa_family = AF_UNSPEC };

	return connect(fd, &nothing, sizeof(nothing));
}

static void blocking(struct ctx *t)
{
	struct address server, client;
	int listener = serve(t, &server), fd = xsocket(t), peer;

	want_rc(t, "connect", 0, try_connect(fd, &server));
	want_peer(t, "peer", "lo:server", fd);
	want_name(t, "name", "lo:dyn", fd);
	client = name_of(t, fd);
	peer = take(t, listener);
	if (!t->stream)
		xconnect(t, peer, &client);
	exchange(t, "bytes", fd, peer);
}

static void to_interface(struct ctx *t)
{
	struct address server = at_veth(t, 0), client;
	int listener = serve_at(t, &server, &server), fd = xsocket(t), peer;

	label(t, "server", port_of(&server));
	want_rc(t, "connect", 0, try_connect(fd, &server));
	want_name(t, "name", "veth:dyn", fd);
	want_peer(t, "peer", "veth:server", fd);
	client = name_of(t, fd);
	peer = take(t, listener);
	if (!t->stream)
		xconnect(t, peer, &client);
	exchange(t, "bytes", fd, peer);
}

static void in_progress(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);

	nonblocking(fd);
	want_rc(t, "connect", -EINPROGRESS, try_connect(fd, &server));
	want_events(t, "poll", POLLOUT, polled(fd, POLLIN | POLLOUT, true));
	want_error(t, "error", 0, fd);
	see_rc(t, "again", try_connect(fd, &server));
	want_rc(t, "third", -EISCONN, try_connect(fd, &server));
	exchange(t, "bytes", fd, take(t, listener));
}

static void refused(struct ctx *t)
{
	struct address closed = closed_port(t), server;
	int listener = serve(t, &server), fd = xsocket(t);

	want_rc(t, "connect", -ECONNREFUSED, try_connect(fd, &closed));
	want_error(t, "error", 0, fd);
	see_peer(t, "peer", fd);
	see_events(t, "poll", polled(fd, POLLIN | POLLOUT | POLLRDHUP, false));
	want_rc(t, "elsewhere", 0, try_connect(fd, &server));
	want_peer(t, "peer-now", "lo:server", fd);
	exchange(t, "bytes", fd, take(t, listener));
}

static void refused_later(struct ctx *t)
{
	struct address closed = closed_port(t), server;
	int listener = serve(t, &server), fd = xsocket(t);

	nonblocking(fd);
	want_rc(t, "connect", -EINPROGRESS, try_connect(fd, &closed));
	see_events(t, "poll", polled(fd, POLLIN | POLLOUT | POLLRDHUP, true));
	want_error(t, "error", ECONNREFUSED, fd);
	want_error(t, "cleared", 0, fd);
	see_rc(t, "again", try_connect(fd, &closed));
	see_rc(t, "elsewhere", try_connect(fd, &server));
	see_rc(t, "elsewhere-2", try_connect(fd, &server));
	(void)listener;
}

static void refused_seen_by_connect(struct ctx *t)
{
	struct address closed = closed_port(t);
	int fd = xsocket(t);

	nonblocking(fd);
	want_rc(t, "connect", -EINPROGRESS, try_connect(fd, &closed));
	polled(fd, POLLOUT, true);
	want_rc(t, "second", -ECONNREFUSED, try_connect(fd, &closed));
	want_error(t, "error", 0, fd);
}

static void refused_seen_by_send(struct ctx *t)
{
	struct address closed = closed_port(t);
	int fd = xsocket(t);

	nonblocking(fd);
	want_rc(t, "connect", -EINPROGRESS, try_connect(fd, &closed));
	polled(fd, POLLOUT, true);
	want_rc(t, "send", -ECONNREFUSED, send(fd, "x", 1, MSG_NOSIGNAL));
	want_rc(t, "send-2", -EPIPE, send(fd, "x", 1, MSG_NOSIGNAL));
}

/* What says that a port is closed may take its time. */
static void until_error(int fd)
{
	polled(fd, 0, true);
}

static void datagram_refused(struct ctx *t)
{
	struct address closed = closed_port(t);
	char byte;
	int fd = xsocket(t);

	want_rc(t, "connect", 0, try_connect(fd, &closed));
	want_rc(t, "send", 1, send(fd, "x", 1, 0));
	until_error(fd);
	see_events(t, "poll", polled(fd, POLLIN | POLLOUT, true));
	want_rc(t, "send-2", -ECONNREFUSED, send(fd, "x", 1, 0));
	want_rc(t, "send-3", 1, send(fd, "x", 1, 0));
	until_error(fd);
	want_rc(t, "recv", -ECONNREFUSED, recv(fd, &byte, 1, MSG_DONTWAIT));
	want_rc(t, "recv-2", -EAGAIN, recv(fd, &byte, 1, MSG_DONTWAIT));
	want_rc(t, "send-4", 1, send(fd, "x", 1, 0));
	until_error(fd);
	want_error(t, "error", ECONNREFUSED, fd);
	want_error(t, "cleared", 0, fd);
}

static void twice(struct ctx *t)
{
	struct address server, other = at_lo(t, 0);
	int listener = serve(t, &server), second = serve_at(t, &other, &other);
	int fd = xsocket(t);

	(void)listener, (void)second;
	label(t, "other", port_of(&other));
	xconnect(t, fd, &server);
	want_rc(t, "same", t->stream ? -EISCONN : 0, try_connect(fd, &server));
	want_rc(t, "other", t->stream ? -EISCONN : 0, try_connect(fd, &other));
	want_peer(t, "peer", t->stream ? "lo:server" : "lo:other", fd);
}

static void listening(struct ctx *t)
{
	struct address server, other;
	int listener = serve(t, &server), fd = xsocket(t);

	want_rc(t, "itself", -EISCONN, try_connect(listener, &server));
	other = at_lo(t, 0);
	serve_at(t, &other, &other);
	want_rc(t, "other", -EISCONN, try_connect(listener, &other));
	want_rc(t, "still-listens", 0, try_connect(fd, &server));
}

static void itself(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	int fd = xsocket(t);

	label(t, "asked", t->port);
	xbind(t, fd, &address);
	want_rc(t, "connect", 0, try_connect(fd, &address));
	want_name(t, "name", "lo:asked", fd);
	want_peer(t, "peer", "lo:asked", fd);
	exchange(t, "bytes", fd, fd);
}

static void disconnected(struct ctx *t)
{
	struct address server, other = at_lo(t, 0);
	int listener = serve(t, &server), second = serve_at(t, &other, &other);
	int fd = xsocket(t);

	(void)listener;
	label(t, "other", port_of(&other));
	xconnect(t, fd, &server);
	want_rc(t, "unspec", 0, disconnect(fd));
	want_peer(t, "peer", "ENOTCONN", fd);
	see_name(t, "name", fd);
	want_rc(t, "unspec-2", 0, disconnect(fd));
	want_rc(t, "connect", 0, try_connect(fd, &other));
	want_peer(t, "peer-now", "lo:other", fd);
	want_rc(t, "send", 1, send(fd, "x", 1, MSG_NOSIGNAL));
	want_events(t, "arrives", POLLIN, polled(take(t, second), POLLIN, true));
}

static void disconnected_bound(struct ctx *t)
{
	struct address server, address = at_lo(t, t->port);
	int listener = serve(t, &server), fd = xsocket(t);

	label(t, "asked", t->port);
	xbind(t, fd, &address);
	xconnect(t, fd, &server);
	want_name(t, "connected", "lo:asked", fd);
	want_rc(t, "unspec", 0, disconnect(fd));
	want_name(t, "name", "lo:asked", fd);
	if (t->stream)
		close(take(t, listener));
	see_rc(t, "connect", try_connect(fd, &server));
	see_name(t, "again", fd);
}

static void disconnect_fresh(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);

	(void)listener;
	see_rc(t, "unspec", disconnect(fd));
	see_name(t, "name", fd);
	want_rc(t, "connect", 0, try_connect(fd, &server));
}

static void after_bind(struct ctx *t)
{
	struct address server, address = at_lo(t, t->port), seen = { .len = 0 };
	int listener = serve(t, &server), fd = xsocket(t);

	label(t, "asked", t->port);
	xbind(t, fd, &address);
	want_rc(t, "connect", 0, try_connect(fd, &server));
	want_name(t, "name", "lo:asked", fd);
	want_peer(t, "peer", "lo:server", fd);
	seen.len = sizeof(seen.storage);
	if (t->stream) {
		want_rc(t, "accept", 0,
			accept(listener, &seen.sa, &seen.len) < 0 ? -1 : 0);
	} else {
		char byte;

		want_rc(t, "send", 1, send(fd, "x", 1, 0));
		want_rc(t, "recv", 1,
			recvfrom(listener, &byte, 1, 0, &seen.sa, &seen.len));
	}
	want_address(t, "seen", "lo:asked", &seen);
}

static void after_bind_other(struct ctx *t)
{
	struct address server, address = at_text("127.0.0.2", 0);
	int listener = serve(t, &server), fd = xsocket(t);

	(void)listener;
	xbind(t, fd, &address);
	want_rc(t, "connect", 0, try_connect(fd, &server));
	want_name(t, "name", "lo2:dyn", fd);
}

static void same_pair(struct ctx *t)
{
	struct address server, address = at_lo(t, t->port);
	int listener = serve(t, &server), first = xsocket(t), second = xsocket(t);

	(void)listener;
	set_int(t, first, SOL_SOCKET, SO_REUSEADDR, 1);
	set_int(t, second, SOL_SOCKET, SO_REUSEADDR, 1);
	xbind(t, first, &address);
	xbind(t, second, &address);
	xconnect(t, first, &server);
	want_rc(t, "second", -EADDRNOTAVAIL, try_connect(second, &server));
}

static void datagram_filter(struct ctx *t)
{
	struct address server, client, other = at_lo(t, 0);
	int chosen = serve(t, &server), stranger = serve_at(t, &other, &other);
	int fd = xsocket(t);
	char byte = 0;

	xconnect(t, fd, &server);
	client = name_of(t, fd);
	sendto(stranger, "s", 1, 0, &client.sa, client.len);
	sendto(chosen, "c", 1, 0, &client.sa, client.len);
	want_rc(t, "recv", 1, recv(fd, &byte, 1, 0));
	want(t, "from-chosen", "c", "%c", byte);
	want_rc(t, "no-more", -EAGAIN, recv(fd, &byte, 1, MSG_DONTWAIT));
}

const struct test_case connect_cases[] = {
	{ "connect.blocking", ALL, blocking, "names on both sides and a byte each way" },
	{ "connect.to_interface", ALL, to_interface,
	  "to an address of another interface" },
	{ "connect.in_progress", INET | STREAM, in_progress,
	  "EINPROGRESS, poll, SO_ERROR, EISCONN" },
	{ "connect.refused", INET | STREAM, refused,
	  "ECONNREFUSED, then elsewhere with the same socket" },
	{ "connect.refused_later", INET | STREAM, refused_later,
	  "refusal of a non-blocking connect" },
	{ "connect.refused_seen_by_connect", INET | STREAM, refused_seen_by_connect,
	  "a second connect reports the refusal" },
	{ "connect.refused_seen_by_send", INET | STREAM, refused_seen_by_send,
	  "send reports the refusal" },
	{ "connect.datagram_refused", INET | DGRAM, datagram_refused,
	  "the port unreachable error reaches send, recv and SO_ERROR" },
	{ "connect.twice", ALL, twice,
	  "EISCONN for streams, another peer for datagrams" },
	{ "connect.listening", INET | STREAM, listening, "a listener does not connect" },
	{ "connect.itself", ALL, itself, "a bound socket to its own address" },
	{ "connect.disconnected", ALL, disconnected, "AF_UNSPEC, then to another peer" },
	{ "connect.disconnected_bound", ALL, disconnected_bound,
	  "AF_UNSPEC keeps what was bound" },
	{ "connect.disconnect_fresh", ALL, disconnect_fresh,
	  "AF_UNSPEC on a fresh socket" },
	{ "connect.after_bind", ALL, after_bind, "the bound port is the source" },
	{ "connect.after_bind_other", V4 | EACH, after_bind_other,
	  "127.0.0.2 stays the source" },
	{ "connect.same_pair", INET | STREAM, same_pair,
	  "a pair of addresses exists once" },
	{ "connect.datagram_filter", INET | DGRAM, datagram_filter,
	  "only the peer's datagrams arrive" },
};
CASES(connect);
