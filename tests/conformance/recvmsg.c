/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Receiving: sources, flags, ends and errors. */
#include <sys/ioctl.h>

#include "topics.h"

static void sources(struct ctx *t)
{
	struct address from = { .len = sizeof(from.storage) };
	int fds[2];
	char byte;

	connected_pair(t, fds);
	want_rc(t, "send", 1, send(fds[0], "x", 1, 0));
	want_rc(t, "recv", 1, recvfrom(fds[1], &byte, 1, 0, &from.sa, &from.len));
	see_address(t, "from", &from);
	want_rc(t, "send-2", 1, send(fds[0], "x", 1, 0));
	want_rc(t, "null", 1, recvfrom(fds[1], &byte, 1, 0, NULL, NULL));
}

static void short_name(struct ctx *t)
{
	struct address server, from;
	int receiver = serve(t, &server), fd = xsocket(t);
	socklen_t full = server.len;
	char byte;

	for (socklen_t len = 0; len <= full; len += 4) {
		memset(&from, 0xee, sizeof(from));
		from.len = len;
		sendto(fd, "x", 1, 0, &server.sa, server.len);
		want_rc(t, "recv", 1,
			recvfrom(receiver, &byte, 1, 0, &from.sa, &from.len));
		want_int(t, "length", full, from.len);
		want_int(t, "untouched", 0xee, ((unsigned char *)&from.storage)[len]);
	}
	from.len = (socklen_t)-1;
	sendto(fd, "x", 1, 0, &server.sa, server.len);
	want_rc(t, "negative", -EINVAL,
		recvfrom(receiver, &byte, 1, 0, &from.sa, &from.len));
}

static void truncated(struct ctx *t)
{
	char room[3];
	struct iovec part = { room, sizeof(room) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int fds[2];

	connected_pair(t, fds);
	want_rc(t, "send", 5, send(fds[0], "graft", 5, 0));
	want_rc(t, "peek", 3, recvmsg(fds[1], &message, MSG_PEEK));
	want_int(t, "peek-flags", MSG_TRUNC, message.msg_flags & MSG_TRUNC);
	want_rc(t, "whole", 5, recv(fds[1], room, 3, MSG_PEEK | MSG_TRUNC));
	want_rc(t, "cut", 3, recv(fds[1], room, 3, 0));
	want_rc(t, "rest-gone", -EAGAIN, recv(fds[1], room, 3, MSG_DONTWAIT));
}

static void peeked(struct ctx *t)
{
	char room[8] = "";
	int fds[2], available = 0;

	connected_pair(t, fds);
	want_rc(t, "send", 5, send(fds[0], "graft", 5, 0));
	polled(fds[1], POLLIN, true);
	want_rc(t, "peek", 2, recv(fds[1], room, 2, MSG_PEEK));
	want_rc(t, "available", 0, ioctl(fds[1], FIONREAD, &available));
	want_int(t, "bytes", 5, available);
	want_rc(t, "recv", 5, recv(fds[1], room, sizeof(room), 0));
	want(t, "text", "graft", "%s", room);
	want_rc(t, "empty", -EAGAIN, recv(fds[1], room, 1, MSG_DONTWAIT | MSG_PEEK));
}

static void would_block(struct ctx *t)
{
	char byte;
	int fds[2], fd = xsocket(t);

	connected_pair(t, fds);
	want_rc(t, "dontwait", -EAGAIN, recv(fds[1], &byte, 1, MSG_DONTWAIT));
	nonblocking(fds[1]);
	want_rc(t, "nonblocking", -EAGAIN, recv(fds[1], &byte, 1, 0));
	want_rc(t, "read", -EAGAIN, read(fds[1], &byte, 1));
	see_rc(t, "fresh", recv(fd, &byte, 1, MSG_DONTWAIT));
	see_rc(t, "errors", recv(fds[1], &byte, 1, MSG_ERRQUEUE | MSG_DONTWAIT));
}

static void unconnected(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);
	char byte;

	want_rc(t, "fresh", -ENOTCONN, recv(fd, &byte, 1, 0));
	want_rc(t, "read", -ENOTCONN, read(fd, &byte, 1));
	want_rc(t, "listener", -ENOTCONN, recv(listener, &byte, 1, 0));
}

static void *send_in_two(void *argument)
{
	const int *fd = argument;

	polled(fd[1], POLLIN, true);
	send(fd[0], "ft", 2, 0);
	return NULL;
}

