/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sending on streams, and from files, pipes and pages. */
#include <time.h>

#include <linux/errqueue.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "topics.h"

static volatile sig_atomic_t n_pipe_signals;

static void on_pipe(int number)
{
	n_pipe_signals++;
}

static void unconnected(struct ctx *t)
{
	struct address server;
	struct iovec part = { (void *)"x", 1 };
	struct msghdr message = { &server.sa, 0, &part, 1, NULL, 0, 0 };
	int listener = serve(t, &server), fd = xsocket(t);

	message.msg_namelen = server.len;
	want_rc(t, "send", -EPIPE, send(fd, "x", 1, MSG_NOSIGNAL));
	want_rc(t, "sendto", -EPIPE,
		sendto(fd, "x", 1, MSG_NOSIGNAL, &server.sa, server.len));
	want_rc(t, "sendmsg", -EPIPE, sendmsg(fd, &message, MSG_NOSIGNAL));
	want_rc(t, "listener", -EPIPE, send(listener, "x", 1, MSG_NOSIGNAL));
	want_peer(t, "peer", "ENOTCONN", fd);
	want_rc(t, "connect", 0, connect(fd, &server.sa, server.len));
}

static void connected_named(struct ctx *t)
{
	struct address other = at_lo(t, 0);
	struct iovec part = { (void *)"y", 1 };
	struct msghdr message = { &other.sa, 0, &part, 1, NULL, 0, 0 };
	int fds[2];
	char text[3] = "";

	connected_pair(t, fds);
	serve_at(t, &other, &other);
	message.msg_namelen = other.len;
	want_rc(t, "sendto", 1, sendto(fds[0], "x", 1, 0, &other.sa, other.len));
	want_rc(t, "sendmsg", 1, sendmsg(fds[0], &message, 0));
	want_rc(t, "recv", 2, recv(fds[1], text, 2, MSG_WAITALL));
	want(t, "text", "xy", "%s", text);
	want_rc(t, "bad-pointer", -EFAULT,
		sendto(fds[0], "x", 1, 0, BAD_POINTER, other.len));
}

static void broken_pipe(struct ctx *t)
{
	int fds[2];

	connected_pair(t, fds);
	signal(SIGPIPE, on_pipe);
	want_rc(t, "shutdown", 0, shutdown(fds[0], SHUT_WR));
	want_rc(t, "send", -EPIPE, send(fds[0], "x", 1, 0));
	want_int(t, "signals", 1, n_pipe_signals);
	want_rc(t, "nosignal", -EPIPE, send(fds[0], "x", 1, MSG_NOSIGNAL));
	want_int(t, "signals-2", 1, n_pipe_signals);
	want_rc(t, "write", -EPIPE, write(fds[0], "x", 1));
	want_int(t, "signals-3", 2, n_pipe_signals);
}

static void reset(struct ctx *t)
{
	struct linger now = { 1, 0 };
	int fds[2];
	char byte;

	connected_pair(t, fds);
	signal(SIGPIPE, on_pipe);
	setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fds[1]);
	want_events(t, "poll", POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP,
		    polled(fds[0], POLLIN | POLLOUT | POLLRDHUP, true));
	want_rc(t, "send", -ECONNRESET, send(fds[0], "x", 1, 0));
	want_rc(t, "send-2", -EPIPE, send(fds[0], "x", 1, 0));
	want_rc(t, "recv", 0, recv(fds[0], &byte, 1, 0));
	want_int(t, "signals", 1, n_pipe_signals);
}

static void gathered(struct ctx *t)
{
	struct iovec out[] = { { (void *)"gr", 2 }, { (void *)"aft", 3 } };
	char first[3] = "", second[3] = "";
	struct iovec in[] = { { first, 2 }, { second, 2 } };
	int fds[2];

	connected_pair(t, fds);
	want_rc(t, "writev", 5, writev(fds[0], out, 2));
	polled(fds[1], POLLIN, true);
	want_rc(t, "readv", 4, readv(fds[1], in, 2));
	want(t, "first", "gr", "%s", first);
	want(t, "second", "af", "%s", second);
}

static void full(struct ctx *t)
{
	static char room[1 << 16];
	ssize_t sent, total = 0, got, received = 0;
	int fds[2];

	connected_pair(t, fds);
	while ((sent = send(fds[0], room, sizeof(room), MSG_DONTWAIT)) > 0)
		total += sent;
	want_rc(t, "send", -EAGAIN, sent);
	want_events(t, "poll", 0, polled(fds[0], POLLOUT, false));
	shutdown(fds[0], SHUT_WR);
	while ((got = recv(fds[1], room, sizeof(room), 0)) > 0)
		received += got;
	want(t, "all-arrives", "yes", "%s", received == total ? "yes" : "no");
}

