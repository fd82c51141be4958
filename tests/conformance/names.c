/* SPDX-License-Identifier: GPL-2.0-or-later */
/* getsockname() and getpeername(). */
#include <netinet/tcp.h>

#include "topics.h"

typedef int name_call(int fd, struct sockaddr *address, socklen_t *len);

static void fresh(struct ctx *t)
{
	int fd = xsocket(t);

	want_name(t, "name", "any:0", fd);
	want_name(t, "name-2", "any:0", fd);
}

static void bound(struct ctx *t)
{
	struct address address = at_lo(t, 0), any = at_any(t, t->port);
	int fd = xsocket(t), other = xsocket(t);

	label(t, "asked", t->port);
	xbind(t, fd, &address);
	want_name(t, "port-0", "lo:dyn", fd);
	xbind(t, other, &any);
	want_name(t, "any", "any:asked", other);
	if (t->stream) {
		want_rc(t, "listen", 0, listen(other, 1));
		want_name(t, "listening", "any:asked", other);
	}
}

static void connected(struct ctx *t)
{
	struct address server, any = at_any(t, t->port);
	int listener = serve(t, &server), fd = xsocket(t);

	(void)listener;
	label(t, "asked", t->port);
	xbind(t, fd, &any);
	want_rc(t, "connect", 0, connect(fd, &server.sa, server.len));
	want_name(t, "name", "lo:asked", fd);
	shutdown(fd, SHUT_RDWR);
	see_name(t, "shut", fd);
}

static void not_connected(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);

	want_peer(t, "fresh", "ENOTCONN", fd);
	want_peer(t, "bound", "ENOTCONN", listener);
}

static void peer(struct ctx *t)
{
	int fds[2];

	connected_pair(t, fds);
	want_peer(t, "connecting", "lo:server", fds[0]);
	want_peer(t, "serving", "lo:client", fds[1]);
	want_rc(t, "shutdown", 0, shutdown(fds[0], SHUT_WR));
	see_peer(t, "half-shut", fds[0]);
	see_peer(t, "serving-half", fds[1]);
}

static void peer_after_end(struct ctx *t)
{
	char byte;
	int fds[2];

	connected_pair(t, fds);
	close(fds[0]);
	want_rc(t, "end", 0, recv(fds[1], &byte, 1, 0));
	want_peer(t, "ended", "lo:client", fds[1]);
	shutdown(fds[1], SHUT_WR);
	/* Its last acknowledgement may arrive after the call that asked for it. */
	until_state(fds[1], TCP_CLOSE);
	see_peer(t, "both-ended", fds[1]);
	see_name(t, "name", fds[1]);
}

static void room(struct ctx *t, name_call *call, int fd)
{
	const socklen_t full =
		t->v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	unsigned char bytes[sizeof(struct sockaddr_storage)];
	socklen_t len;
	int n_good = 0;

	for (socklen_t size = 0; size <= 28; size++) {
		memset(bytes, 0xee, sizeof(bytes));
		len = size;
		if (call(fd, (void *)bytes, &len) == 0 && len == full &&
		    bytes[size < full ? size : full] == 0xee)
			n_good++;
	}
	want_int(t, "truncated-well", 29, n_good);
	len = (socklen_t)-1;
	want_rc(t, "negative", -EINVAL, call(fd, (void *)bytes, &len));
	len = sizeof(bytes);
	want_rc(t, "pointer", -EFAULT, call(fd, BAD_POINTER, &len));
	want_rc(t, "length", -EFAULT, call(fd, (void *)bytes, BAD_POINTER));
	want_rc(t, "not-open", -EBADF, call(800, (void *)bytes, &len));
	want_rc(t, "not-socket", -ENOTSOCK, call(t->out, (void *)bytes, &len));
}

static void name_room(struct ctx *t)
{
	struct address server;

	room(t, getsockname, serve(t, &server));
}

static void peer_room(struct ctx *t)
{
	int fds[2];

	connected_pair(t, fds);
	room(t, getpeername, fds[0]);
}

static void mapped_name(struct ctx *t)
{
	struct address server = at_any(t, 0), v4;
	int listener = serve_at(t, &server, &server),
	    fd = xsocket_of(t, AF_INET, t->type);
	struct address from = { .len = sizeof(from.storage) };
	int serving;

	label(t, "server", port_of(&server));
	v4 = at_text("127.0.0.1", port_of(&server));
	xconnect(t, fd, &v4);
	v4 = name_of(t, fd);
	label(t, "client", port_of(&v4));
	serving = accept(listener, &from.sa, &from.len);
	want_address(t, "accepted", "mapped-lo:client", &from);
	want_name(t, "name", "mapped-lo:server", serving);
	want_peer(t, "peer", "mapped-lo:client", serving);
	want_name(t, "listener", "any:server", listener);
}

static void port_is_there(struct ctx *t)
{
	struct address address = at_any(t, 0), there;
	int fd = serve_at(t, &address, &address), peer_fd = xsocket(t);

	there = at_lo(t, port_of(&address));
	want_rc(t, "connect", 0, connect(peer_fd, &there.sa, there.len));
	want_rc(t, "send", 1, send(peer_fd, "x", 1, 0));
	want_events(t, "arrives", POLLIN, polled(take(t, fd), POLLIN, true));
}

const struct test_case names_cases[] = {
	{ "getsockname.fresh", ALL, fresh, "before bind" },
	{ "getsockname.bound", ALL, bound, "after bind, and listening" },
	{ "getsockname.connected", ALL, connected, "connect fills in the source" },
	{ "getsockname.room", ALL, name_room, "room of 0 to 28 bytes, bad pointers" },
	{ "getsockname.port_is_there", ALL, port_is_there,
	  "the port it says is the one reached" },
	{ "getsockname.mapped", V6 | STREAM, mapped_name,
	  "an IPv4 peer of a dual-stack listener" },
	{ "getpeername.not_connected", ALL, not_connected, "ENOTCONN" },
	{ "getpeername.connected", ALL, peer, "both sides, also half shut" },
	{ "getpeername.after_end", INET | STREAM, peer_after_end,
	  "after the peer closed" },
	{ "getpeername.room", ALL, peer_room, "room of 0 to 28 bytes, bad pointers" },
};
CASES(names);