static void wait_for_all(struct ctx *t)
{
	char room[8] = "";
	int fds[2], go[2];
	pthread_t thread;

	connected_pair(t, fds);
	if (pipe(go) < 0)
		give_up(t, "pipe");
	want_rc(t, "send", 3, send(fds[0], "gra", 3, 0));
	xthread(t, &thread, send_in_two, (int[]){ fds[0], go[0] });
	want_rc(t, "go", 1, write(go[1], "x", 1));
	want_rc(t, "all", 5, recv(fds[1], room, 5, MSG_WAITALL));
	want(t, "text", "graft", "%s", room);
	pthread_join(thread, NULL);
	send(fds[0], "end", 3, 0);
	shutdown(fds[0], SHUT_WR);
	want_rc(t, "cut-by-end", 3, recv(fds[1], room, 5, MSG_WAITALL));
}

static void out_of_band(struct ctx *t)
{
	char byte = 0;
	int fds[2], at_mark = -1;

	connected_pair(t, fds);
	want_rc(t, "none", -EINVAL, recv(fds[1], &byte, 1, MSG_OOB));
	want_rc(t, "send", 2, send(fds[0], "ab", 2, 0));
	want_rc(t, "urgent", 1, send(fds[0], "!", 1, MSG_OOB));
	want_events(t, "poll", POLLPRI | POLLIN, polled(fds[1], POLLPRI, true) | POLLIN);
	want_rc(t, "oob", 1, recv(fds[1], &byte, 1, MSG_OOB));
	want(t, "byte", "!", "%c", byte);
	want_rc(t, "again", -EINVAL, recv(fds[1], &byte, 1, MSG_OOB));
	want_rc(t, "mark", 0, ioctl(fds[1], SIOCATMARK, &at_mark));
	want_int(t, "at-mark", 0, at_mark);
	want_rc(t, "plain", 1, recv(fds[1], &byte, 1, 0));
	want_rc(t, "plain-2", 1, recv(fds[1], &byte, 1, 0));
	ioctl(fds[1], SIOCATMARK, &at_mark);
	want_int(t, "at-mark-2", 1, at_mark);
}

static void out_of_band_inline(struct ctx *t)
{
	char room[4] = "";
	int fds[2];

	connected_pair(t, fds);
	set_int(t, fds[1], SOL_SOCKET, SO_OOBINLINE, 1);
	send(fds[0], "a", 1, 0);
	send(fds[0], "!", 1, MSG_OOB);
	polled(fds[1], POLLPRI, true);
	want_rc(t, "oob", -EINVAL, recv(fds[1], room, 1, MSG_OOB));
	want_rc(t, "until-mark", 1, recv(fds[1], room, 3, 0));
	want_rc(t, "urgent", 1, recv(fds[1], room, 3, 0));
	want(t, "byte", "!", "%c", room[0]);
}

static void end_of_stream(struct ctx *t)
{
	char byte;
	int fds[2];

	connected_pair(t, fds);
	send(fds[0], "x", 1, 0);
	close(fds[0]);
	want_rc(t, "recv", 1, recv(fds[1], &byte, 1, 0));
	want_rc(t, "end", 0, recv(fds[1], &byte, 1, 0));
	want_rc(t, "still", 0, recv(fds[1], &byte, 1, 0));
}

static void reset(struct ctx *t)
{
	struct linger now = { 1, 0 };
	char byte;
	int fds[2];

	connected_pair(t, fds);
	setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fds[0]);
	want_rc(t, "recv", -ECONNRESET, recv(fds[1], &byte, 1, 0));
	want_rc(t, "recv-2", 0, recv(fds[1], &byte, 1, 0));
	want_error(t, "error", 0, fds[1]);
	want_peer(t, "peer", "ENOTCONN", fds[1]);
}

static void reset_by_unread(struct ctx *t)
{
	char byte;
	int fds[2];

	connected_pair(t, fds);
	send(fds[1], "x", 1, 0);
	polled(fds[0], POLLIN, true);
	close(fds[0]);
	want_rc(t, "recv", -ECONNRESET, recv(fds[1], &byte, 1, 0));
}

