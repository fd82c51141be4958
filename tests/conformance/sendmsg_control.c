/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control messages: packet information, segments, descriptors, credentials. */
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>

#include "topics.h"

#ifndef UDP_SEGMENT
#	define UDP_SEGMENT 103
#endif

union control {
	struct cmsghdr align;
	char bytes[256];
};

static void put(struct msghdr *message, int level, int type, const void *data,
		size_t size)
{
	struct cmsghdr *one;

	memset(message->msg_control, 0, CMSG_SPACE(size));
	message->msg_controllen = CMSG_SPACE(size);
	one = CMSG_FIRSTHDR(message);
	one->cmsg_level = level;
	one->cmsg_type = type;
	one->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(one), data, size);
}

static const void *get(struct msghdr *message, int level, int type)
{
	for (struct cmsghdr *one = CMSG_FIRSTHDR(message); one;
	     one = CMSG_NXTHDR(message, one))
		if (one->cmsg_level == level && one->cmsg_type == type)
			return CMSG_DATA(one);
	return NULL;
}

static void want_source(struct ctx *t, const char *key, const char *expected, int fd)
{
	struct address from = { .len = sizeof(from.storage) };
	char byte;

	if (recvfrom(fd, &byte, 1, 0, &from.sa, &from.len) < 0)
		give_up(t, key);
	want_address(t, key, expected, &from);
}

static void source_v4(struct ctx *t)
{
	struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(0x7f000002) };
	struct address server;
	union control control;
	struct iovec part = { (void *)"x", 1 };
	struct msghdr message = { &server.sa, 0, &part, 1, &control, sizeof(control), 0 };
	int receiver = serve(t, &server), fd = xsocket(t);

	message.msg_namelen = server.len;
	put(&message, SOL_IP, IP_PKTINFO, &info, sizeof(info));
	want_rc(t, "send", 1, sendmsg(fd, &message, 0));
	want_source(t, "source", "lo2:dyn", receiver);
	info.ipi_ifindex = LO_INDEX;
	put(&message, SOL_IP, IP_PKTINFO, &info, sizeof(info));
	want_rc(t, "on-lo", 1, sendmsg(fd, &message, 0));
	want_source(t, "source-2", "lo2:dyn", receiver);
	info.ipi_spec_dst.s_addr = htonl(0xc0000201);
	put(&message, SOL_IP, IP_PKTINFO, &info, sizeof(info));
	see_rc(t, "nowhere", sendmsg(fd, &message, 0));
	info = (struct in_pktinfo){ .ipi_ifindex = 999 };
	put(&message, SOL_IP, IP_PKTINFO, &info, sizeof(info));
	see_rc(t, "no-device", sendmsg(fd, &message, 0));
}

