/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptor numbers: zero, many, and many threads at once.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "defects.h"

static void fd_zero_socket(void)
{
	struct spot ask = ask_bind(AF_INET, SOCK_STREAM);
	struct spot at = at_bind(AF_INET, SOCK_STREAM);
	int fd, client;

	close(0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	WANT(0, fd);
	xbind(fd, &ask);
	xlisten(fd);
	CHECK(is_host(fd), "not grafted");
	client = host_connect(&at, SOCK_STREAM);
	close(1);
	fd = accept(0, NULL, NULL);
	CHECK(fd == 1, "accept gave %d, not the lowest number", fd);
	exchange(fd, client);
}

/* It is something else, or a socket that nobody touched: nothing of it is ours. */
static void fd_zero_other(void)
{
	static char big[4096];
	int raw, spare = raw_socket(AF_INET, SOCK_STREAM, 0), pipes[2], fd;

	if (pipe(pipes) < 0 || dup2(pipes[0], 0) != 0)
		give_up("no pipe at 0: %m");
	WANT(-ENOTSOCK, setsockopt(0, SOL_SOCKET, SO_RCVBUF, big, sizeof(big)));
	WANT(-ENOTSOCK, listen(0, 1));
	raw = raw_socket(AF_INET, SOCK_STREAM, 0);
	KERNEL(SYS_dup3, raw, 0, 0);
	big[0] = 1;
	SAME(setsockopt(0, SOL_SOCKET, SO_KEEPALIVE, big, sizeof(big)),
	     KERNEL(SYS_setsockopt, spare, SOL_SOCKET, SO_KEEPALIVE, big, sizeof(big)));
	CHECK(get_int(0, SOL_SOCKET, SO_KEEPALIVE) == 1, "the option is lost");
	close(0);
	WANT(-EBADF, listen(0, 1));
	fd = xsocket(AF_INET, SOCK_STREAM);
	WANT(0, fd);
}

static void many_sockets(void)
{
	struct rlimit limit = { 2300, 2300 };
	struct spot at = at_connect(AF_INET), ask = ask_connect(AF_INET);
	int listener = host_listen(&at, SOCK_STREAM), previous = -1, n = 0, fd, lowest;

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		not_here("no 2300 descriptors");
	for (;;) {
		lowest = (int)KERNEL(SYS_dup, listener);
		raw_close(lowest);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0)
			break;
		CHECK(fd == lowest, "socket gave %d, not the lowest number, %d", fd,
		      lowest);
		previous = fd;
		n++;
	}
	CHECK(fd == -1 && errno == EMFILE, "socket gave %d, %m", fd);
	CHECK(n > 2200, "only %d sockets", n);
	for (fd = previous - 599; fd <= previous; fd++)
		close(fd);
	for (int i = 0; i < 200; i++) {
		fd = xsocket(AF_INET, SOCK_STREAM);
		xconnect(fd, &ask);
		CHECK(is_host(fd), "not grafted");
		raw_close(host_accept(listener));
	}
}

static void *opener(void *argument)
{
	struct spot ask = ask_bind(AF_INET, SOCK_DGRAM);

	(void)argument;
	for (int i = 0; i < 300; i++) {
		int fd = xsocket(AF_INET, SOCK_DGRAM),
		    other = xsocket(AF_INET6, SOCK_STREAM);
		bool bound;

		set_int(fd, SOL_SOCKET, SO_REUSEADDR,
			1); /* UDP: any number may share it */
		bound = bind(fd, &ask.any, ask.len) == 0;
		CHECK(bound, "bind: %m");
		CHECK(get_int(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM, "another's socket");
		CHECK(get_int(other, SOL_SOCKET, SO_DOMAIN) == AF_INET6,
		      "another's socket");
		CHECK(close(fd) == 0 && close(other) == 0, "close: %m");
	}
	return NULL;
}

static void many_threads(void)
{
	pthread_t threads[8];
	int fd = xsocket(AF_INET, SOCK_DGRAM), n_before;
	struct spot ask = ask_bind(AF_INET, SOCK_DGRAM);

	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	xbind(fd, &ask);
	CHECK(is_host(fd), "not grafted");
	n_before = n_fds();
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		if (pthread_create(&threads[i], NULL, opener, NULL))
			give_up("no thread");
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	CHECK(n_fds() == n_before, "%d descriptors became %d", n_before, n_fds());
}

const struct defect defects_table[] = {
	{ "fd_zero_socket", fd_zero_socket },
	{ "fd_zero_other", fd_zero_other },
	{ "many_sockets", many_sockets },
	{ "many_threads", many_threads },
	{ 0 },
};
