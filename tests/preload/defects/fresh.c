/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls before a socket is grafted, and sockets that no rule is for: each answers as the
 * kernel's own socket does.
 */
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "defects.h"

static const int families[] = { AF_INET, AF_INET6 };
static const int types[] = { SOCK_STREAM, SOCK_DGRAM };

/* Runs a block with fd (through libc) and raw (the kernel's), for every kind. */
#define FOR_EACH_KIND(...)                                                \
	for (size_t f_ = 0; f_ < 2; f_++)                                 \
		for (size_t t_ = 0; t_ < 2; t_++) {                       \
			int fd = xsocket(families[f_], types[t_]);        \
			int raw = raw_socket(families[f_], types[t_], 0); \
			__VA_ARGS__ close(fd);                            \
			raw_close(raw);                                   \
		}

static void same_option(int fd, int raw, int level, int option)
{
	int a = 0, b = 0;
	socklen_t a_len = sizeof(a), b_len = sizeof(b);

	SAME(getsockopt(fd, level, option, &a, &a_len),
	     KERNEL(SYS_getsockopt, raw, level, option, &b, &b_len));
	CHECK(a == b && a_len == b_len, "option %d %d is %d, the kernel's %d", level,
	      option, a, b);
}

static void before_bind(void)
{
	char byte;
	int a, b;

	FOR_EACH_KIND({ SAME(listen(fd, 5), KERNEL(SYS_listen, raw, 5)); })
	FOR_EACH_KIND(
		{ SAME(shutdown(fd, SHUT_RDWR), KERNEL(SYS_shutdown, raw, SHUT_RDWR)); })
	FOR_EACH_KIND({
		SAME(ioctl(fd, FIONREAD, &a), KERNEL(SYS_ioctl, raw, FIONREAD, &b));
		SAME(ioctl(fd, SIOCATMARK, &a), KERNEL(SYS_ioctl, raw, SIOCATMARK, &b));
		SAME(ioctl(fd, 0x1234, &a), KERNEL(SYS_ioctl, raw, 0x1234, &b));
	})
	FOR_EACH_KIND({
		SAME(recv(fd, &byte, 1, MSG_DONTWAIT),
		     KERNEL(SYS_recvfrom, raw, &byte, 1, MSG_DONTWAIT, NULL, NULL));
		SAME(send(fd, "x", 1, MSG_NOSIGNAL),
		     KERNEL(SYS_sendto, raw, "x", 1, MSG_NOSIGNAL, NULL, 0));
		SAME(read(fd, NULL, 0), KERNEL(SYS_read, raw, NULL, 0));
	})
	FOR_EACH_KIND({
		SAME(accept(fd, NULL, NULL), KERNEL(SYS_accept, raw, NULL, NULL));
		SAME(accept4(fd, NULL, NULL, SOCK_NONBLOCK),
		     KERNEL(SYS_accept4, raw, NULL, NULL, SOCK_NONBLOCK));
		SAME(accept4(fd, NULL, NULL, 0x40000000),
		     KERNEL(SYS_accept4, raw, NULL, NULL, 0x40000000));
	})
	FOR_EACH_KIND({
		same_option(fd, raw, IPPROTO_TCP, TCP_MAXSEG);
		same_option(fd, raw, IPPROTO_TCP, TCP_NODELAY);
		same_option(fd, raw, IPPROTO_TCP, 9999);
		same_option(fd, raw, SOL_SOCKET, SO_RCVBUF);
		same_option(fd, raw, SOL_SOCKET, SO_ACCEPTCONN);
		same_option(fd, raw, IPPROTO_IPV6, IPV6_V6ONLY);
		same_option(fd, raw, IPPROTO_IP, IP_TTL);
	})
}

/* A socket that listened without bind() has a port; natively any. */
static void listen_unbound(void)
{
	int fd = xsocket(AF_INET, SOCK_STREAM);
	struct spot name;

	WANT(0, listen(fd, 5));
	name = name_of(fd);
	CHECK(spot_port(&name) != 0, "no port");
	CHECK(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1, "it does not listen");
}

static void poll_fresh(void)
{
	FOR_EACH_KIND({
		struct pollfd a = { .fd = fd, .events = POLLIN | POLLOUT };
		struct pollfd b = { .fd = raw, .events = POLLIN | POLLOUT };

		SAME(poll(&a, 1, 0), poll(&b, 1, 0));
		CHECK(a.revents == b.revents, "events %#x, the kernel's %#x",
		      (unsigned int)a.revents, (unsigned int)b.revents);
	})
	FOR_EACH_KIND({
		int epoll = epoll_create1(EPOLL_CLOEXEC);
		struct epoll_event a = { .events = EPOLLIN | EPOLLOUT, .data.u32 = 1 };
		struct epoll_event b = { .events = EPOLLIN | EPOLLOUT, .data.u32 = 2 };
		struct epoll_event got[2] = { { 0 } };
		int n;

		WANT(0, epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &a));
		WANT(0, epoll_ctl(epoll, EPOLL_CTL_ADD, raw, &b));
		n = epoll_wait(epoll, got, 2, 0);
		CHECK(n == 2 && got[0].events == got[1].events, "%d events %#x %#x", n,
		      got[0].events, got[1].events);
		close(epoll);
	})
}

