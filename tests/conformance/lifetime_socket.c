/* SPDX-License-Identifier: GPL-2.0-or-later */
/* socket(): families, types and protocols, and the families graft leaves alone. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/un.h>

#include "topics.h"

#ifndef IPPROTO_MPTCP
#	define IPPROTO_MPTCP 262
#endif

struct triple {
	const char *key;
	int family;
	int type;
	int protocol;
};

/* What socket() says, and for a success what the socket says it is. */
static void see_triples(struct ctx *t, const struct triple *triples, size_t n_triples)
{
	char text[32];

	for (size_t i = 0; i < n_triples; i++) {
		int fd = socket(triples[i].family, triples[i].type, triples[i].protocol);

		if (fd < 0) {
			see(t, triples[i].key, "%s", rc_text(-1, errno, text));
			continue;
		}
		see(t, triples[i].key, "%d/%d/%d", get_int(fd, SOL_SOCKET, SO_DOMAIN),
		    get_int(fd, SOL_SOCKET, SO_TYPE),
		    get_int(fd, SOL_SOCKET, SO_PROTOCOL));
		close(fd);
	}
}

static void inet_triples(struct ctx *t)
{
	const int f = t->family;
	const struct triple triples[] = {
		{ "stream-tcp", f, SOCK_STREAM, IPPROTO_TCP },
		{ "stream-udp", f, SOCK_STREAM, IPPROTO_UDP },
		{ "dgram-udp", f, SOCK_DGRAM, IPPROTO_UDP },
		{ "dgram-tcp", f, SOCK_DGRAM, IPPROTO_TCP },
		{ "stream-odd", f, SOCK_STREAM, 200 },
		{ "dgram-odd", f, SOCK_DGRAM, 200 },
		{ "protocol-256", f, SOCK_STREAM, 256 },
		{ "protocol-negative", f, SOCK_STREAM, -1 },
		{ "protocol-low-byte-0", f, SOCK_STREAM, 0x10000 },
		{ "type-0", f, 0, 0 },
		{ "type-seqpacket", f, SOCK_SEQPACKET, 0 },
		{ "type-rdm", f, SOCK_RDM, 0 },
		{ "type-11", f, 11, 0 },
		{ "type-negative", f, -1, 0 },
		{ "odd-flag", f, SOCK_STREAM | 0x10, 0 },
		{ "flag-1", f, SOCK_STREAM | 04000 | 02000000, 0 },
		{ "mptcp", f, SOCK_STREAM, IPPROTO_MPTCP },
		{ "mptcp-dgram", f, SOCK_DGRAM, IPPROTO_MPTCP },
		{ "udplite", f, SOCK_DGRAM, IPPROTO_UDPLITE },
		{ "sctp", f, SOCK_STREAM, IPPROTO_SCTP },
		{ "dccp", f, SOCK_DCCP, IPPROTO_DCCP },
		{ "icmp-dgram", f, SOCK_DGRAM, t->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP },
		{ "icmp-other", f, SOCK_DGRAM, t->v6 ? IPPROTO_ICMP : IPPROTO_ICMPV6 },
	};

	see_triples(t, triples, ARRAY_SIZE(triples));
}

static void raw(struct ctx *t)
{
	const int f = t->family;
	const struct triple triples[] = {
		{ "raw", f, SOCK_RAW, IPPROTO_TCP },
		{ "icmp", f, SOCK_RAW, IPPROTO_ICMP },
		{ "zero", f, SOCK_RAW, 0 },
		{ "raw-255", f, SOCK_RAW, IPPROTO_RAW },
		{ "packet", AF_PACKET, SOCK_RAW, 0 },
		{ "packet-dgram", AF_PACKET, SOCK_DGRAM, 0 },
		{ "inet-packet", f, SOCK_PACKET, 0 },
	};

	see_triples(t, triples, ARRAY_SIZE(triples));
}

static void odd_families(struct ctx *t)
{
	const struct triple triples[] = {
		{ "unspec", AF_UNSPEC, SOCK_STREAM, 0 },
		{ "negative", -1, SOCK_STREAM, 0 },
		{ "max", AF_MAX, SOCK_STREAM, 0 },
		{ "ax25", AF_AX25, SOCK_DGRAM, 0 },
		{ "unix-stream", AF_UNIX, SOCK_STREAM, 0 },
		{ "unix-dgram", AF_UNIX, SOCK_DGRAM, 0 },
		{ "unix-seqpacket", AF_UNIX, SOCK_SEQPACKET, 0 },
		{ "unix-odd", AF_UNIX, SOCK_STREAM, 7 },
		{ "netlink", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE },
		{ "family-high-bits", AF_INET | 0x10000, SOCK_STREAM, 0 },
	};

	see_triples(t, triples, ARRAY_SIZE(triples));
}

static void flags(struct ctx *t)
{
	for (int i = 0; i < 4; i++) {
		int wanted = (i & 1 ? SOCK_NONBLOCK : 0) | (i & 2 ? SOCK_CLOEXEC : 0);
		int fd = socket(t->family, t->type | wanted, 0);

		want_int(t, "flags", O_RDWR | (i & 1 ? O_NONBLOCK : 0),
			 fcntl(fd, F_GETFL));
		want_int(t, "cloexec", i & 2 ? FD_CLOEXEC : 0, fcntl(fd, F_GETFD));
	}
}

