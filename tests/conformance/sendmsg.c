/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sending datagrams: with and without names, in every size and many at once. */
#include <sys/uio.h>

#include "topics.h"

static long send_to(int fd, const struct address *to)
{
	return sendto(fd, "x", 1, MSG_NOSIGNAL, &to->sa, to->len);
}

static void want_from(struct ctx *t, const char *key, const char *expected, int fd)
{
	struct address from = { .len = sizeof(from.storage) };
	char bytes[16];

	if (recvfrom(fd, bytes, sizeof(bytes), 0, &from.sa, &from.len) < 0)
		want_rc(t, key, 0, -1);
	else
		want_address(t, key, expected, &from);
}

static void named(struct ctx *t)
{
	struct address server, client;
	int receiver = serve(t, &server), fd = xsocket(t);

	want_name(t, "before", "any:0", fd);
	want_rc(t, "send", 1, send_to(fd, &server));
	want_name(t, "implicit-bind", "any:dyn", fd);
	client = name_of(t, fd);
	label(t, "client", port_of(&client));
	want_from(t, "from", "lo:client", receiver);
	want_rc(t, "again", 1, send_to(fd, &server));
	want_from(t, "from-2", "lo:client", receiver);
	want_peer(t, "peer", "ENOTCONN", fd);
}

static void bound(struct ctx *t)
{
	struct address server, address = at_lo(t, t->port);
	int receiver = serve(t, &server), fd = xsocket(t);

	label(t, "asked", t->port);
	xbind(t, fd, &address);
	want_rc(t, "send", 1, send_to(fd, &server));
	want_name(t, "name", "lo:asked", fd);
	want_from(t, "from", "lo:asked", receiver);
}

static void two_targets(struct ctx *t)
{
	struct address first, second = at_lo(t, 0), third = at_veth(t, 0), client;
	int one = serve(t, &first), two = serve_at(t, &second, &second);
	int three = serve_at(t, &third, &third), fd = xsocket(t);

	want_rc(t, "first", 1, send_to(fd, &first));
	client = name_of(t, fd);
	label(t, "client", port_of(&client));
	want_rc(t, "second", 1, send_to(fd, &second));
	want_from(t, "from", "lo:client", one);
	want_from(t, "from-2", "lo:client", two);
	want_rc(t, "third", 1, send_to(fd, &third));
	want_from(t, "from-3", "veth:client", three);
}

static void reply(struct ctx *t)
{
	struct address server, from = { .len = sizeof(from.storage) };
	int receiver = serve(t, &server), fd = xsocket(t);
	char byte;

	want_rc(t, "send", 1, send_to(fd, &server));
	want_rc(t, "recv", 1, recvfrom(receiver, &byte, 1, 0, &from.sa, &from.len));
	want_rc(t, "answer", 1, sendto(receiver, "a", 1, 0, &from.sa, from.len));
	want_from(t, "from", "lo:server", fd);
}