static void names_fresh(void)
{
	FOR_EACH_KIND({
		struct spot a = { .len = sizeof(a.storage) };
		struct spot b = { .len = sizeof(b.storage) };

		SAME(getsockname(fd, &a.any, &a.len),
		     KERNEL(SYS_getsockname, raw, &b.any, &b.len));
		CHECK(a.len == b.len && spot_equal(&a, &b), "name %s", spot_text(&a));
		SAME(getpeername(fd, &a.any, &a.len),
		     KERNEL(SYS_getpeername, raw, &b.any, &b.len));
		WANT(-ENOTCONN, getpeername(fd, &a.any, &a.len));
	})
}

static uint64_t own_cookie(void)
{
	int raw = raw_socket(AF_INET, SOCK_STREAM, 0);
	uint64_t cookie = cookie_of(raw);

	raw_close(raw);
	return cookie;
}

/* Connects and sends on the own side, from sockets that nobody bound. */
static void no_default(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct spot lo = spot_make(i ? "::1" : "127.0.0.1", 9500), name;
		int listener = raw_socket(families[i], SOCK_STREAM, 0);
		int peer = raw_socket(families[i], SOCK_DGRAM, 0), fd;

		if (raw_bind(listener, &lo.any, lo.len) < 0 ||
		    raw_bind(peer, &lo.any, lo.len) ||
		    KERNEL(SYS_listen, listener, 5) < 0)
			give_up("no server on the own side: %m");
		fd = xsocket(families[i], SOCK_STREAM);
		xconnect(fd, &lo);
		CHECK(cookie_of(fd) == own_cookie(), "not on the own side");
		name = peer_of(fd);
		CHECK(spot_equal(&name, &lo), "peer %s", spot_text(&name));
		close(fd);
		fd = xsocket(families[i], SOCK_DGRAM);
		WANT(1, sendto(fd, "x", 1, 0, &lo.any, lo.len));
		CHECK(readable(peer), "no datagram");
		close(fd);
	}
}

static void socket_pairs(void)
{
	static const int all[] = { AF_UNIX, AF_INET, AF_INET6, AF_GRAFT };
	int a[2], b[2];

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		int r = socketpair(all[i], SOCK_STREAM, 0, a);
		long got = minus_errno(r), kernel;

		kernel = minus_errno(KERNEL(SYS_socketpair, all[i], SOCK_STREAM, 0, b));
		/* AF_GRAFT sockets exist here, only pairs of them do not. */
		CHECK(got == kernel || (all[i] == AF_GRAFT && got == -EOPNOTSUPP),
		      "family %d: %ld, the kernel %ld", all[i], got, kernel);
		if (got == 0)
			exchange(a[0], a[1]);
	}
}

/* 0.0.0.0:8888 and the like are in no rule. */
static void no_rule(void)
{
	for (size_t f = 0; f < 2; f++) {
		for (size_t t = 0; t < 2; t++) {
			struct spot any = spot_make(f ? "::" : "0.0.0.0", 8888), name;
			struct spot lo = spot_make(f ? "::1" : "127.0.0.1", 8888);
			int fd = xsocket(families[f], types[t]), client;

			xbind(fd, &any);
			CHECK(cookie_of(fd) == own_cookie(), "not on the own side");
			name = name_of(fd);
			CHECK(spot_equal(&name, &any), "name %s", spot_text(&name));
			if (types[t] == SOCK_STREAM)
				xlisten(fd);
			client = raw_socket(families[f], types[t], 0);
			CHECK(!raw_connect(client, &lo.any, lo.len), "connect: %m");
			CHECK(send(client, "x", 1, 0) == 1 && readable(fd),
			      "unreachable");
			close(fd);
			raw_close(client);
		}
	}
}

/* No route and no rule: the own side says so. */
static void no_rule_connect(void)
{
	struct spot to = spot_make("203.0.113.1", 80);
	int fd = xsocket(AF_INET, SOCK_STREAM), raw = raw_socket(AF_INET, SOCK_STREAM, 0);

	SAME(connect(fd, &to.any, to.len), raw_connect(raw, &to.any, to.len));
	SAME(sendto(xsocket(AF_INET, SOCK_DGRAM), "x", 1, 0, &to.any, to.len),
	     KERNEL(SYS_sendto, raw_socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, &to.any,
		    to.len));
}

const struct defect defects_fresh[] = {
	{ "before_bind", before_bind },
	{ "listen_unbound", listen_unbound },
	{ "poll_fresh", poll_fresh },
	{ "names_fresh", names_fresh },
	{ "no_default", no_default },
	{ "socket_pairs", socket_pairs },
	{ "no_rule", no_rule },
	{ "no_rule_connect", no_rule_connect },
	{ 0 },
};
