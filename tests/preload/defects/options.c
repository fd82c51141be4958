/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options and what is reported: before the graft, over it, and after it.
 */
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "defects.h"

static const int families[] = { AF_INET, AF_INET6 };

static void same_options(int fd, int raw)
{
	static const int options[][2] = {
		{ SOL_SOCKET, SO_PROTOCOL },   { SOL_SOCKET, SO_DOMAIN },
		{ SOL_SOCKET, SO_TYPE },       { SOL_SOCKET, SO_ACCEPTCONN },
		{ SOL_SOCKET, SO_SNDBUF },     { SOL_SOCKET, SO_RCVBUF },
		{ SOL_SOCKET, SO_ERROR },      { SOL_SOCKET, SO_KEEPALIVE },
		{ SOL_SOCKET, SO_REUSEADDR },  { SOL_SOCKET, SO_REUSEPORT },
		{ SOL_SOCKET, SO_RCVLOWAT },   { SOL_SOCKET, SO_OOBINLINE },
		{ IPPROTO_TCP, TCP_NODELAY },  { IPPROTO_TCP, TCP_DEFER_ACCEPT },
		{ IPPROTO_TCP, TCP_KEEPIDLE }, { IPPROTO_IP, IP_TTL },
		{ IPPROTO_IP, IP_TOS },        { IPPROTO_IPV6, IPV6_V6ONLY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		int a = get_int(fd, options[i][0], options[i][1]), b = 0;
		socklen_t len = sizeof(b);

		if (KERNEL(SYS_getsockopt, raw, options[i][0], options[i][1], &b, &len) <
		    0)
			b = -errno;
		CHECK(a == b, "option %d %d is %d, the kernel's %d", options[i][0],
		      options[i][1], a, b);
	}
}

/* 192.0.2.1:9009 is 127.0.0.1:9009 of the host, where nobody listens. */
static void so_error(void)
{
	struct spot to = spot_make("192.0.2.1", 9009);

	for (int poll_first = 0; poll_first < 2; poll_first++) {
		int fd = xsocket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
		struct pollfd poll_fd = { .fd = fd, .events = POLLOUT | POLLIN };

		if (connect(fd, &to.any, to.len) == 0 || errno != EINPROGRESS) {
			CHECK(errno == ECONNREFUSED, "connect: %m");
			close(fd);
			continue;
		}
		CHECK(poll(&poll_fd, 1, 5000) == 1, "no event");
		CHECK(poll_fd.revents & POLLERR, "events %#x",
		      (unsigned int)poll_fd.revents);
		CHECK(get_int(fd, SOL_SOCKET, SO_ERROR) == ECONNREFUSED,
		      "SO_ERROR is lost");
		CHECK(get_int(fd, SOL_SOCKET, SO_ERROR) == 0, "SO_ERROR is kept");
		close(fd);
	}
	WANT(-ECONNREFUSED, connect(xsocket(AF_INET, SOCK_STREAM), &to.any, to.len));
}

static void same_values(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct spot ask = ask_bind(families[i], SOCK_STREAM);
		/* The kernel's at the address asked for, where only the port differs. */
		struct spot somewhere = ask;
		int fd = xsocket(families[i], SOCK_STREAM);
		int raw = host_socket(families[i], SOCK_STREAM);
		int size = 100000;

		spot_set_port(&somewhere, 0);
		same_options(fd, raw);
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		KERNEL(SYS_setsockopt, raw, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		xbind(fd, &ask);
		CHECK(is_host(fd), "not grafted");
		raw_bind(raw, &somewhere.any, somewhere.len);
		same_options(fd, raw);
		xlisten(fd);
		KERNEL(SYS_listen, raw, 5);
		same_options(fd, raw);
		close(fd);
		raw_close(raw);
	}
}

/* [::]:7008 is [::]:17008 of the host. */
static void option_carried(void)
{
	struct spot ask = spot_make("::", 7008);
	struct spot at = spot_make("127.0.0.1", is_native ? 7008 : 17008);

	for (int only = 0; only < 2; only++) {
		int fd = xsocket(AF_INET6, SOCK_STREAM);
		int client = host_socket(AF_INET, SOCK_STREAM);

		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, only);
		set_int(fd, IPPROTO_TCP, TCP_MAXSEG, 1000);
		xbind(fd, &ask);
		xlisten(fd);
		CHECK(is_host(fd), "not grafted");
		CHECK(get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY) == only,
		      "IPV6_V6ONLY is lost");
		WANT(only ? -ECONNREFUSED : 0, raw_connect(client, &at.any, at.len));
		/* Now it cannot be changed, and that is said. */
		WANT(-EINVAL,
		     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)));
		raw_close(client);
		close(fd);
	}
}