static void unnamed(struct ctx *t)
{
	struct iovec part = { (void *)"x", 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int fd = xsocket(t);

	want_rc(t, "send", -EDESTADDRREQ, send(fd, "x", 1, 0));
	want_rc(t, "write", -EDESTADDRREQ, write(fd, "x", 1));
	want_rc(t, "sendmsg", -EDESTADDRREQ, sendmsg(fd, &message, 0));
	want_rc(t, "sendto-null", -EDESTADDRREQ, sendto(fd, "x", 1, 0, NULL, 0));
	want_name(t, "bound-all-the-same", "any:dyn", fd);
}

static void connected_named(struct ctx *t)
{
	struct address server, other = at_lo(t, 0), client;
	int receiver = serve(t, &server), second = serve_at(t, &other, &other);
	int fd = xsocket(t);

	xconnect(t, fd, &server);
	client = name_of(t, fd);
	label(t, "client", port_of(&client));
	want_rc(t, "named", 1, send_to(fd, &other));
	want_from(t, "from", "lo:client", second);
	want_rc(t, "plain", 1, write(fd, "x", 1));
	want_from(t, "from-2", "lo:client", receiver);
	want_peer(t, "peer", "lo:server", fd);
}

static void then_connect(struct ctx *t)
{
	struct address server, client;
	int receiver = serve(t, &server), fd = xsocket(t);

	want_rc(t, "send", 1, send_to(fd, &server));
	client = name_of(t, fd);
	label(t, "client", port_of(&client));
	want_rc(t, "connect", 0, connect(fd, &server.sa, server.len));
	want_name(t, "name", "lo:client", fd);
	want_rc(t, "plain", 1, send(fd, "x", 1, 0));
	want_from(t, "from", "lo:client", receiver);
	want_from(t, "from-2", "lo:client", receiver);
}

static void to_any(struct ctx *t)
{
	struct address server, any;
	int receiver = serve(t, &server), fd = xsocket(t);

	any = at_any(t, port_of(&server));
	want_rc(t, "send", 1, send_to(fd, &any));
	want_from(t, "from", "lo:dyn", receiver);
}

static void to_nobody(struct ctx *t)
{
	struct address closed = closed_port(t), zero = at_lo(t, 0);
	struct address far = at_text(t->v6 ? "2001:db8:9::9" : "198.51.100.9", 9);
	int fd = xsocket(t);

	want_rc(t, "closed", 1, send_to(fd, &closed));
	want_rc(t, "closed-2", 1, send_to(fd, &closed));
	want_error(t, "no-error", 0, fd);
	want_rc(t, "port-0", -EINVAL, send_to(fd, &zero));
	want_rc(t, "no-route", -ENETUNREACH, send_to(fd, &far));
}

static void broadcast(struct ctx *t)
{
	struct address address = at_text("10.77.0.255", t->port),
		       any = at_any(t, t->port);
	int receiver = serve_at(t, &any, &any), fd = xsocket(t);

	want_rc(t, "without", -EACCES, send_to(fd, &address));
	set_int(t, fd, SOL_SOCKET, SO_BROADCAST, 1);
	want_rc(t, "with", 1, send_to(fd, &address));
	want_from(t, "from", "veth:dyn", receiver);
}

static void to_mapped(struct ctx *t)
{
	struct address server = at_text("127.0.0.1", 0), mapped;
	int receiver = serve_at(t, &server, &server), fd = xsocket(t);
	struct address client, from = { .len = sizeof(from.storage) };
	char byte;

	mapped = at_mapped(port_of(&server));
	want_rc(t, "send", 1, send_to(fd, &mapped));
	client = name_of(t, fd);
	label(t, "client", port_of(&client));
	label(t, "server", port_of(&server));
	see_name(t, "name", fd);
	want_rc(t, "recv", 1, recvfrom(receiver, &byte, 1, 0, &from.sa, &from.len));
	want_address(t, "from", "lo:client", &from);
	want_rc(t, "answer", 1, sendto(receiver, "a", 1, 0, &from.sa, from.len));
	want_from(t, "from-2", "mapped-lo:server", fd);
	fd = xsocket(t);
	set_int(t, fd, SOL_IPV6, IPV6_V6ONLY, 1);
	want_rc(t, "v6only", -ENETUNREACH, send_to(fd, &mapped));
}

static void lengths(struct ctx *t)
{
	struct address server;
	union {
		struct address address;
		char bytes[2048];
	} room = { .bytes = { 0 } };
	int receiver = serve(t, &server), results[131], fd = xsocket(t);

	(void)receiver;
	room.address = server;
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		results[i] = sendto(fd, "x", 1, 0, &room.address.sa, i) < 0 ? -errno : 1;
	see_map(t, "length", results, ARRAY_SIZE(results));
	want_rc(t, "1000", -EINVAL, sendto(fd, "x", 1, 0, &room.address.sa, 1000));
	want_rc(t, "negative", -EINVAL,
		sendto(fd, "x", 1, 0, &room.address.sa, (socklen_t)-1));
}

static void name_lengths(struct ctx *t)
{
	struct address server;
	union {
		struct address address;
		char bytes[2048];
	} room = { .bytes = { 0 } };
	struct iovec part = { (void *)"x", 1 };
	struct msghdr message = { &room, 0, &part, 1, NULL, 0, 0 };
	int receiver = serve(t, &server), results[131], fd = xsocket(t);

	(void)receiver;
	room.address = server;
	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		message.msg_namelen = i;
		results[i] = sendmsg(fd, &message, 0) < 0 ? -errno : 1;
	}
	see_map(t, "length", results, ARRAY_SIZE(results));
	message.msg_namelen = 1000;
	see_rc(t, "1000", sendmsg(fd, &message, 0));
	message.msg_namelen = (socklen_t)-1;
	want_rc(t, "negative", -EINVAL, sendmsg(fd, &message, 0));
}

static void wrong_family(struct ctx *t)
{
	struct address server, other = at_text(t->v6 ? "127.0.0.1" : "::1", 9), odd;
	int receiver = serve(t, &server), fd = xsocket(t);

	(void)receiver;
	odd = server;
	odd.sa.sa_family = 250;
	want_rc(t, "odd", t->v6 ? -EINVAL : -EAFNOSUPPORT, send_to(fd, &odd));
	see_rc(t, "other", send_to(fd, &other));
	odd.sa.sa_family = AF_UNSPEC;
	see_rc(t, "unspec", send_to(fd, &odd));
}