static void send_file(struct ctx *t)
{
	char text[16] = "";
	off_t offset = 2;
	int fds[2], file = memfd_create("graft", MFD_CLOEXEC);

	connected_pair(t, fds);
	if (file < 0 || write(file, "a-graft-z", 9) != 9)
		give_up(t, "memfd");
	want_rc(t, "sendfile", 5, sendfile(fds[0], file, &offset, 5));
	want_int(t, "offset", 7, offset);
	want_rc(t, "recv", 5, recv(fds[1], text, 5, t->stream ? MSG_WAITALL : 0));
	want(t, "text", "graft", "%s", text);
}

static void spliced(struct ctx *t)
{
	char text[16] = "";
	int fds[2], pipes[2];

	connected_pair(t, fds);
	if (pipe(pipes) < 0 || write(pipes[1], "graft", 5) != 5)
		give_up(t, "pipe");
	want_rc(t, "into", 5, splice(pipes[0], NULL, fds[0], NULL, 5, 0));
	polled(fds[1], POLLIN, true);
	want_rc(t, "out-of", 5, splice(fds[1], NULL, pipes[1], NULL, 5, 0));
	want_rc(t, "read", 5, read(pipes[0], text, sizeof(text)));
	want(t, "text", "graft", "%s", text);
}

static void zero_copy(struct ctx *t)
{
	static char room[8192];
	char control[128];
	struct msghdr message = { .msg_control = control,
				  .msg_controllen = sizeof(control) };
	const struct sock_extended_err *error;
	const struct cmsghdr *first;
	int fds[2];

	connected_pair(t, fds);
	set_int(t, fds[0], SOL_SOCKET, SO_ZEROCOPY, 1);
	want_rc(t, "send", 8192, send(fds[0], room, sizeof(room), MSG_ZEROCOPY));
	want_rc(t, "recv", 8192, recv(fds[1], room, sizeof(room), MSG_WAITALL));
	see_events(t, "poll", polled(fds[0], POLLPRI, true));
	want_rc(t, "queue", 0, recvmsg(fds[0], &message, MSG_ERRQUEUE));
	first = CMSG_FIRSTHDR(&message);
	if (!first)
		give_up(t, "no-notice");
	error = (const void *)CMSG_DATA(first);
	want_int(t, "origin", SO_EE_ORIGIN_ZEROCOPY, error->ee_origin);
	want_int(t, "low", 0, error->ee_info);
	want_int(t, "high", 0, error->ee_data);
}

static void queue_sizes(struct ctx *t)
{
	int fds[2];

	connected_pair(t, fds);
	for (int size = 1; size <= 4096; size *= 16) {
		char room[4096];

		memset(room, size & 0xff, sizeof(room));
		want_rc(t, "send", size, send(fds[0], room, size, 0));
		want_rc(t, "recv", size,
			recv(fds[1], room, size, t->stream ? MSG_WAITALL : 0));
		want_int(t, "byte", size & 0xff, (unsigned char)room[size - 1]);
	}
}

const struct test_case sendmsg_stream_cases[] = {
	{ "sendmsg.unconnected", INET | STREAM, unconnected,
	  "EPIPE, with and without a name" },
	{ "sendmsg.stream_named", INET | STREAM, connected_named,
	  "a connected stream ignores names" },
	{ "sendmsg.broken_pipe", INET | STREAM, broken_pipe,
	  "EPIPE, SIGPIPE and MSG_NOSIGNAL" },
	{ "sendmsg.reset", INET | STREAM, reset, "after the peer's RST" },
	{ "sendmsg.vectors", ALL, gathered, "writev and readv" },
	{ "sendmsg.full", INET | STREAM, full,
	  "until the buffers are full, then all of it" },
	{ "sendmsg.sendfile", ALL, send_file, "sendfile from a memory file" },
	{ "sendmsg.splice", ALL, spliced, "splice from and to a pipe" },
	{ "sendmsg.zero_copy", ALL, zero_copy, "MSG_ZEROCOPY and its notice" },
	{ "sendmsg.sizes_connected", ALL, queue_sizes,
	  "1 to 4096 bytes on a connected socket" },
};
CASES(sendmsg_stream);
