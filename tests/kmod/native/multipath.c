/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MPTCP, whose flows have sockets of their own, the first before ours has one. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/time.h>

#include "native.h"

#ifndef IPPROTO_MPTCP
#	define IPPROTO_MPTCP 262
#endif

#define MUCH (8 << 20)

static int make(void)
{
	int fd = socket(af_graft, SOCK_STREAM, IPPROTO_MPTCP);

	if (fd < 0)
		skip("the kernel has no MPTCP");
	return fd;
}

static int listen_at(const char *name)
{
	int server = make();

	add_host(name, 0);
	want_rc(0, set_int(server, SOL_SOCKET, SO_REUSEADDR, 1));
	need(bind_name(server, name) == 0 && listen(server, 1) == 0);
	return server;
}

static void talks(void)
{
	int server = listen_at("ep"), fd = make(), other;

	want_rc(0, connect_name(fd, "ep"));
	other = accept(server, NULL, NULL);
	want(true, exchange(fd, other));
	want(IPPROTO_MPTCP, get_int(fd, SOL_SOCKET, SO_PROTOCOL));
	close(fd);
	close(other);
	close(server);
}

static void *take_one(void *argument)
{
	int *server = argument, fd = accept(*server, NULL, NULL);

	return (void *)(long)(fd < 0 ? -errno : fd);
}

/* Who waits in accept() hears of whoever comes. */
static void accept_waits(void)
{
	int server = listen_at("ep"), fd = make();
	pthread_t thread;
	void *result;

	need(pthread_create(&thread, NULL, take_one, &server) == 0);
	until_other_waits();
	want_rc(0, connect_name(fd, "ep"));
	pthread_join(thread, &result);
	need((long)result >= 0);
	want(true, exchange(fd, (int)(long)result));
}

static void accept_ends(void)
{
	struct timeval soon = { 0, 1000 };
	int server = listen_at("ep");

	need(fcntl(server, F_SETFL, O_NONBLOCK) == 0);
	want_rc(-EAGAIN, accept(server, NULL, NULL));
	need(fcntl(server, F_SETFL, 0) == 0);
	need(setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)) == 0);
	want_rc(-EAGAIN, accept(server, NULL, NULL));
	want_rc(-EINVAL, accept(make(), NULL, NULL));
}

static void *drain(void *argument)
{
	static char buffer[65536];
	int fd = *(int *)argument;
	ssize_t n, total = 0;

	while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0)
		total += n;
	return (void *)(long)(n < 0 ? -errno : total);
}

/* Who waits for room goes on: by a socket that was bound before it connected, too. */
static void much(void)
{
	static const char block[65536];

	for (int is_bound = 0; is_bound < 2; is_bound++) {
		int server = listen_at(is_bound ? "ep1" : "ep0"), fd = make(), other;
		ssize_t n, total = 0;
		pthread_t thread;
		void *result;

		add_host("from", 0);
		need(!is_bound || bind_name(fd, "from") == 0);
		want_rc(0, connect_name(fd, is_bound ? "ep1" : "ep0"));
		other = accept(server, NULL, NULL);
		need(pthread_create(&thread, NULL, drain, &other) == 0);
		while (total < MUCH && (n = send(fd, block, sizeof(block), 0)) > 0)
			total += n;
		shutdown(fd, SHUT_WR);
		pthread_join(thread, &result);
		want(total, (long)result);
		del("from");
		close(fd);
		close(other);
		close(server);
	}
}

const struct test_case multipath_cases[] = {
	{ "multipath.talks", "11.30", "the protocol of socket() is MPTCP", talks },
	{ "multipath.accept_waits", "", "accept() that waits is woken", accept_waits },
	{ "multipath.accept_ends", "", "accept() that need not wait, or not long",
	  accept_ends },
	{ "multipath.much", "", "send() that waits is woken", much },
};
const size_t n_multipath_cases = ARRAY_SIZE(multipath_cases);