static void bad_arguments(struct ctx *t)
{
	struct address server;
	struct iovec part = { BAD_POINTER, 1 };
	struct msghdr message = { &server.sa, 0, &part, 1, NULL, 0, 0 };
	int receiver = serve(t, &server), fd = xsocket(t), pipes[2];

	(void)receiver;
	if (pipe(pipes) < 0)
		give_up(t, "pipe");
	message.msg_namelen = server.len;
	want_rc(t, "address", -EFAULT, sendto(fd, "x", 1, 0, BAD_POINTER, server.len));
	want_rc(t, "data", -EFAULT,
		sendto(fd, BAD_POINTER, 1, 0, &server.sa, server.len));
	want_rc(t, "header", -EFAULT, sendmsg(fd, BAD_POINTER, 0));
	want_rc(t, "part", -EFAULT, sendmsg(fd, &message, 0));
	message.msg_iov = BAD_POINTER;
	want_rc(t, "vector", -EFAULT, sendmsg(fd, &message, 0));
	message.msg_iov = &part;
	message.msg_iovlen = UIO_MAXIOV + 1;
	want_rc(t, "parts", -EMSGSIZE, sendmsg(fd, &message, 0));
	want_rc(t, "not-open", -EBADF, sendto(800, "x", 1, 0, &server.sa, server.len));
	want_rc(t, "pipe", -ENOTSOCK,
		sendto(pipes[1], "x", 1, 0, &server.sa, server.len));
	see_rc(t, "oob", sendto(fd, "x", 1, MSG_OOB, &server.sa, server.len));
	want_rc(t, "good", 1, send_to(fd, &server));
}

static void sizes(struct ctx *t)
{
	static char room[70000], back[70000];
	const int largest = t->v6 ? 65527 : 65507;
	struct address server;
	int receiver = serve(t, &server), fd = xsocket(t);

	memset(room, 'g', sizeof(room));
	want_rc(t, "zero", 0, sendto(fd, room, 0, 0, &server.sa, server.len));
	want_rc(t, "zero-arrives", 0, recv(receiver, back, sizeof(back), 0));
	want_rc(t, "largest", largest,
		sendto(fd, room, largest, 0, &server.sa, server.len));
	want_rc(t, "largest-arrives", largest, recv(receiver, back, sizeof(back), 0));
	want_int(t, "same", 0, memcmp(room, back, largest));
	want_rc(t, "larger", -EMSGSIZE,
		sendto(fd, room, largest + 1, 0, &server.sa, server.len));
	want_rc(t, "70000", -EMSGSIZE,
		sendto(fd, room, 70000, 0, &server.sa, server.len));
}

static void gathered(struct ctx *t)
{
	struct address server;
	char text[16] = "";
	struct iovec parts[] = {
		{ (void *)"gr", 2 }, { NULL, 0 }, { (void *)"a", 1 }, { (void *)"ft", 2 }
	};
	struct msghdr message = { &server.sa, 0, parts, 4, NULL, 0, 0 };
	int receiver = serve(t, &server), fd = xsocket(t);

	message.msg_namelen = server.len;
	want_rc(t, "send", 5, sendmsg(fd, &message, 0));
	want_rc(t, "recv", 5, recv(receiver, text, sizeof(text), 0));
	want(t, "text", "graft", "%s", text);
}

static void corked(struct ctx *t)
{
	struct address server;
	char text[16] = "";
	int receiver = serve(t, &server), fd = xsocket(t);

	want_rc(t, "more", 3, sendto(fd, "one", 3, MSG_MORE, &server.sa, server.len));
	want_events(t, "held", 0, polled(receiver, POLLIN, false));
	want_rc(t, "last", 3, sendto(fd, "two", 3, 0, &server.sa, server.len));
	want_rc(t, "recv", 6, recv(receiver, text, sizeof(text), 0));
	want(t, "text", "onetwo", "%s", text);
}

static void many(struct ctx *t)
{
	struct address server, other = at_lo(t, 0);
	struct iovec part = { (void *)"x", 1 };
	struct mmsghdr all[4];
	int receiver = serve(t, &server), second = serve_at(t, &other, &other);
	int fd = xsocket(t);

	for (int i = 0; i < 4; i++) {
		struct address *to = i % 2 ? &other : &server;

		all[i] = (struct mmsghdr){ .msg_hdr = { &to->sa, to->len, &part, 1 } };
	}
	want_rc(t, "sendmmsg", 4, sendmmsg(fd, all, 4, 0));
	want_int(t, "length", 1, all[3].msg_len);
	for (int i = 0; i < 2; i++) {
		want_from(t, "from", "lo:dyn", receiver);
		want_from(t, "from-other", "lo:dyn", second);
	}
	want_rc(t, "none", 0, sendmmsg(fd, all, 0, 0));
	want_rc(t, "vector", -EFAULT, sendmmsg(fd, BAD_POINTER, 1, 0));
	want_rc(t, "descriptor", -EBADF, sendmmsg(800, all, 1, 0));
}

