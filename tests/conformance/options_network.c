/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options that reach into the network: groups, error queues, TCP's own state. */
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>

#include "topics.h"

static const char *group_text(const struct ctx *t)
{
	return t->v6 ? "ff02::4:77" : "239.77.0.1";
}

static long join(const struct ctx *t, int fd, int index, bool leave)
{
	struct ip_mreqn v4 = { .imr_ifindex = index };
	struct ipv6_mreq v6 = { .ipv6mr_interface = index };

	v4.imr_multiaddr = at_text("239.77.0.1", 0).in.sin_addr;
	v6.ipv6mr_multiaddr = at_text("ff02::4:77", 0).in6.sin6_addr;
	if (t->v6)
		return setsockopt(fd, SOL_IPV6,
				  leave ? IPV6_LEAVE_GROUP : IPV6_JOIN_GROUP, &v6,
				  sizeof(v6));
	return setsockopt(fd, SOL_IP, leave ? IP_DROP_MEMBERSHIP : IP_ADD_MEMBERSHIP, &v4,
			  sizeof(v4));
}

static long send_through(const struct ctx *t, int fd, int index)
{
	struct ip_mreqn v4 = { .imr_ifindex = index };

	if (t->v6)
		return setsockopt(fd, SOL_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index));
	return setsockopt(fd, SOL_IP, IP_MULTICAST_IF, &v4, sizeof(v4));
}

static void multicast_over(struct ctx *t, int index)
{
	struct address any = at_any(t, 0), group;
	int receiver = xsocket(t), fd = xsocket(t);
	char byte;

	want_rc(t, "join", 0, join(t, receiver, index, false));
	want_rc(t, "join-twice", -EADDRINUSE, join(t, receiver, index, false));
	xbind(t, receiver, &any);
	any = name_of(t, receiver);
	group = at_text(group_text(t), port_of(&any));
	want_rc(t, "through", 0, send_through(t, fd, index));
	want_rc(t, "send", 1, sendto(fd, "x", 1, 0, &group.sa, group.len));
	want_rc(t, "recv", 1, recv(receiver, &byte, 1, 0));
	want_rc(t, "leave", 0, join(t, receiver, index, true));
	want_rc(t, "leave-twice", -EADDRNOTAVAIL, join(t, receiver, index, true));
}

static void multicast_lo(struct ctx *t)
{
	multicast_over(t, LO_INDEX);
}

static void multicast_veth(struct ctx *t)
{
	multicast_over(t, VETH_INDEX);
}

static void multicast_late(struct ctx *t)
{
	struct address group = at_text(group_text(t), 0);
	/* [::1]'s interface has no route for groups. */
	const int index = t->v6 ? VETH_INDEX : LO_INDEX;
	int receiver = xsocket(t), fd = xsocket(t);
	char byte;

	if (t->v6)
		group.in6.sin6_scope_id = index;
	xbind(t, receiver, &group);
	group = name_of(t, receiver);
	want_rc(t, "join", 0, join(t, receiver, index, false));
	want_rc(t, "through", 0, send_through(t, fd, index));
	want_rc(t, "send", 1, sendto(fd, "x", 1, 0, &group.sa, group.len));
	want_rc(t, "recv", 1, recv(receiver, &byte, 1, 0));
}

static void multicast_no_device(struct ctx *t)
{
	int fd = xsocket(t);

	want_rc(t, "join", -ENODEV, join(t, fd, 999, false));
	see_rc(t, "through", send_through(t, fd, 999));
	want_rc(t, "leave", -EADDRNOTAVAIL, join(t, fd, 999, true));
}

static void error_queue(struct ctx *t)
{
	union {
		struct cmsghdr align;
		char bytes[256];
	} control;
	struct address closed = closed_port(t), to = { .len = 0 };
	char room[8] = "";
	struct iovec part = { room, sizeof(room) };
	struct msghdr message = { &to.storage, sizeof(to.storage), &part, 1,
				  &control,    sizeof(control),    0 };
	const struct sock_extended_err *error;
	const struct cmsghdr *first;
	int fd = xsocket(t);

	set_int(t, fd, t->v6 ? SOL_IPV6 : SOL_IP, t->v6 ? IPV6_RECVERR : IP_RECVERR, 1);
	want_rc(t, "send", 5, sendto(fd, "graft", 5, 0, &closed.sa, closed.len));
	want_events(t, "poll", POLLERR, polled(fd, POLLIN, true));
	want_rc(t, "recv", -ECONNREFUSED, recv(fd, room, 1, MSG_DONTWAIT));
	want_rc(t, "queue", 5, recvmsg(fd, &message, MSG_ERRQUEUE));
	want(t, "text", "graft", "%.5s", room);
	to.len = message.msg_namelen;
	want_address(t, "to", "lo:closed", &to);
	first = CMSG_FIRSTHDR(&message);
	if (!first)
		give_up(t, "no-message");
	error = (const void *)CMSG_DATA(first);
	want_int(t, "errno", ECONNREFUSED, error->ee_errno);
	want_int(t, "origin", t->v6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP,
		 error->ee_origin);
	want_int(t, "code", t->v6 ? ICMP6_DST_UNREACH_NOPORT : ICMP_PORT_UNREACH,
		 error->ee_code);
	want_rc(t, "empty", -EAGAIN, recvmsg(fd, &message, MSG_ERRQUEUE));
}

static int tcp_state(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_TCP, TCP_INFO, &info, &len) < 0)
		return -errno;
	return info.tcpi_state;
}

