/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What options, flags and ioctls set before bind or connect do afterwards. */
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "topics.h"

#define UDP_HEADER_SIZE 8

static void identity(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fds[2] = { xsocket(t), listener };

	xconnect(t, fds[0], &server);
	for (int i = 0; i < 2; i++) {
		want_int(t, "domain", t->family, get_int(fds[i], SOL_SOCKET, SO_DOMAIN));
		want_int(t, "type", t->type, get_int(fds[i], SOL_SOCKET, SO_TYPE));
		want_int(t, "protocol", t->stream ? IPPROTO_TCP : IPPROTO_UDP,
			 get_int(fds[i], SOL_SOCKET, SO_PROTOCOL));
	}
}

static void sizes(struct ctx *t)
{
	unsigned char room[16];
	socklen_t len = 2;
	int fd = xsocket(t), on = 1;

	want_rc(t, "set-short", -EINVAL,
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, 2));
	want_rc(t, "set-none", -EINVAL, setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, 0));
	want_rc(t, "set-negative", -EINVAL,
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, (socklen_t)-1));
	want_rc(t, "set-long", 0, setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, room, 16));
	want_rc(t, "set-pointer", -EFAULT,
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, BAD_POINTER, 4));
	want_rc(t, "get-short", 0, getsockopt(fd, SOL_SOCKET, SO_TYPE, room, &len));
	want_int(t, "length", 2, len);
	len = 4;
	want_rc(t, "get-pointer", -EFAULT,
		getsockopt(fd, SOL_SOCKET, SO_TYPE, BAD_POINTER, &len));
	want_rc(t, "unknown", -ENOPROTOOPT, setsockopt(fd, SOL_SOCKET, 9999, &on, 4));
	see_rc(t, "unknown-level", setsockopt(fd, 9999, 1, &on, 4));
	want_rc(t, "not-open", -EBADF, setsockopt(800, SOL_SOCKET, SO_KEEPALIVE, &on, 4));
}

static void many(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);

	(void)listener;
	for (int i = 1; i <= 200; i++)
		set_int(t, fd, SOL_SOCKET, SO_RCVLOWAT, i);
	for (int i = 0; i <= 200; i++)
		set_int(t, fd, SOL_IP, IP_TOS, (i & 7) << 2);
	want_rc(t, "connect", 0, connect(fd, &server.sa, server.len));
	want_int(t, "lowat", 200, get_int(fd, SOL_SOCKET, SO_RCVLOWAT));
	want_int(t, "tos", 0, get_int(fd, SOL_IP, IP_TOS));
}

static void failed_is_not_set(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t), bad = 4000;

	(void)listener;
	want_rc(t, "bad", -EINVAL, setsockopt(fd, SOL_IP, IP_TTL, &bad, sizeof(bad)));
	set_int(t, fd, SOL_IP, IP_TTL, 33);
	want_rc(t, "bad-2", -EINVAL, setsockopt(fd, SOL_IP, IP_TTL, &bad, sizeof(bad)));
	want_rc(t, "connect", 0, connect(fd, &server.sa, server.len));
	want_int(t, "ttl", 33, get_int(fd, SOL_IP, IP_TTL));
}

static void linger_reset(struct ctx *t)
{
	struct linger now = { 1, 0 };
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t), peer;
	char byte;

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	xconnect(t, fd, &server);
	peer = take(t, listener);
	close(fd);
	want_rc(t, "reset", -ECONNRESET, recv(peer, &byte, 1, 0));
}

static void receive_limit(struct ctx *t)
{
	struct timeval limit = { 0, 20000 };
	struct address server;
	int fd = xsocket(t);
	char byte;

	server = at_lo(t, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	xbind(t, fd, &server);
	if (t->stream) {
		listen(fd, 1);
		want_rc(t, "accept", -EAGAIN, accept(fd, NULL, NULL));
	} else {
		want_rc(t, "recv", -EAGAIN, recv(fd, &byte, 1, 0));
	}
	server = name_of(t, fd);
	fd = xsocket(t);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	xconnect(t, fd, &server);
	want_rc(t, "connected", -EAGAIN, recv(fd, &byte, 1, 0));
}

static void send_limit(struct ctx *t)
{
	static char room[1 << 16];
	struct timeval limit = { 0, 20000 };
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);
	ssize_t sent;

	(void)listener;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	xconnect(t, fd, &server);
	/* The buffer grows on the way: full is what says so. */
	do
		sent = send(fd, room, sizeof(room), 0);
	while (sent > 0);
	want_rc(t, "send", -EAGAIN, sent);
}

static void buffers(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);

	(void)listener;
	set_int(t, fd, SOL_SOCKET, SO_RCVBUF, 20000);
	set_int(t, fd, SOL_SOCKET, SO_SNDBUF, 30000);
	set_int(t, fd, SOL_SOCKET, SO_RCVBUF, 1);
	want_rc(t, "connect", 0, connect(fd, &server.sa, server.len));
	see_int(t, "rcvbuf", get_int(fd, SOL_SOCKET, SO_RCVBUF));
	want_int(t, "sndbuf", 60000, get_int(fd, SOL_SOCKET, SO_SNDBUF));
}