static void many_partly(struct ctx *t)
{
	struct address server, zero = at_lo(t, 0);
	struct iovec part = { (void *)"x", 1 };
	struct mmsghdr all[4];
	int receiver = serve(t, &server), fd = xsocket(t);
	char byte;

	for (int i = 0; i < 4; i++)
		all[i] = (struct mmsghdr){ .msg_hdr = { &server.sa, server.len, &part,
							1 } };
	all[2].msg_hdr.msg_name = &zero.sa;
	want_rc(t, "third-bad", 2, sendmmsg(fd, all, 4, 0));
	want_int(t, "lengths", 110,
		 all[0].msg_len * 100L + all[1].msg_len * 10L + all[2].msg_len);
	want_rc(t, "first", 1, recv(receiver, &byte, 1, MSG_DONTWAIT));
	want_rc(t, "second", 1, recv(receiver, &byte, 1, MSG_DONTWAIT));
	want_rc(t, "no-more", -EAGAIN, recv(receiver, &byte, 1, MSG_DONTWAIT));
	want_rc(t, "first-bad", -EINVAL, sendmmsg(fd, all + 2, 2, 0));
	all[1].msg_hdr.msg_name = BAD_POINTER;
	want_rc(t, "second-faults", 1, sendmmsg(fd, all, 2, 0));
}

static void many_connected(struct ctx *t)
{
	struct iovec part = { (void *)"x", 1 };
	struct mmsghdr all[3] = { 0 };
	int fds[2];
	char byte;

	connected_pair(t, fds);
	for (int i = 0; i < 3; i++)
		all[i].msg_hdr = (struct msghdr){ .msg_iov = &part, .msg_iovlen = 1 };
	want_rc(t, "sendmmsg", 3, sendmmsg(fds[0], all, 3, 0));
	for (int i = 0; i < 3; i++)
		want_rc(t, "recv", 1, recv(fds[1], &byte, 1, 0));
}

const struct test_case sendmsg_cases[] = {
	{ "sendmsg.named", INET | DGRAM, named, "sendto on a fresh socket binds it" },
	{ "sendmsg.bound", INET | DGRAM, bound, "the bound address is the source" },
	{ "sendmsg.two_targets", INET | DGRAM, two_targets,
	  "one socket, three targets, one port" },
	{ "sendmsg.reply", INET | DGRAM, reply, "answering where a datagram came from" },
	{ "sendmsg.unnamed", INET | DGRAM, unnamed, "EDESTADDRREQ" },
	{ "sendmsg.connected_named", INET | DGRAM, connected_named,
	  "a name overrides the peer once" },
	{ "sendmsg.then_connect", INET | DGRAM, then_connect,
	  "sendto, then connect: one port" },
	{ "sendmsg.to_any", INET | DGRAM, to_any, "0.0.0.0 and [::] mean loopback" },
	{ "sendmsg.to_nobody", INET | DGRAM, to_nobody, "closed port, port 0, no route" },
	{ "sendmsg.broadcast", V4 | DGRAM, broadcast, "EACCES without SO_BROADCAST" },
	{ "sendmsg.to_mapped", V6 | DGRAM, to_mapped,
	  "::ffff:127.0.0.1, there and back" },
	{ "sendmsg.lengths", INET | DGRAM, lengths, "sendto: every address length" },
	{ "sendmsg.name_lengths", INET | DGRAM, name_lengths,
	  "sendmsg: every address length" },
	{ "sendmsg.wrong_family", INET | DGRAM, wrong_family,
	  "addresses of other families" },
	{ "sendmsg.bad_arguments", INET | DGRAM, bad_arguments,
	  "bad pointers and descriptors" },
	{ "sendmsg.sizes", INET | DGRAM, sizes, "0 bytes, the largest, EMSGSIZE" },
	{ "sendmsg.gathered", INET | DGRAM, gathered, "one datagram from four parts" },
	{ "sendmsg.corked", INET | DGRAM, corked, "MSG_MORE joins two sends" },
	{ "sendmsg.many", INET | DGRAM, many, "sendmmsg to two targets" },
	{ "sendmsg.many_partly", INET | DGRAM, many_partly,
	  "sendmmsg stops at the bad one" },
	{ "sendmsg.many_connected", INET | DGRAM, many_connected,
	  "sendmmsg without names" },
};
CASES(sendmsg);