static void source_v6(struct ctx *t)
{
	struct in6_pktinfo info = { .ipi6_addr = IN6ADDR_LOOPBACK_INIT };
	struct address server, veth = at_veth(t, 0);
	union control control;
	struct iovec part = { (void *)"x", 1 };
	struct msghdr message = { &server.sa, 0, &part, 1, &control, sizeof(control), 0 };
	int receiver = serve(t, &server), fd = xsocket(t);

	message.msg_namelen = server.len;
	put(&message, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	want_rc(t, "send", 1, sendmsg(fd, &message, 0));
	want_source(t, "source", "lo:dyn", receiver);
	info.ipi6_addr = veth.in6.sin6_addr;
	put(&message, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	see_rc(t, "other-source", sendmsg(fd, &message, 0));
	if (polled(receiver, POLLIN, false))
		want_source(t, "source-2", "veth:dyn", receiver);
	info.ipi6_addr = at_nowhere(t, 0).in6.sin6_addr;
	put(&message, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	see_rc(t, "nowhere", sendmsg(fd, &message, 0));
	info.ipi6_ifindex = 999;
	put(&message, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	want_rc(t, "no-device", -ENODEV, sendmsg(fd, &message, 0));
}

static void source(struct ctx *t)
{
	if (t->v6)
		source_v6(t);
	else
		source_v4(t);
}

static void see_destination(struct ctx *t, const char *key, int receiver)
{
	union control control;
	char byte, key_index[32];
	struct iovec part = { &byte, 1 };
	struct msghdr message = { NULL, 0, &part, 1, &control, sizeof(control), 0 };
	struct address to = at_any(t, 0);
	const struct in_pktinfo *v4;
	const struct in6_pktinfo *v6;
	int index = 0;

	if (recvmsg(receiver, &message, 0) < 0)
		give_up(t, key);
	v4 = get(&message, SOL_IP, IP_PKTINFO);
	v6 = get(&message, SOL_IPV6, IPV6_PKTINFO);
	if (v4 && !t->v6) {
		to.in.sin_addr = v4->ipi_addr;
		index = v4->ipi_ifindex;
	} else if (v6) {
		to.in6.sin6_addr = v6->ipi6_addr;
		index = (int)v6->ipi6_ifindex;
	}
	see_address(t, key, &to);
	snprintf(key_index, sizeof(key_index), "%s-index", key);
	see_int(t, key_index, index);
}

static void destination(struct ctx *t)
{
	struct address server = at_any(t, 0), lo, veth;
	int receiver = serve_at(t, &server, &server), fd = xsocket(t);

	set_int(t, receiver, t->v6 ? SOL_IPV6 : SOL_IP,
		t->v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1);
	lo = at_lo(t, port_of(&server));
	veth = at_veth(t, port_of(&server));
	want_rc(t, "send", 1, sendto(fd, "x", 1, 0, &lo.sa, lo.len));
	see_destination(t, "lo", receiver);
	want_rc(t, "send-2", 1, sendto(fd, "x", 1, 0, &veth.sa, veth.len));
	see_destination(t, "veth", receiver);
}

static void mapped_destination(struct ctx *t)
{
	struct address server = at_any(t, 0), v4;
	int receiver = serve_at(t, &server, &server),
	    fd = xsocket_of(t, AF_INET, t->type);

	set_int(t, receiver, SOL_IPV6, IPV6_RECVPKTINFO, 1);
	v4 = at_text("127.0.0.2", port_of(&server));
	want_rc(t, "send", 1, sendto(fd, "x", 1, 0, &v4.sa, v4.len));
	see_destination(t, "to", receiver);
}

static void hops(struct ctx *t)
{
	int level = t->v6 ? SOL_IPV6 : SOL_IP, ttl = 7, tos = 0x28;
	struct address server;
	union control control;
	char byte;
	struct iovec part = { (void *)"x", 1 };
	struct msghdr message = { &server.sa, 0, &part, 1, &control, sizeof(control), 0 };
	int receiver = serve(t, &server), fd = xsocket(t);
	const int *value;

	message.msg_namelen = server.len;
	set_int(t, receiver, level, t->v6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1);
	set_int(t, receiver, level, t->v6 ? IPV6_RECVTCLASS : IP_RECVTOS, 1);
	set_int(t, fd, level, t->v6 ? IPV6_TCLASS : IP_TOS, tos);
	put(&message, level, t->v6 ? IPV6_HOPLIMIT : IP_TTL, &ttl, sizeof(ttl));
	want_rc(t, "send", 1, sendmsg(fd, &message, 0));
	part = (struct iovec){ &byte, 1 };
	message = (struct msghdr){ NULL, 0, &part, 1, &control, sizeof(control), 0 };
	want_rc(t, "recv", 1, recvmsg(receiver, &message, 0));
	value = get(&message, level, t->v6 ? IPV6_HOPLIMIT : IP_TTL);
	want_int(t, "hops", ttl, value ? *value : -1);
	value = get(&message, level, t->v6 ? IPV6_TCLASS : IP_TOS);
	want_int(t, "class", tos, value ? *(const unsigned char *)value : -1);
}

static void segments(struct ctx *t)
{
	static char room[1500];
	uint16_t size = 500;
	struct address server;
	union control control;
	struct iovec part = { room, sizeof(room) };
	struct msghdr message = { &server.sa, 0, &part, 1, &control, sizeof(control), 0 };
	int receiver = serve(t, &server), fd = xsocket(t);

	message.msg_namelen = server.len;
	put(&message, SOL_UDP, UDP_SEGMENT, &size, sizeof(size));
	want_rc(t, "send", 1500, sendmsg(fd, &message, 0));
	for (int i = 0; i < 3; i++)
		want_rc(t, "recv", 500, recv(receiver, room, sizeof(room), 0));
	want_rc(t, "no-more", -EAGAIN, recv(receiver, room, sizeof(room), MSG_DONTWAIT));
}

static void odd_messages(struct ctx *t)
{
	int value = 1;
	struct address server;
	union control control;
	struct iovec part = { (void *)"x", 1 };
	struct msghdr message = { &server.sa, 0, &part, 1, &control, sizeof(control), 0 };
	int receiver = serve(t, &server), fd = xsocket(t);

	(void)receiver;
	message.msg_namelen = server.len;
	put(&message, t->v6 ? SOL_IPV6 : SOL_IP, 200, &value, sizeof(value));
	want_rc(t, "unknown", -EINVAL, sendmsg(fd, &message, 0));
	put(&message, SOL_TCP, 200, &value, sizeof(value));
	want_rc(t, "other-level", 1, sendmsg(fd, &message, 0));
	control.align.cmsg_len = 1;
	want_rc(t, "short", -EINVAL, sendmsg(fd, &message, 0));
	message.msg_control = BAD_POINTER;
	want_rc(t, "pointer", -EFAULT, sendmsg(fd, &message, 0));
	message.msg_controllen = (size_t)1 << 40;
	want_rc(t, "huge", -ENOBUFS, sendmsg(fd, &message, 0));
}

static void give_fd(struct ctx *t, int via, int fd)
{
	union control control;
	struct iovec part = { (void *)"x", 1 };
	struct msghdr message = { NULL, 0, &part, 1, &control, sizeof(control), 0 };

	put(&message, SOL_SOCKET, SCM_RIGHTS, &fd, sizeof(fd));
	if (sendmsg(via, &message, 0) < 0)
		give_up(t, "give");
}

static int get_fd(struct ctx *t, int via)
{
	union control control;
	char byte;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { NULL, 0, &part, 1, &control, sizeof(control), 0 };
	const int *fd;

	if (recvmsg(via, &message, MSG_CMSG_CLOEXEC) < 0)
		give_up(t, "get");
	fd = get(&message, SOL_SOCKET, SCM_RIGHTS);
	if (!fd)
		give_up(t, "no-descriptor");
	return *fd;
}

static void rights_fresh(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), pair[2], fd;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		give_up(t, "socketpair");
	pid = fork();
	if (pid == 0) {
		fd = get_fd(t, pair[1]);
		want_rc(t, "connect", 0, connect(fd, &server.sa, server.len));
		give_fd(t, pair[1], fd);
		_exit(0);
	}
	fd = xsocket(t);
	give_fd(t, pair[0], fd);
	close(fd);
	fd = get_fd(t, pair[0]);
	want_int(t, "child", 0, child_status(pid));
	want_peer(t, "peer", "lo:server", fd);
	want_rc(t, "send", 1, send(fd, "x", 1, 0));
	want_events(t, "arrives", POLLIN, polled(take(t, listener), POLLIN, true));
}

static void rights_shared(struct ctx *t)
{
	struct address address = at_lo(t, t->port);
	int pair[2], fd = xsocket(t);
	pid_t pid;

	label(t, "asked", t->port);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		give_up(t, "socketpair");
	pid = fork();
	if (pid == 0) {
		close(fd);
		fd = get_fd(t, pair[1]);
		_exit(bind(fd, &address.sa, address.len) < 0 ? errno : 0);
	}
	give_fd(t, pair[0], fd);
	want_int(t, "child-binds", 0, child_status(pid));
	want_name(t, "name-here", "lo:asked", fd);
}

static void rights_connected(struct ctx *t)
{
	int pair[2], fds[2], fd;

	connected_pair(t, fds);
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
		give_up(t, "socketpair");
	give_fd(t, pair[0], fds[0]);
	close(fds[0]);
	fd = get_fd(t, pair[1]);
	want_peer(t, "peer", "lo:server", fd);
	exchange(t, "bytes", fd, fds[1]);
}

static void credentials(struct ctx *t)
{
	union control control;
	char byte;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { NULL, 0, &part, 1, &control, sizeof(control), 0 };
	const struct ucred *who;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		give_up(t, "socketpair");
	set_int(t, pair[1], SOL_SOCKET, SO_PASSCRED, 1);
	want_rc(t, "send", 1, send(pair[0], "x", 1, 0));
	want_rc(t, "recv", 1, recvmsg(pair[1], &message, 0));
	who = get(&message, SOL_SOCKET, SCM_CREDENTIALS);
	if (!who)
		give_up(t, "no-credentials");
	want(t, "pid", "own", "%s", who->pid == getpid() ? "own" : "other");
	want(t, "uid", "own", "%s", who->uid == getuid() ? "own" : "other");
	want(t, "gid", "own", "%s", who->gid == getgid() ? "own" : "other");
}

const struct test_case sendmsg_control_cases[] = {
	{ "sendmsg.source", INET | DGRAM, source, "IP_PKTINFO chooses the source" },
	{ "recvmsg.destination", INET | DGRAM, destination,
	  "IP_PKTINFO tells the destination" },
	{ "recvmsg.mapped_destination", V6 | DGRAM, mapped_destination,
	  "IPV6_PKTINFO of an IPv4 datagram" },
	{ "sendmsg.hops", INET | DGRAM, hops, "hop limit and traffic class, both ways" },
	{ "sendmsg.segments", INET | DGRAM, segments,
	  "UDP_SEGMENT cuts one send in three" },
	{ "sendmsg.odd_messages", INET | DGRAM, odd_messages,
	  "unknown, short and huge control messages" },
	{ "sendmsg.rights_fresh", ALL, rights_fresh,
	  "SCM_RIGHTS: a fresh socket, connected by the receiver, sent back" },
	{ "sendmsg.rights_shared", ALL, rights_shared,
	  "SCM_RIGHTS: bound by the receiver, seen by the giver" },
	{ "sendmsg.rights_connected", ALL, rights_connected,
	  "SCM_RIGHTS: a connected socket" },
	{ "sendmsg.credentials", V4 | STREAM, credentials,
	  "SCM_CREDENTIALS over a socket pair" },
};
CASES(sendmsg_control);