static void many(struct ctx *t)
{
	char rooms[4][8] = { 0 };
	struct iovec parts[4];
	struct mmsghdr all[4];
	int fds[2];

	connected_pair(t, fds);
	for (int i = 0; i < 4; i++) {
		parts[i] = (struct iovec){ rooms[i], sizeof(rooms[i]) };
		all[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &parts[i],
							.msg_iovlen = 1 } };
	}
	send(fds[0], "one", 3, 0);
	send(fds[0], "three", 5, 0);
	want_rc(t, "recvmmsg", 2, recvmmsg(fds[1], all, 4, MSG_WAITFORONE, NULL));
	want_int(t, "first", 3, all[0].msg_len);
	want_int(t, "second", 5, all[1].msg_len);
	want_rc(t, "none", -EAGAIN, recvmmsg(fds[1], all, 4, MSG_DONTWAIT, NULL));
}

static void control_cut(struct ctx *t)
{
	char byte, control[CMSG_LEN(0) + 2];
	struct iovec part = { &byte, 1 };
	struct msghdr message = { NULL, 0, &part, 1, control, sizeof(control), 0 };
	int fds[2];

	connected_pair(t, fds);
	set_int(t, fds[1], SOL_SOCKET, SO_TIMESTAMP, 1);
	send(fds[0], "x", 1, 0);
	want_rc(t, "recv", 1, recvmsg(fds[1], &message, 0));
	want_int(t, "flags", MSG_CTRUNC, message.msg_flags);
}

static void timestamps(struct ctx *t)
{
	union {
		struct cmsghdr align;
		char bytes[64];
	} control;
	char byte;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { NULL, 0, &part, 1, &control, sizeof(control), 0 };
	const struct cmsghdr *first;
	int fds[2];

	connected_pair(t, fds);
	set_int(t, fds[1], SOL_SOCKET, SO_TIMESTAMPNS, 1);
	send(fds[0], "x", 1, 0);
	want_rc(t, "recv", 1, recvmsg(fds[1], &message, 0));
	first = CMSG_FIRSTHDR(&message);
	want_int(t, "type", SCM_TIMESTAMPNS, first ? first->cmsg_type : -1);
}

static void bad_arguments(struct ctx *t)
{
	struct address from = { .len = sizeof(from.storage) };
	int fds[2];
	char byte;

	connected_pair(t, fds);
	send(fds[0], "12345", 5, 0);
	polled(fds[1], POLLIN, true);
	want_rc(t, "data", -EFAULT, recv(fds[1], BAD_POINTER, 1, MSG_PEEK));
	want_rc(t, "header", -EFAULT, recvmsg(fds[1], BAD_POINTER, 0));
	want_rc(t, "length", -EFAULT,
		recvfrom(fds[1], &byte, 1, MSG_PEEK, &from.sa, BAD_POINTER));
	want_rc(t, "not-open", -EBADF, recv(800, &byte, 1, 0));
	want_rc(t, "not-socket", -ENOTSOCK, recv(t->out, &byte, 1, 0));
}

const struct test_case recvmsg_cases[] = {
	{ "recvmsg.sources", ALL, sources, "the source of what arrives" },
	{ "recvmsg.short_name", INET | DGRAM, short_name,
	  "address room of 0 to 28 bytes" },
	{ "recvmsg.truncated", INET | DGRAM, truncated, "MSG_TRUNC asked for and told" },
	{ "recvmsg.peeked", ALL, peeked, "MSG_PEEK and FIONREAD" },
	{ "recvmsg.would_block", ALL, would_block, "EAGAIN by flag and by O_NONBLOCK" },
	{ "recvmsg.unconnected", INET | STREAM, unconnected, "ENOTCONN" },
	{ "recvmsg.wait_for_all", INET | STREAM, wait_for_all,
	  "MSG_WAITALL over two sends" },
	{ "recvmsg.out_of_band", INET | STREAM, out_of_band,
	  "MSG_OOB, POLLPRI, SIOCATMARK" },
	{ "recvmsg.out_of_band_inline", INET | STREAM, out_of_band_inline,
	  "SO_OOBINLINE" },
	{ "recvmsg.end_of_stream", INET | STREAM, end_of_stream, "the rest, then 0" },
	{ "recvmsg.reset", INET | STREAM, reset, "ECONNRESET once" },
	{ "recvmsg.reset_by_unread", INET | STREAM, reset_by_unread,
	  "closing with unread data resets" },
	{ "recvmsg.many", INET | DGRAM, many, "recvmmsg takes what is there" },
	{ "recvmsg.control_cut", INET | DGRAM, control_cut, "MSG_CTRUNC" },
	{ "recvmsg.timestamps", INET | DGRAM, timestamps, "SO_TIMESTAMPNS" },
	{ "recvmsg.bad_arguments", ALL, bad_arguments, "bad pointers and descriptors" },
};
CASES(recvmsg);