static void option_fails(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM);
	int fd = xsocket(AF_INET, SOCK_STREAM);

	for (int is_bound = 0; is_bound < 2; is_bound++) {
		int raw = raw_socket(AF_INET, SOCK_STREAM, 0), value = 1;

#define TRY(level, option, data, size)                  \
	SAME(setsockopt(fd, level, option, data, size), \
	     KERNEL(SYS_setsockopt, raw, level, option, data, size))
		TRY(IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6);
		TRY(IPPROTO_TCP, TCP_MAXSEG, &value, sizeof(value));
		TRY(IPPROTO_TCP, 9999, &value, sizeof(value));
		TRY(SOL_SOCKET, 9999, &value, sizeof(value));
		TRY(SOL_SOCKET, SO_RCVBUF, &value, 1);
		TRY(IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof(value));
		TRY(99, 1, &value, sizeof(value));
		if (!is_bound)
			xbind(fd, &ask);
		raw_close(raw);
	}
	CHECK(is_host(fd), "not grafted");
}

static void many_options(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM);
	int fd = xsocket(AF_INET, SOCK_STREAM);

	for (int i = 1; i <= 300; i++) {
		set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, i);
		set_int(fd, IPPROTO_IP, IP_TTL, i % 200 + 1);
		set_int(fd, SOL_SOCKET, SO_PRIORITY, i % 7);
	}
	xbind(fd, &ask);
	CHECK(is_host(fd), "not grafted");
	CHECK(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 300, "TCP_KEEPIDLE is lost");
	CHECK(get_int(fd, IPPROTO_IP, IP_TTL) == 101, "IP_TTL is lost");
	CHECK(get_int(fd, SOL_SOCKET, SO_PRIORITY) == 300 % 7, "SO_PRIORITY is lost");
}

static void *option_thread(void *argument)
{
	int fd = *(int *)argument;

	for (int i = 1; i <= 2000; i++) {
		set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, i);
		set_int(fd, SOL_SOCKET, SO_RCVLOWAT, 1);
		set_int(fd, IPPROTO_TCP, TCP_NODELAY, i & 1);
	}
	return NULL;
}

static void option_threads(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM);
	int fd = xsocket(AF_INET, SOCK_STREAM);
	pthread_t threads[8];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		if (pthread_create(&threads[i], NULL, option_thread, &fd))
			give_up("no thread");
	}
	/* While they are at it. */
	xbind(fd, &ask);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	CHECK(is_host(fd), "not grafted");
	CHECK(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 2000, "the last value is lost");
}

