/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a socket does before it is bound: as an ordinary one. */
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "native.h"

/* Everything that answers with a number, on a socket that @make made. */
static void ask_all(int (*make)(int type), int type, long *answers)
{
	char byte;
	int n = 0, value = 0;
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	answers[n++] = rc(recv(make(type), &byte, 1, MSG_DONTWAIT));
	answers[n++] = rc(send(make(type), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT));
	answers[n++] = rc(accept(make(type), NULL, NULL));
	answers[n++] = rc(shutdown(make(type), SHUT_RDWR));
	answers[n++] = rc(getpeername(make(type), (struct sockaddr *)&address, &len));
	answers[n++] = rc(ioctl(make(type), SIOCINQ, &value));
	answers[n++] = rc(ioctl(make(type), SIOCOUTQ, &value));
	answers[n++] = rc(ioctl(make(type), FIONREAD, &value));
	answers[n++] = rc(ioctl(make(type), 0xdead, &value));
	answers[n++] = poll_now(make(type));
	answers[n++] = get_int(make(type), IPPROTO_TCP, TCP_MAXSEG);
	answers[n++] = get_int(make(type), IPPROTO_TCP, TCP_NODELAY);
	answers[n++] = get_int(make(type), IPPROTO_IP, IP_TTL);
	answers[n++] = get_int(make(type), IPPROTO_IPV6, IPV6_V6ONLY);
	answers[n++] = get_int(make(type), SOL_SOCKET, SO_ERROR);
	answers[n++] = get_int(make(type), SOL_SOCKET, SO_TYPE);
	answers[n++] = get_int(make(type), SOL_SOCKET, SO_PROTOCOL);
	answers[n++] = get_int(make(type), SOL_SOCKET, SO_ACCEPTCONN);
	answers[n++] = get_int(make(type), SOL_SOCKET, SO_SNDBUF);
	answers[n++] = get_int(make(type), SOL_SOCKET, SO_RCVBUF);
	answers[n++] = get_int(make(type), SOL_SOCKET, SO_RCVLOWAT);
	answers[n++] = rc(set_int(make(type), IPPROTO_TCP, TCP_NODELAY, 1));
	answers[n++] = rc(set_int(make(type), IPPROTO_TCP, TCP_MAXSEG, 1));
	answers[n++] = rc(set_int(make(type), IPPROTO_IP, IP_TTL, 999));
	answers[n++] = rc(set_int(make(type), SOL_SOCKET, 9999, 1));
	answers[n++] = rc(set_int(make(type), 9999, 1, 1));
	answers[n++] = rc(setsockopt(make(type), SOL_SOCKET, SO_REUSEADDR, NULL, 4));
	answers[n++] = rc(listen(make(type), 1));
	answers[n++] = -1000;
}

static int make_inet(int type)
{
	return socket(AF_INET, type | SOCK_CLOEXEC, 0);
}

static void as_native(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		long native[64] = { 0 }, ours[64] = { 0 };

		ask_all(make_inet, types[i], native);
		ask_all(graft, types[i], ours);
		for (size_t j = 0; native[j] != -1000; j++)
			if (native[j] != ours[j]) {
				printf("# type %d, question %zu\n", types[i], j);
				want(native[j], ours[j]);
			}
	}
}

static void pairs(void)
{
	int fds[2];

	want_rc(-EOPNOTSUPP, socketpair(af_graft, SOCK_STREAM, 0, fds));
}

static void no_source(void)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int fd = graft(SOCK_STREAM), server;

	want_rc(0, connect(fd, &none, sizeof(none)));
	add_host("ep", 0);
	want_rc(0, bind_name(fd, "ep"));
	/* Listening unbound is at any port, as ever. */
	fd = graft(SOCK_STREAM);
	want_rc(0, listen(fd, 1));
	want(1, get_int(fd, SOL_SOCKET, SO_ACCEPTCONN));
	server = plain_connect(box_netns, port_of(fd));
	want(true, exchange(accept(fd, NULL, NULL), server));
}