static void filter(struct ctx *t)
{
	/* Datagrams that begin with 'x' pass. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, UDP_HEADER_SIZE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'x', 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { ARRAY_SIZE(code), code };
	struct address address = at_lo(t, 0);
	int fd = xsocket(t), peer = xsocket(t), unused = 0;
	char byte = 0;

	want_rc(t, "attach", 0,
		setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
	xbind(t, fd, &address);
	address = name_of(t, fd);
	sendto(peer, "y", 1, 0, &address.sa, address.len);
	sendto(peer, "x", 1, 0, &address.sa, address.len);
	want_rc(t, "recv", 1, recv(fd, &byte, 1, 0));
	want(t, "passed", "x", "%c", byte);
	want_rc(t, "no-more", -EAGAIN, recv(fd, &byte, 1, MSG_DONTWAIT));
	want_rc(t, "detach", 0,
		setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)));
}

static void device(struct ctx *t)
{
	struct address server = at_any(t, 0), lo, veth;
	int fd = xsocket(t), peer = xsocket(t);

	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) < 0)
		give_up(t, "device");
	xbind(t, fd, &server);
	server = name_of(t, fd);
	lo = at_lo(t, port_of(&server));
	veth = at_veth(t, port_of(&server));
	sendto(peer, "v", 1, 0, &veth.sa, veth.len);
	sendto(peer, "l", 1, 0, &lo.sa, lo.len);
	want_events(t, "arrives", POLLIN, polled(fd, POLLIN, true));
	want_rc(t, "unknown", -ENODEV,
		setsockopt(peer, SOL_SOCKET, SO_BINDTODEVICE, "nothing", 8));
}

static void device_kept(struct ctx *t)
{
	struct address server = at_veth(t, 0);
	int listener = serve_at(t, &server, &server), fd = xsocket(t);
	char name[16] = "";
	socklen_t len = sizeof(name);

	(void)listener;
	nonblocking(fd);
	want_rc(t, "set", 0,
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, VETH_NAME,
			   sizeof(VETH_NAME)));
	want_rc(t, "connect", t->stream ? -EINPROGRESS : 0,
		connect(fd, &server.sa, server.len));
	getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len);
	want(t, "kept", VETH_NAME, "%s", name);
	want_name(t, "name", "veth:dyn", fd);
}

static void incoming_cpu(struct ctx *t)
{
	struct address address = at_lo(t, 0);
	int fd = xsocket(t);

	want_int(t, "default", -1, get_int(fd, SOL_SOCKET, SO_INCOMING_CPU));
	set_int(t, fd, SOL_SOCKET, SO_INCOMING_CPU, 7);
	xbind(t, fd, &address);
	if (t->stream)
		listen(fd, 1);
	want_int(t, "bound", 7, get_int(fd, SOL_SOCKET, SO_INCOMING_CPU));
}

static void queues(struct ctx *t)
{
	int fds[2], value = -1;

	connected_pair(t, fds);
	want_rc(t, "fionread", 0, ioctl(fds[1], FIONREAD, &value));
	want_int(t, "empty", 0, value);
	send(fds[0], "graft", 5, 0);
	polled(fds[1], POLLIN, true);
	ioctl(fds[1], FIONREAD, &value);
	want_int(t, "waiting", 5, value);
	want_rc(t, "siocoutq", 0, ioctl(fds[0], SIOCOUTQ, &value));
	see_rc(t, "siocoutqnsd", ioctl(fds[0], SIOCOUTQNSD, &value));
	want_rc(t, "unknown", -ENOTTY, ioctl(fds[0], 0x12345678, &value));
}

static void ioctl_nonblocking(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t), on = 1, off = 0;
	char byte;

	(void)listener;
	want_rc(t, "on", 0, ioctl(fd, FIONBIO, &on));
	want_int(t, "flag", O_NONBLOCK, fcntl(fd, F_GETFL) & O_NONBLOCK);
	want_rc(t, "connect", t->stream ? -EINPROGRESS : 0,
		connect(fd, &server.sa, server.len));
	want_int(t, "kept", O_NONBLOCK, fcntl(fd, F_GETFL) & O_NONBLOCK);
	polled(fd, POLLOUT, true);
	want_rc(t, "recv", -EAGAIN, recv(fd, &byte, 1, 0));
	want_rc(t, "off", 0, ioctl(fd, FIONBIO, &off));
	want_int(t, "cleared", 0, fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void flags_kept(struct ctx *t)
{
	struct address server, address = at_lo(t, 0);
	int listener = serve(t, &server), fd, before;

	(void)listener;
	for (int i = 0; i < 8; i++) {
		fd = socket(t->family, t->type | (i & 1 ? SOCK_CLOEXEC : 0), 0);
		if (i & 2)
			nonblocking(fd);
		before = fcntl(fd, F_GETFL);
		if (i & 4)
			xbind(t, fd, &address);
		else if (connect(fd, &server.sa, server.len) < 0)
			errno = 0; /* EINPROGRESS */
		want_int(t, "cloexec", i & 1, fcntl(fd, F_GETFD));
		want_int(t, "flags", before, fcntl(fd, F_GETFL));
	}
	fd = socket(t->family, t->type | SOCK_NONBLOCK, 0);
	want_int(t, "by-socket", O_NONBLOCK, fcntl(fd, F_GETFL) & O_NONBLOCK);
	want_int(t, "no-cloexec", 0, fcntl(fd, F_GETFD));
}

