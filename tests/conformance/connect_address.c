/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connect(): the addresses it takes, their lengths and pointers. */
#include <sys/un.h>

#include "topics.h"

static long try_connect(int fd, const struct address *address)
{
	return connect(fd, &address->sa, address->len);
}

static void to_any(struct ctx *t)
{
	struct address server, any;
	int listener = serve(t, &server), fd = xsocket(t);

	any = at_any(t, port_of(&server));
	want_rc(t, "connect", 0, try_connect(fd, &any));
	want_peer(t, "peer", "lo:server", fd);
	want_name(t, "name", "lo:dyn", fd);
	want_rc(t, "send", 1, send(fd, "x", 1, 0));
	want_events(t, "arrives", POLLIN, polled(take(t, listener), POLLIN, true));
}

static void to_mapped(struct ctx *t, const char *text)
{
	struct address server = at_text("127.0.0.1", 0), mapped;
	int listener = serve_at(t, &server, &server), fd = xsocket(t);

	label(t, "server", port_of(&server));
	mapped = at_text(text, port_of(&server));
	want_rc(t, "connect", 0, try_connect(fd, &mapped));
	want_peer(t, "peer", "mapped-lo:server", fd);
	want_name(t, "name", "mapped-lo:dyn", fd);
	want_rc(t, "send", 1, send(fd, "x", 1, 0));
	want_events(t, "arrives", POLLIN, polled(take(t, listener), POLLIN, true));
}

static void mapped(struct ctx *t)
{
	to_mapped(t, "::ffff:127.0.0.1");
}

static void mapped_any(struct ctx *t)
{
	to_mapped(t, "::ffff:0.0.0.0");
}

static void mapped_v6only(struct ctx *t)
{
	struct address mapped_lo = at_mapped(t->port);
	int fd = xsocket(t);

	set_int(t, fd, SOL_IPV6, IPV6_V6ONLY, 1);
	want_rc(t, "connect", -ENETUNREACH, try_connect(fd, &mapped_lo));
	want_peer(t, "peer", "ENOTCONN", fd);
}

static void mapped_from_v6(struct ctx *t)
{
	struct address mapped_lo = at_mapped(t->port), lo = at_lo(t, 0);
	int fd = xsocket(t);

	xbind(t, fd, &lo);
	see_rc(t, "bound-to-v6", try_connect(fd, &mapped_lo));
	see_peer(t, "peer", fd);
}

static void unreachable(struct ctx *t)
{
	struct address address = at_text(t->v6 ? "2001:db8:9::9" : "198.51.100.9", 80);
	int fd = xsocket(t);

	want_rc(t, "connect", -ENETUNREACH, try_connect(fd, &address));
	want_peer(t, "peer", "ENOTCONN", fd);
	nonblocking(fd);
	want_rc(t, "nonblocking", -ENETUNREACH, try_connect(fd, &address));
}

static void broadcast(struct ctx *t)
{
	struct address address = at_text("10.77.0.255", t->port);
	int fd = xsocket(t);

	see_rc(t, "without", try_connect(fd, &address));
	set_int(t, fd, SOL_SOCKET, SO_BROADCAST, 1);
	see_rc(t, "with", try_connect(fd, &address));
}

static void multicast(struct ctx *t)
{
	struct address address = at_text(t->v6 ? "ff02::fb" : "224.0.0.251", t->port);
	int fd = xsocket(t);

	if (t->v6)
		address.in6.sin6_scope_id = VETH_INDEX;
	see_rc(t, "connect", try_connect(fd, &address));
}

static void link_local(struct ctx *t)
{
	struct address server = at_text("fe80::77", 0), bare;
	int listener, fd = xsocket(t);

	server.in6.sin6_scope_id = VETH_INDEX;
	listener = serve_at(t, &server, &server);
	label(t, "server", port_of(&server));
	bare = server;
	bare.in6.sin6_scope_id = 0;
	want_rc(t, "no-scope", -EINVAL, try_connect(fd, &bare));
	want_rc(t, "scope", 0, try_connect(fd, &server));
	want_peer(t, "peer", "link:server%77", fd);
	want_rc(t, "send", 1, send(fd, "x", 1, 0));
	want_events(t, "arrives", POLLIN, polled(take(t, listener), POLLIN, true));
}

static void port_zero(struct ctx *t)
{
	struct address address = at_lo(t, 0);
	int fd = xsocket(t);

	see_rc(t, "connect", try_connect(fd, &address));
	see_peer(t, "peer", fd);
}