/* Registered while fresh, woken when grafted. */
static void epoll_before(void)
{
	int fd = graft(SOCK_STREAM), set = epoll_create1(EPOLL_CLOEXEC), client;
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.fd = fd }, got;

	add_host("ep", 0);
	need(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
	while (epoll_wait(set, &got, 1, 0) == 1)
		want(EPOLLHUP, got.events);
	need(bind_name(fd, "ep") == 0 && listen(fd, 1) == 0);
	while (epoll_wait(set, &got, 1, 0) == 1)
		want(0, got.events & EPOLLIN);
	client = plain_connect(host_netns, port_of(fd));
	want(1, epoll_wait(set, &got, 1, 30000));
	want(EPOLLIN, got.events);
	want(true, exchange(accept(fd, NULL, NULL), client));
}

static void *receive(void *argument)
{
	int *fd = argument;
	char byte = 0;

	return (void *)(long)(recv(*fd, &byte, 1, 0) == 1 ? byte : -errno);
}

/* A thread that waits for datagrams gets them once another has bound the socket. */
static void receive_before(void)
{
	int fd = graft(SOCK_DGRAM), client = graft(SOCK_DGRAM);
	struct sockaddr_gr to = gr("udp");
	pthread_t thread;
	void *result;

	add_host("udp", 0);
	need(pthread_create(&thread, NULL, receive, &fd) == 0);
	until_other_waits();
	want_rc(0, bind_name(fd, "udp"));
	want_rc(1, sendto(client, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	pthread_join(thread, &result);
	want('x', (long)result);
	/* Its time-out is in force before, too. */
	fd = graft(SOCK_DGRAM);
	need(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 0, 1000 },
			sizeof(struct timeval)) == 0);
	want(-EAGAIN, (long)receive(&fd));
}

static void ordinary(void)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = graft(SOCK_STREAM), client;
	socklen_t len = sizeof(in6);

	want_rc(-EINVAL, set_int(fd, IPPROTO_GRAFT, GRAFT_SO_FAMILY, AF_UNIX));
	want_rc(0, set_int(fd, IPPROTO_GRAFT, GRAFT_SO_FAMILY, AF_INET));
	want_rc(0, set_int(fd, IPPROTO_GRAFT, GRAFT_SO_FAMILY, AF_INET6));
	want(AF_INET6, get_int(fd, SOL_SOCKET, SO_DOMAIN));
	want(0, get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY));
	want_rc(0, bind(fd, (struct sockaddr *)&in6, sizeof(in6)));
	want_rc(-EISCONN, set_int(fd, IPPROTO_GRAFT, GRAFT_SO_FAMILY, AF_INET));
	want_rc(0, listen(fd, 1));
	want_rc(0, getsockname(fd, (struct sockaddr *)&in6, &len));
	want(AF_INET6, in6.sin6_family);
	client = graft(SOCK_STREAM);
	want_rc(0, connect_inet(client, "::1", ntohs(in6.sin6_port)));
	want(true, exchange(accept(fd, NULL, NULL), client));
	want_rc(-EINVAL, bind_name(fd, "any"));
}

const struct test_case fresh_cases[] = {
	{ "fresh.as_native", "11.14, 11.15, 11.20",
	  "calls before bind() answer as AF_INET's do", as_native },
	{ "fresh.pairs", "11.18", "no socketpair()", pairs },
	{ "fresh.no_source", "11.14", "connect(AF_UNSPEC) and listen() unbound",
	  no_source },
	{ "fresh.epoll_before", "11.15", "epoll registered before bind()", epoll_before },
	{ "fresh.receive_before", "11.14", "recv() begun before bind()", receive_before },
	{ "fresh.ordinary", "11.19", "GRAFT_SO_FAMILY makes it an ordinary socket",
	  ordinary },
};
const size_t n_fresh_cases = ARRAY_SIZE(fresh_cases);