static void bad_pointers(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM);
	int fd = xsocket(AF_INET, SOCK_STREAM), raw = raw_socket(AF_INET, SOCK_STREAM, 0);
	int udp = xsocket(AF_INET, SOCK_DGRAM),
	    raw_udp = raw_socket(AF_INET, SOCK_DGRAM, 0);
	struct msghdr message = { .msg_name = BAD_POINTER, .msg_namelen = 16 };
	socklen_t len = 16;

	SAME(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, BAD_POINTER, 4),
	     KERNEL(SYS_setsockopt, raw, SOL_SOCKET, SO_RCVBUF, BAD_POINTER, 4));
	SAME(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, NULL, 4),
	     KERNEL(SYS_setsockopt, raw, IPPROTO_TCP, TCP_NODELAY, NULL, 4));
	SAME(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, BAD_POINTER, &len),
	     KERNEL(SYS_getsockopt, raw, SOL_SOCKET, SO_RCVBUF, BAD_POINTER, &len));
	SAME(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &len, BAD_POINTER),
	     KERNEL(SYS_getsockopt, raw, SOL_SOCKET, SO_RCVBUF, &len, BAD_POINTER));
	SAME(bind(fd, BAD_POINTER, 16), raw_bind(raw, BAD_POINTER, 16));
	SAME(bind(fd, NULL, 16), raw_bind(raw, NULL, 16));
	SAME(connect(fd, BAD_POINTER, 16), raw_connect(raw, BAD_POINTER, 16));
	SAME(getsockname(fd, BAD_POINTER, &len),
	     KERNEL(SYS_getsockname, raw, BAD_POINTER, &len));
	SAME(getsockname(fd, &ask.any, BAD_POINTER),
	     KERNEL(SYS_getsockname, raw, &ask.any, BAD_POINTER));
	SAME(sendto(udp, "x", 1, 0, BAD_POINTER, 16),
	     KERNEL(SYS_sendto, raw_udp, "x", 1, 0, BAD_POINTER, 16));
	SAME(sendmsg(udp, BAD_POINTER, 0), KERNEL(SYS_sendmsg, raw_udp, BAD_POINTER, 0));
	SAME(sendmsg(udp, &message, 0), KERNEL(SYS_sendmsg, raw_udp, &message, 0));
	ask = ask_bind(AF_INET, SOCK_STREAM);
	xbind(fd, &ask);
	CHECK(is_host(fd), "not grafted");
	SAME(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, BAD_POINTER, 4),
	     KERNEL(SYS_setsockopt, raw, SOL_SOCKET, SO_RCVBUF, BAD_POINTER, 4));
	SAME(getsockname(fd, BAD_POINTER, &len),
	     KERNEL(SYS_getsockname, raw, BAD_POINTER, &len));
}

/* Values as long as they may be, and longer, to sockets on both sides. */
static void long_values(void)
{
	struct sock_filter accept_all[100];
	struct sock_fprog program = { ARRAY_SIZE(accept_all), accept_all };
	char *big = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM);
	int fd = xsocket(AF_INET, SOCK_STREAM), raw = raw_socket(AF_INET, SOCK_STREAM, 0);

	for (size_t i = 0; i < ARRAY_SIZE(accept_all); i++)
		accept_all[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0xffffffff);
	memset(big, 0, 8192);
	big[0] = 'l', big[1] = 'o';
	/* What comes after the value is not there to be read. */
	mprotect(big + 4096, 4096, PROT_NONE);
	for (int is_bound = 0; is_bound < 2; is_bound++) {
		static const unsigned int sizes[] = { 127, 128, 129, 200, 1024, 4096 };

		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			TRY(SOL_SOCKET, SO_BINDTODEVICE, big + 4096 - sizes[i], sizes[i]);
			TRY(SOL_SOCKET, SO_RCVLOWAT, big + 4096 - sizes[i], sizes[i]);
			TRY(IPPROTO_IP, IP_OPTIONS, big + 4096 - sizes[i], sizes[i]);
		}
		TRY(IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
		TRY(SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
		CHECK(get_int(fd, SOL_SOCKET, SO_RCVLOWAT) ==
			      get_int(raw, SOL_SOCKET, SO_RCVLOWAT),
		      "SO_RCVLOWAT is %d", get_int(fd, SOL_SOCKET, SO_RCVLOWAT));
		if (!is_bound)
			xbind(fd, &ask);
	}
	CHECK(is_host(fd), "not grafted");
}

const struct defect defects_options[] = {
	{ "so_error", so_error },
	{ "same_values", same_values },
	{ "option_carried", option_carried },
	{ "option_fails", option_fails },
	{ "many_options", many_options },
	{ "option_threads", option_threads },
	{ "bad_pointers", bad_pointers },
	{ "long_values", long_values },
	{ 0 },
};
