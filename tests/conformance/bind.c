/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bind(): addresses, lengths, pointers and what each refuses. */
#include <stdio.h>
#include <sys/un.h>

#include "topics.h"

#define IPV6_FREEBIND_ 78

static long try_bind(int fd, const struct address *address)
{
	return bind(fd, &address->sa, address->len);
}

static void port_zero(struct ctx *t)
{
	struct address address = at_lo(t, 0);
	int fd = xsocket(t);

	want_rc(t, "bind", 0, try_bind(fd, &address));
	want_name(t, "name", "lo:dyn", fd);
}

static void exact(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	int fd, peer = xsocket(t);

	label(t, "asked", t->port);
	fd = serve_at(t, &address, &address);
	want_name(t, "name", "lo:asked", fd);
	want_rc(t, "connect", 0, connect(peer, &address.sa, address.len));
	want_peer(t, "peer", "lo:asked", peer);
	want_rc(t, "send", 1, send(peer, "x", 1, 0));
	want_events(t, "arrives", POLLIN, polled(take(t, fd), POLLIN, true));
}

static void wildcard(struct ctx *t)
{
	struct address address = at_any(t, t->port), lo = at_lo(t, t->port);
	int fd, peer = xsocket(t);

	label(t, "asked", t->port);
	fd = serve_at(t, &address, &address);
	want_name(t, "name", "any:asked", fd);
	want_rc(t, "connect", 0, connect(peer, &lo.sa, lo.len));
	want_rc(t, "send", 1, send(peer, "x", 1, 0));
	fd = take(t, fd);
	want_events(t, "arrives", POLLIN, polled(fd, POLLIN, true));
	see_name(t, "serving", fd);
}

static void interface_address(struct ctx *t)
{
	struct address address = at_veth(t, t->port);
	int fd, peer = xsocket(t);

	label(t, "asked", t->port);
	fd = serve_at(t, &address, &address);
	want_name(t, "name", "veth:asked", fd);
	want_rc(t, "connect", 0, connect(peer, &address.sa, address.len));
	want_name(t, "source", "veth:dyn", peer);
	want_rc(t, "send", 1, send(peer, "x", 1, 0));
	want_events(t, "arrives", POLLIN, polled(take(t, fd), POLLIN, true));
}

static void second_loopback(struct ctx *t)
{
	struct address address = at_text("127.0.0.2", t->port), other = at_lo(t, t->port);
	int fd, peer = xsocket(t);

	label(t, "asked", t->port);
	fd = serve_at(t, &address, &address);
	want_name(t, "name", "lo2:asked", fd);
	want_rc(t, "connect", 0, connect(peer, &address.sa, address.len));
	want_peer(t, "peer", "lo2:asked", peer);
	fd = xsocket(t);
	want_rc(t, "beside", 0, try_bind(fd, &other));
}

static void link_local(struct ctx *t)
{
	struct address address = at_text("fe80::77", t->port);
	int fd = xsocket(t);

	label(t, "asked", t->port);
	want_rc(t, "no-scope", -EINVAL, try_bind(fd, &address));
	address.in6.sin6_scope_id = 999;
	see_rc(t, "bad-scope", try_bind(fd, &address));
	address.in6.sin6_scope_id = VETH_INDEX;
	want_rc(t, "scope", 0, try_bind(fd, &address));
	see_name(t, "name", fd);
}

static void twice(struct ctx *t)
{
	struct address address = at_lo(t, t->port), other = at_lo(t, t->port + 1);
	int fd = xsocket(t);

	label(t, "first", t->port);
	xbind(t, fd, &address);
	want_rc(t, "same", -EINVAL, try_bind(fd, &address));
	want_rc(t, "other", -EINVAL, try_bind(fd, &other));
	want_name(t, "name", "lo:first", fd);
}

static void retry(struct ctx *t)
{
	struct address address = at_lo(t, t->port), nowhere = at_nowhere(t, t->port);
	int owner = xsocket(t), fd = xsocket(t);

	xbind(t, owner, &address);
	want_rc(t, "in-use", -EADDRINUSE, try_bind(fd, &address));
	want_rc(t, "not-here", -EADDRNOTAVAIL, try_bind(fd, &nowhere));
	want_name(t, "still", "any:0", fd);
	address = at_lo(t, t->port + 1);
	label(t, "second", t->port + 1);
	want_rc(t, "retry", 0, try_bind(fd, &address));
	want_name(t, "name", "lo:second", fd);
}

static void lengths(struct ctx *t)
{
	union {
		struct address address;
		char bytes[2048];
	} room = { .bytes = { 0 } };
	int results[131], fd;

	room.address = at_lo(t, 0);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		fd = xsocket(t);
		results[i] = bind(fd, &room.address.sa, i) < 0 ? -errno : 0;
		close(fd);
	}
	see_map(t, "length", results, ARRAY_SIZE(results));
	fd = xsocket(t);
	want_rc(t, "none", -EINVAL, bind(fd, &room.address.sa, 0));
	want_rc(t, "1000", -EINVAL, bind(fd, &room.address.sa, 1000));
	want_rc(t, "negative", -EINVAL, bind(fd, &room.address.sa, (socklen_t)-1));
	want_name(t, "still", "any:0", fd);
}