static void ping(struct ctx *t)
{
	unsigned char echo[8] = { t->v6 ? 128 : 8 }, back[64];
	struct address to = at_lo(t, 0), from = { .len = sizeof(from.storage) };
	int fd = socket(t->family, SOCK_DGRAM, t->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);

	see_rc(t, "socket", fd < 0 ? -1 : 0);
	if (fd < 0)
		return;
	see_rc(t, "send", sendto(fd, echo, sizeof(echo), 0, &to.sa, to.len));
	see_rc(t, "recv", recvfrom(fd, back, sizeof(back), 0, &from.sa, &from.len));
	see_int(t, "type", back[0]);
	see_rc(t, "connect", connect(fd, &to.sa, to.len));
	see_int(t, "protocol", get_int(fd, SOL_SOCKET, SO_PROTOCOL));
}

static void multipath(struct ctx *t)
{
	struct address server = at_lo(t, 0);
	int listener = socket(t->family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
	int fd = socket(t->family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

	see_rc(t, "socket", fd < 0 ? -1 : 0);
	if (fd < 0)
		return;
	xbind(t, listener, &server);
	listen(listener, 4);
	server = name_of(t, listener);
	label(t, "server", port_of(&server));
	see_rc(t, "connect", connect(fd, &server.sa, server.len));
	see_peer(t, "peer", fd);
	exchange(t, "bytes", fd, take(t, listener));
	see_int(t, "protocol", get_int(fd, SOL_SOCKET, SO_PROTOCOL));
}

static void light_udp(struct ctx *t)
{
	struct address server = at_lo(t, 0);
	int receiver = socket(t->family, SOCK_DGRAM, IPPROTO_UDPLITE);
	int fd = socket(t->family, SOCK_DGRAM, IPPROTO_UDPLITE);
	char byte;

	see_rc(t, "socket", fd < 0 ? -1 : 0);
	if (fd < 0)
		return;
	xbind(t, receiver, &server);
	server = name_of(t, receiver);
	see_rc(t, "send", sendto(fd, "x", 1, 0, &server.sa, server.len));
	see_rc(t, "recv", recv(receiver, &byte, 1, 0));
	see_int(t, "protocol", get_int(fd, SOL_SOCKET, SO_PROTOCOL));
}

static void unix_path(struct ctx *t)
{
	struct sockaddr_un path = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, t->type | SOCK_CLOEXEC, 0);
	int fd = socket(AF_UNIX, t->type | SOCK_CLOEXEC, 0);
	socklen_t len;

	len = offsetof(struct sockaddr_un, sun_path) + 1 +
	      snprintf(path.sun_path + 1, 64, "graft-conformance-%d", getpid());
	want_rc(t, "bind", 0, bind(listener, (void *)&path, len));
	if (t->stream)
		want_rc(t, "listen", 0, listen(listener, 1));
	want_rc(t, "connect", 0, connect(fd, (void *)&path, len));
	want_rc(t, "send", 1, send(fd, "x", 1, 0));
	want_events(t, "arrives", POLLIN, polled(take(t, listener), POLLIN, true));
	fd = socket(AF_UNIX, t->type | SOCK_CLOEXEC, 0);
	path.sun_path[1] = '?';
	want_rc(t, "nobody", -ECONNREFUSED, connect(fd, (void *)&path, len));
	if (!t->stream)
		want_rc(t, "sendto", -ECONNREFUSED,
			sendto(fd, "x", 1, 0, (void *)&path, len));
}

static void unix_pair(struct ctx *t)
{
	int fds[2];

	want_rc(t, "socketpair", 0, socketpair(AF_UNIX, t->type, 0, fds));
	want_int(t, "next", fds[0] + 1, fds[1]);
	exchange(t, "bytes", fds[0], fds[1]);
	want_rc(t, "inet", -EOPNOTSUPP, socketpair(t->family, t->type, 0, fds));
}

static void netlink(struct ctx *t)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	struct {
		struct nlmsghdr header;
		struct rtgenmsg body;
	} request = { { sizeof(request), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 },
		      { AF_UNSPEC } };
	char room[8192] __attribute__((aligned(8)));
	const struct nlmsghdr *answer = (const void *)room;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	want_rc(t, "bind", 0, bind(fd, (void *)&address, sizeof(address)));
	want_rc(t, "send", sizeof(request),
		sendto(fd, &request, sizeof(request), 0, (void *)&address,
		       sizeof(address)));
	want(t, "recv", "some", "%s",
	     recv(fd, room, sizeof(room), 0) > 0 ? "some" : "none");
	want_int(t, "type", RTM_NEWLINK, answer->nlmsg_type);
}

const struct test_case lifetime_socket_cases[] = {
	{ "lifetime.triples", INET | STREAM, inet_triples,
	  "23 triples of family, type and protocol" },
	{ "lifetime.raw", INET | STREAM, raw, "raw and packet sockets" },
	{ "lifetime.odd_families", V4 | STREAM, odd_families,
	  "families that are none of graft's" },
	{ "lifetime.socket_flags", ALL, flags, "SOCK_NONBLOCK and SOCK_CLOEXEC" },
	{ "lifetime.ping", INET | DGRAM, ping, "an ICMP echo socket" },
	{ "lifetime.multipath", INET | STREAM, multipath, "MPTCP" },
	{ "lifetime.udplite", INET | DGRAM, light_udp, "UDP-Lite" },
	{ "lifetime.unix", V4 | EACH, unix_path, "AF_UNIX" },
	{ "lifetime.socketpair", ALL, unix_pair, "socketpair, AF_UNIX and AF_INET" },
	{ "lifetime.netlink", V4 | DGRAM, netlink, "AF_NETLINK" },
};
CASES(lifetime_socket);