static void tcp_states(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t), peer;
	char byte;

	want_int(t, "fresh", TCP_CLOSE, tcp_state(fd));
	want_int(t, "listener", TCP_LISTEN, tcp_state(listener));
	xconnect(t, fd, &server);
	peer = take(t, listener);
	want_int(t, "connected", TCP_ESTABLISHED, tcp_state(fd));
	shutdown(fd, SHUT_WR);
	want_rc(t, "end", 0, recv(peer, &byte, 1, 0));
	want_int(t, "peer", TCP_CLOSE_WAIT, tcp_state(peer));
}

static void congestion(struct ctx *t)
{
	struct address server;
	char name[16] = "";
	socklen_t len = sizeof(name);
	int listener = serve(t, &server), fd = xsocket(t);

	(void)listener;
	want_rc(t, "unknown", -ENOENT,
		setsockopt(fd, SOL_TCP, TCP_CONGESTION, "graft", 5));
	want_rc(t, "reno", 0, setsockopt(fd, SOL_TCP, TCP_CONGESTION, "reno", 4));
	xconnect(t, fd, &server);
	want_rc(t, "get", 0, getsockopt(fd, SOL_TCP, TCP_CONGESTION, name, &len));
	want(t, "name", "reno", "%s", name);
	want_rc(t, "later", 0, setsockopt(fd, SOL_TCP, TCP_CONGESTION, "reno", 4));
}

static void corked(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t), peer;
	char room[8];

	set_int(t, fd, SOL_TCP, TCP_CORK, 1);
	xconnect(t, fd, &server);
	peer = take(t, listener);
	send(fd, "gra", 3, 0);
	want_events(t, "held", 0, polled(peer, POLLIN, false));
	send(fd, "ft", 2, 0);
	set_int(t, fd, SOL_TCP, TCP_CORK, 0);
	want_rc(t, "at-once", 5, recv(peer, room, sizeof(room), 0));
}

static void segment_size(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t), peer;

	see_int(t, "fresh", get_int(fd, SOL_TCP, TCP_MAXSEG));
	set_int(t, fd, SOL_TCP, TCP_MAXSEG, 700);
	xconnect(t, fd, &server);
	peer = take(t, listener);
	see_int(t, "connected", get_int(fd, SOL_TCP, TCP_MAXSEG));
	see_int(t, "peer", get_int(peer, SOL_TCP, TCP_MAXSEG));
}

static void to_ipv4(struct ctx *t)
{
	struct address server = at_text("127.0.0.1", 0), mapped;
	int listener = serve_at(t, &server, &server), fd = xsocket(t), inet = AF_INET;

	(void)listener;
	label(t, "server", port_of(&server));
	mapped = at_mapped(port_of(&server));
	xconnect(t, fd, &mapped);
	want_rc(t, "set", 0,
		setsockopt(fd, SOL_IPV6, IPV6_ADDRFORM, &inet, sizeof(inet)));
	want_int(t, "domain", AF_INET, get_int(fd, SOL_SOCKET, SO_DOMAIN));
	want_peer(t, "peer", "lo:server", fd);
}

static void path_mtu(struct ctx *t)
{
	struct address lo, veth = at_veth(t, 0);
	int level = t->v6 ? SOL_IPV6 : SOL_IP, name = t->v6 ? IPV6_MTU : IP_MTU;
	int listener = serve(t, &lo), fd = xsocket(t), other = serve_at(t, &veth, &veth);

	(void)listener, (void)other;
	xconnect(t, fd, &lo);
	want_int(t, "lo", t->v6 ? 65536 : 65535, get_int(fd, level, name));
	fd = xsocket(t);
	see_rc(t, "connect", connect(fd, &veth.sa, veth.len));
	see_int(t, "veth", get_int(fd, level, name));
}

static void hops_carried(struct ctx *t)
{
	union {
		struct cmsghdr align;
		char bytes[64];
	} control;
	int level = t->v6 ? SOL_IPV6 : SOL_IP, ttl = -1;
	char byte;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { NULL, 0, &part, 1, &control, sizeof(control), 0 };
	struct address server;
	int receiver = serve(t, &server), fd = xsocket(t);

	set_int(t, receiver, level, t->v6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1);
	set_int(t, fd, level, t->v6 ? IPV6_UNICAST_HOPS : IP_TTL, 5);
	xconnect(t, fd, &server);
	send(fd, "x", 1, 0);
	want_rc(t, "recv", 1, recvmsg(receiver, &message, 0));
	if (CMSG_FIRSTHDR(&message))
		memcpy(&ttl, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(ttl));
	want_int(t, "hops", 5, ttl);
}

const struct test_case options_network_cases[] = {
	{ "options.multicast_lo", V4 | DGRAM, multicast_lo,
	  "join before bind, send and receive on lo" },
	{ "options.multicast_interface", INET | DGRAM, multicast_veth,
	  "the same on another interface" },
	{ "options.multicast_late", INET | DGRAM, multicast_late,
	  "bound to the group, joined after" },
	{ "options.multicast_no_device", INET | DGRAM, multicast_no_device,
	  "an interface that does not exist" },
	{ "options.error_queue", INET | DGRAM, error_queue,
	  "IP_RECVERR: what the queue tells" },
	{ "options.tcp_states", INET | STREAM, tcp_states, "TCP_INFO: states" },
	{ "options.congestion", INET | STREAM, congestion,
	  "TCP_CONGESTION before and after connect" },
	{ "options.cork", INET | STREAM, corked,
	  "TCP_CORK set before connect holds back" },
	{ "options.segment_size", INET | STREAM, segment_size,
	  "TCP_MAXSEG before connect" },
	{ "options.to_ipv4", V6 | EACH, to_ipv4,
	  "IPV6_ADDRFORM turns a mapped socket into IPv4" },
	{ "options.path_mtu", ALL, path_mtu, "IP_MTU of lo and of another interface" },
	{ "options.hops_carried", INET | DGRAM, hops_carried,
	  "IP_TTL set before connect is on the wire" },
};
CASES(options_network);