static void lengths(struct ctx *t)
{
	struct address server;
	union {
		struct address address;
		char bytes[2048];
	} room = { .bytes = { 0 } };
	int listener = serve(t, &server), results[131], fd;

	room.address = server;
	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		fd = xsocket(t);
		results[i] = connect(fd, &room.address.sa, i) < 0 ? -errno : 0;
		if (t->stream && results[i] == 0)
			close(take(t, listener));
		close(fd);
	}
	see_map(t, "length", results, ARRAY_SIZE(results));
	fd = xsocket(t);
	want_rc(t, "1000", -EINVAL, connect(fd, &room.address.sa, 1000));
	want_rc(t, "negative", -EINVAL, connect(fd, &room.address.sa, (socklen_t)-1));
	want_peer(t, "peer", "ENOTCONN", fd);
}

static void wrong_family(struct ctx *t)
{
	struct sockaddr_un path = { .sun_family = AF_UNIX, .sun_path = "nothing" };
	struct address other = at_text(t->v6 ? "127.0.0.1" : "::1", 0), odd = at_lo(t, 1);
	int server = serve_at(t, &other, &other), fd = xsocket(t);

	(void)server;
	label(t, "server", port_of(&other));
	odd.sa.sa_family = 250;
	see_rc(t, "unix", connect(fd, (void *)&path, sizeof(path)));
	want_rc(t, "odd", -EAFNOSUPPORT, try_connect(fd, &odd));
	see_rc(t, "other", try_connect(fd, &other));
	see_peer(t, "peer", fd);
}

static void bad_arguments(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t), pipes[2];

	(void)listener;
	if (pipe(pipes) < 0)
		give_up(t, "pipe");
	want_rc(t, "pointer", -EFAULT, connect(fd, BAD_POINTER, server.len));
	want_rc(t, "null", -EFAULT, connect(fd, NULL, server.len));
	want_rc(t, "not-open", -EBADF, connect(800, &server.sa, server.len));
	want_rc(t, "minus-one", -EBADF, connect(-1, &server.sa, server.len));
	want_rc(t, "pipe", -ENOTSOCK, connect(pipes[1], &server.sa, server.len));
	want_rc(t, "good", 0, try_connect(fd, &server));
}

static void page_end(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);
	char *there = at_page_end(t, &server.sa, server.len);

	(void)listener;
	want_rc(t, "beyond", -EFAULT, connect(fd, (void *)(there + 1), server.len));
	want_rc(t, "longer", -EFAULT, connect(fd, (void *)there, server.len + 1));
	want_rc(t, "fits", 0, connect(fd, (void *)there, server.len));
	want_peer(t, "peer", "lo:server", fd);
}

static void unused_fields(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);

	(void)listener;
	if (t->v6) {
		server.in6.sin6_flowinfo = htonl(0x000fffff);
		server.in6.sin6_scope_id = LO_INDEX;
	} else {
		memset(server.in.sin_zero, 0xff, sizeof(server.in.sin_zero));
	}
	want_rc(t, "connect", 0, try_connect(fd, &server));
	see_peer(t, "peer", fd);
}

const struct test_case connect_address_cases[] = {
	{ "connect.to_any", ALL, to_any, "0.0.0.0 and [::] mean loopback" },
	{ "connect.mapped", V6 | EACH, mapped,
	  "::ffff:127.0.0.1 reaches an IPv4 server" },
	{ "connect.mapped_any", V6 | EACH, mapped_any, "::ffff:0.0.0.0 means 127.0.0.1" },
	{ "connect.mapped_v6only", V6 | EACH, mapped_v6only, "IPV6_V6ONLY: ENETUNREACH" },
	{ "connect.mapped_from_v6", V6 | EACH, mapped_from_v6,
	  "a mapped target from a socket bound to ::1" },
	{ "connect.unreachable", ALL, unreachable, "no route" },
	{ "connect.broadcast", V4 | DGRAM, broadcast, "needs SO_BROADCAST" },
	{ "connect.multicast", ALL, multicast, "a multicast address" },
	{ "connect.link_local", V6 | EACH, link_local, "fe80:: needs a scope" },
	{ "connect.port_zero", ALL, port_zero, "port 0" },
	{ "connect.lengths", ALL, lengths,
	  "every address length from 0 to 130, 1000 and -1" },
	{ "connect.wrong_family", ALL, wrong_family, "addresses of other families" },
	{ "connect.bad_arguments", ALL, bad_arguments, "bad pointers and descriptors" },
	{ "connect.page_end", ALL, page_end, "an address in the last bytes of a page" },
	{ "connect.unused_fields", ALL, unused_fields,
	  "garbage in sin_zero, sin6_flowinfo and scope" },
};
CASES(connect_address);