static void wrong_family(struct ctx *t)
{
	struct sockaddr_un path = { .sun_family = AF_UNIX, .sun_path = "nothing" };
	struct address other = at_text(t->v6 ? "127.0.0.1" : "::1", 0);
	struct address unspec = at_any(t, t->port), unspec_lo = at_lo(t, t->port + 1);
	struct address odd = at_lo(t, 0);
	int fd = xsocket(t);

	unspec.sa.sa_family = AF_UNSPEC;
	unspec_lo.sa.sa_family = AF_UNSPEC;
	odd.sa.sa_family = 250;
	see_rc(t, "other", try_bind(fd, &other));
	want_rc(t, "unix", -EAFNOSUPPORT, bind(fd, (void *)&path, sizeof(path)));
	want_rc(t, "odd", -EAFNOSUPPORT, try_bind(fd, &odd));
	see_rc(t, "unspec-lo", try_bind(fd, &unspec_lo));
	see_rc(t, "unspec-any", try_bind(fd, &unspec));
	label(t, "asked", t->port);
	see_name(t, "name", fd);
}

static void not_local(struct ctx *t)
{
	struct address address = at_nowhere(t, t->port);
	int fd = xsocket(t);

	want_rc(t, "nowhere", -EADDRNOTAVAIL, try_bind(fd, &address));
	address = at_text(t->v6 ? "ff02::fb" : "224.0.0.251", t->port);
	if (t->v6)
		address.in6.sin6_scope_id = VETH_INDEX;
	see_rc(t, "multicast", try_bind(fd, &address));
}

static void broadcast(struct ctx *t)
{
	struct address address = at_text("10.77.0.255", t->port);
	int fd = xsocket(t);

	see_rc(t, "subnet", try_bind(fd, &address));
	fd = xsocket(t);
	address = at_text("255.255.255.255", t->port);
	see_rc(t, "all", try_bind(fd, &address));
}

static void freebind(struct ctx *t)
{
	struct address address = at_nowhere(t, t->port);
	int fd = xsocket(t);

	label(t, "asked", t->port);
	set_int(t, fd, t->v6 ? SOL_IPV6 : SOL_IP, t->v6 ? IPV6_FREEBIND_ : IP_FREEBIND,
		1);
	want_rc(t, "bind", 0, try_bind(fd, &address));
	want_name(t, "name", "nowhere:asked", fd);
}

