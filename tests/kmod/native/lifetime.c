/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Endpoints, namespaces and sockets end in every order. */
#include <pthread.h>
#include <sched.h>

#include "native.h"

static void restarts(void)
{
	add_kind("ep", AF_INET, "127.0.0.1", 18090, host_netns);
	for (int i = 0; i < 5; i++) {
		int fd = graft(SOCK_STREAM), client;

		set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		want_rc(0, bind_name(fd, "ep"));
		want_rc(0, listen(fd, 1));
		client = plain_connect(host_netns, 18090);
		want(true, exchange(accept(fd, NULL, NULL), client));
		close(client);
		close(fd);
	}
}

static volatile bool is_over;

static void *add_and_delete(void *argument)
{
	const struct endpoint ep = { .name = "race",
				     .family = AF_INET,
				     .address = "127.0.0.1",
				     .netns = host_netns };

	(void)argument;
	while (!is_over) {
		add(&ep);
		del("race");
	}
	return NULL;
}

static void deleted_in_use(void)
{
	pthread_t thread;
	int n = 0;

	need(pthread_create(&thread, NULL, add_and_delete, NULL) == 0);
	for (int i = 0; i < 3000; i++) {
		int fd = graft(SOCK_STREAM), other = graft(SOCK_STREAM);
		int r = (int)rc(bind_name(fd, "race"));

		want(true, r == 0 || r == -ENOENT);
		n += r == 0;
		if (r == 0) {
			r = (int)rc(connect_name(other, "race"));
			want(true, r == -ECONNREFUSED || r == -ENOENT);
		}
		close(fd);
		close(other);
	}
	is_over = true;
	pthread_join(thread, NULL);
	want(true, n > 0);
}

/* What was bound through it lives on. */
static void deleted(void)
{
	int fd = graft(SOCK_STREAM), client;
	struct sockaddr_gr address;
	socklen_t len = sizeof(address);

	add_host("ep", 0);
	need(bind_name(fd, "ep") == 0 && listen(fd, 1) == 0);
	want(0, del("ep"));
	want_rc(0, getsockname(fd, (struct sockaddr *)&address, &len));
	want(0, strcmp(address.sgr_epname, "ep"));
	client = plain_connect(host_netns, port_of(fd));
	want(true, exchange(accept(fd, NULL, NULL), client));
	want_rc(-ENOENT, connect_name(graft(SOCK_STREAM), "ep"));
}

static int make_netns(void)
{
	int fd;

	need(unshare(CLONE_NEWNET) == 0);
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	enter(box_netns);
	return fd;
}

/* The namespace an endpoint leads to is not kept alive by it, and takes it along. */
static void target_gone(void)
{
	int netns = make_netns(), r;

	add_kind("there", AF_INET, NULL, 0, netns);
	want_rc(0, bind_name(graft(SOCK_STREAM), "there"));
	closefrom(netns);
	for (int i = 0; i < 30000; i++) {
		int fd = graft(SOCK_STREAM);

		r = (int)rc(bind_name(fd, "there"));
		close(fd);
		if (r == -ENOENT)
			break;
		usleep(1000);
	}
	want(-ENOENT, r);
	for (int i = 0; i < 30000 && (r = del("there")) == 0; i++)
		;
	want(-ENOENT, r);
}

/* Sockets in a namespace keep it; the endpoint may go, and its home, too. */
static void home_gone(void)
{
	int netns = make_netns(), fd, client;

	enter(netns);
	add_host("ep", 0);
	fd = graft(SOCK_STREAM);
	need(bind_name(fd, "ep") == 0 && listen(fd, 1) == 0);
	enter(box_netns);
	close(netns);
	client = plain_connect(host_netns, port_of(fd));
	want(true, exchange(accept(fd, NULL, NULL), client));
	close(fd);
}

/* Namespaces that lead into each other and into themselves. That they go is seen by the
 * caller of this program, who counts them. */
static void circles(void)
{
	for (int i = 0; i < 100; i++) {
		int a = make_netns(), b = make_netns();

		enter(a);
		add_kind("self", AF_INET, NULL, 0, a);
		add_kind("other", AF_INET, NULL, 0, b);
		enter(b);
		add_kind("other", AF_INET, NULL, 0, a);
		want_rc(0, bind_name(graft(SOCK_STREAM), "other"));
		enter(box_netns);
		closefrom(a);
	}
}

static void thousand(void)
{
	for (int i = 0; i < 1000; i++) {
		need(unshare(CLONE_NEWNET) == 0);
		add_host("ep", 0);
		if (i % 10 == 0) {
			int fd = graft(SOCK_STREAM);

			want_rc(0, bind_name(fd, "ep"));
			close(fd);
		}
	}
	enter(box_netns);
}

const struct test_case lifetime_cases[] = {
	{ "lifetime.restarts", "11.11", "a server starts again at its endpoint",
	  restarts },
	{ "lifetime.deleted_in_use", "11.4", "added and deleted while it is bound",
	  deleted_in_use },
	{ "lifetime.deleted", "11.4", "sockets outlive their endpoint", deleted },
	{ "lifetime.target_gone", "11.10", "an endpoint ends with where it leads",
	  target_gone },
	{ "lifetime.home_gone", "11.10", "a socket outlives where it came from",
	  home_gone },
	{ "lifetime.circles", "11.10", "namespaces that lead into each other", circles },
	{ "lifetime.thousand", "11.10", "1,000 namespaces come and go", thousand },
};
const size_t n_lifetime_cases = ARRAY_SIZE(lifetime_cases);