static volatile sig_atomic_t n_signals;

static void on_io(int number)
{
	n_signals++;
}

static void async(struct ctx *t)
{
	struct address server, client;
	sigset_t blocked, empty;
	int listener = serve(t, &server), fd = xsocket(t), peer;

	signal(SIGIO, on_io);
	sigemptyset(&empty);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGIO);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	want_rc(t, "owner", 0, fcntl(fd, F_SETOWN, getpid()));
	want_rc(t, "flag", 0, fcntl(fd, F_SETFL, O_ASYNC));
	xconnect(t, fd, &server);
	client = name_of(t, fd);
	peer = take(t, listener);
	want(t, "owner-kept", "own", "%s",
	     fcntl(fd, F_GETOWN) == getpid() ? "own" : "other");
	want_int(t, "flag-kept", O_ASYNC, fcntl(fd, F_GETFL) & O_ASYNC);
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	n_signals = 0;
	if (t->stream)
		send(peer, "x", 1, 0);
	else
		sendto(peer, "x", 1, 0, &client.sa, client.len);
	while (!n_signals)
		sigsuspend(&empty);
	want(t, "signal", "came", "%s", n_signals ? "came" : "none");
}

static void chosen_signal(struct ctx *t)
{
	struct address server;
	int listener = serve(t, &server), fd = xsocket(t);

	(void)listener;
	want_rc(t, "set", 0, fcntl(fd, F_SETSIG, SIGUSR1));
	xconnect(t, fd, &server);
	want_int(t, "kept", SIGUSR1, fcntl(fd, F_GETSIG));
}

static void error_clears(struct ctx *t)
{
	struct address closed = closed_port(t);
	int fd = xsocket(t);

	nonblocking(fd);
	want_error(t, "fresh", 0, fd);
	see_rc(t, "connect", connect(fd, &closed.sa, closed.len));
	if (!t->stream)
		send(fd, "x", 1, 0);
	polled(fd, 0, true);
	want_error(t, "error", ECONNREFUSED, fd);
	want_error(t, "cleared", 0, fd);
}

const struct test_case options_effect_cases[] = {
	{ "options.identity", ALL, identity, "SO_DOMAIN, SO_TYPE, SO_PROTOCOL" },
	{ "options.sizes", ALL, sizes, "short, long and bad option values" },
	{ "options.many", ALL, many, "401 settings before connect" },
	{ "options.failed_is_not_set", ALL, failed_is_not_set,
	  "a refused value leaves the old one" },
	{ "options.linger_reset", INET | STREAM, linger_reset,
	  "SO_LINGER 0 set before connect resets" },
	{ "options.receive_limit", ALL, receive_limit, "SO_RCVTIMEO on accept and recv" },
	{ "options.send_limit", INET | STREAM, send_limit,
	  "SO_SNDTIMEO on a full connection" },
	{ "options.buffers", ALL, buffers, "buffer sizes set before connect" },
	{ "options.filter", INET | DGRAM, filter,
	  "SO_ATTACH_FILTER before bind filters after it" },
	{ "options.device", INET | DGRAM, device, "SO_BINDTODEVICE lo" },
	{ "options.device_kept", ALL, device_kept,
	  "SO_BINDTODEVICE before connect, to another interface" },
	{ "options.incoming_cpu", ALL, incoming_cpu, "SO_INCOMING_CPU before bind" },
	{ "options.queues", ALL, queues, "FIONREAD, SIOCOUTQ, SIOCOUTQNSD" },
	{ "options.ioctl_nonblocking", ALL, ioctl_nonblocking, "FIONBIO before connect" },
	{ "options.flags_kept", ALL, flags_kept,
	  "O_NONBLOCK and FD_CLOEXEC over bind and connect" },
	{ "options.async", ALL, async, "F_SETOWN and O_ASYNC set before connect" },
	{ "options.chosen_signal", ALL, chosen_signal, "F_SETSIG set before connect" },
	{ "options.error_clears", ALL, error_clears, "SO_ERROR is told once" },
};
CASES(options_effect);