static void late_port(struct ctx *t)
{
	struct address address = at_lo(t, 0), server;
	int listener = serve(t, &server), fd = xsocket(t);

	(void)listener;
	set_int(t, fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	want_rc(t, "bind", 0, try_bind(fd, &address));
	see_name(t, "bound", fd);
	want_rc(t, "connect", 0, connect(fd, &server.sa, server.len));
	want_name(t, "connected", "lo:dyn", fd);
}

static void privileged(struct ctx *t)
{
	struct address address = at_lo(t, 110);
	int fd = xsocket(t);

	see_rc(t, "110", try_bind(fd, &address));
	address = at_lo(t, 1023);
	fd = xsocket(t);
	see_rc(t, "1023", try_bind(fd, &address));
	address = at_lo(t, 1024);
	fd = xsocket(t);
	want_rc(t, "1024", 0, try_bind(fd, &address));
}

static void after_connect(struct ctx *t)
{
	struct address server, address = at_lo(t, t->port), unspec = at_lo(t, 0);
	int listener = serve(t, &server), fd = xsocket(t);

	(void)listener;
	label(t, "asked", t->port);
	xconnect(t, fd, &server);
	want_rc(t, "connected", -EINVAL, try_bind(fd, &address));
	unspec.sa.sa_family = AF_UNSPEC;
	want_rc(t, "disconnect", 0, connect(fd, &unspec.sa, unspec.len));
	see_rc(t, "disconnected", try_bind(fd, &address));
	see_name(t, "name", fd);
}

static void bad_arguments(struct ctx *t)
{
	struct address address = at_lo(t, 0);
	int fd = xsocket(t), pipes[2];

	if (pipe(pipes) < 0)
		give_up(t, "pipe");
	want_rc(t, "pointer", -EFAULT, bind(fd, BAD_POINTER, address.len));
	want_rc(t, "null", -EFAULT, bind(fd, NULL, address.len));
	want_rc(t, "not-open", -EBADF, bind(800, &address.sa, address.len));
	want_rc(t, "minus-one", -EBADF, bind(-1, &address.sa, address.len));
	want_rc(t, "pipe", -ENOTSOCK, bind(pipes[0], &address.sa, address.len));
	close(fd);
	want_rc(t, "closed", -EBADF, bind(fd, &address.sa, address.len));
	fd = open("/", O_PATH | O_CLOEXEC);
	want_rc(t, "o-path", -EBADF, bind(fd, &address.sa, address.len));
}

static void page_end(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	char *there = at_page_end(t, &address.sa, address.len);
	int fd = xsocket(t);

	label(t, "asked", t->port);
	want_rc(t, "beyond", -EFAULT, bind(fd, (void *)(there + 1), address.len));
	want_rc(t, "longer", -EFAULT, bind(fd, (void *)there, address.len + 1));
	want_rc(t, "fits", 0, bind(fd, (void *)there, address.len));
	want_name(t, "name", "lo:asked", fd);
}

static void unused_fields(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	int fd = xsocket(t);

	label(t, "asked", t->port);
	if (t->v6)
		address.in6.sin6_flowinfo = htonl(0x000fffff);
	else
		memset(address.in.sin_zero, 0xff, sizeof(address.in.sin_zero));
	want_rc(t, "bind", 0, try_bind(fd, &address));
	want_name(t, "name", "lo:asked", fd);
}

static void mapped(struct ctx *t)
{
	struct address address = at_mapped(t->port), v4 = at_text("127.0.0.1", t->port);
	int fd, peer = xsocket_of(t, AF_INET, t->type);

	label(t, "asked", t->port);
	fd = serve_at(t, &address, &address);
	want_name(t, "name", "mapped-lo:asked", fd);
	want_rc(t, "connect", 0, connect(peer, &v4.sa, v4.len));
	want_rc(t, "send", 1, send(peer, "x", 1, 0));
	fd = take(t, fd);
	want_events(t, "arrives", POLLIN, polled(fd, POLLIN, true));
	want_name(t, "serving", "mapped-lo:asked", fd);
	peer = xsocket_of(t, AF_INET, t->type);
	want_rc(t, "v4-beside", -EADDRINUSE, bind(peer, &v4.sa, v4.len));
}

static void mapped_any(struct ctx *t)
{
	struct address address = at_text("::ffff:0.0.0.0", t->port);
	struct address v6 = at_lo(t, t->port);
	int fd = xsocket(t), other = xsocket(t);

	label(t, "asked", t->port);
	want_rc(t, "bind", 0, try_bind(fd, &address));
	want_name(t, "name", "mapped-any:asked", fd);
	want_rc(t, "v6-beside", 0, try_bind(other, &v6));
}

static void mapped_v6only(struct ctx *t)
{
	struct address address = at_mapped(t->port);
	int fd = xsocket(t);

	set_int(t, fd, SOL_IPV6, IPV6_V6ONLY, 1);
	want_rc(t, "bind", -EINVAL, try_bind(fd, &address));
}

const struct test_case bind_cases[] = {
	{ "bind.port_zero", ALL, port_zero, "port 0 becomes a real port" },
	{ "bind.exact", ALL, exact, "one address and port, reached by a peer" },
	{ "bind.wildcard", ALL, wildcard, "0.0.0.0 and [::], reached over loopback" },
	{ "bind.interface_address", ALL, interface_address,
	  "an address of another interface than lo" },
	{ "bind.second_loopback", V4 | EACH, second_loopback,
	  "127.0.0.2 beside 127.0.0.1 on the same port" },
	{ "bind.link_local", V6 | EACH, link_local,
	  "fe80:: with, without and with a bad scope" },
	{ "bind.twice", ALL, twice, "a bound socket is not bound again" },
	{ "bind.retry", ALL, retry, "after a failed bind another address works" },
	{ "bind.lengths", ALL, lengths,
	  "every address length from 0 to 130, 1000 and -1" },
	{ "bind.wrong_family", ALL, wrong_family, "addresses of other families" },
	{ "bind.not_local", ALL, not_local, "addresses this host does not have" },
	{ "bind.broadcast", V4 | EACH, broadcast, "broadcast addresses" },
	{ "bind.freebind", ALL, freebind, "IP_FREEBIND lifts the check" },
	{ "bind.late_port", ALL, late_port,
	  "IP_BIND_ADDRESS_NO_PORT chooses at connect" },
	{ "bind.privileged", ALL, privileged, "ports below 1024" },
	{ "bind.after_connect", ALL, after_connect,
	  "while connected and after AF_UNSPEC" },
	{ "bind.bad_arguments", ALL, bad_arguments, "bad pointers and descriptors" },
	{ "bind.page_end", ALL, page_end, "an address in the last bytes of a page" },
	{ "bind.unused_fields", ALL, unused_fields,
	  "garbage in sin_zero or sin6_flowinfo" },
	{ "bind.mapped", V6 | EACH, mapped, "::ffff:127.0.0.1 serves IPv4" },
	{ "bind.mapped_any", V6 | EACH, mapped_any, "::ffff:0.0.0.0 leaves IPv6 free" },
	{ "bind.mapped_v6only", V6 | EACH, mapped_v6only,
	  "IPV6_V6ONLY refuses mapped addresses" },
};
CASES(bind);
