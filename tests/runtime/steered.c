/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Of published ports, what is the kernel's: connections to an address that somebody holds
 * go to the socket of somebody else, for as long as that listens. In a network namespace
 * of its own, as root. With "nat": the rules of the packet filter are taken as they are.
 * Output is TAP; status 77: this kernel has no packet filter.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/nat.h"
#include "runtime/steer.h"

#define LISTENERS   4
#define PATIENCE_MS 20000

static int n_points, n_failed;
static struct pollfd listeners[LISTENERS];
static nfds_t n_listeners;

static void point(const char *name, bool holds)
{
	n_failed += !holds;
	printf("%s %d - %s\n", holds ? "ok" : "not ok", ++n_points, name);
}

static void make_namespace(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (unshare(CLONE_NEWNET) < 0) {
		printf("1..0 # SKIP no network namespace: %s\n", strerror(errno));
		exit(77);
	}
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
}

static struct sockaddr_in6 address_of(const char *host, uint16_t port)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6,
					.sin6_port = htons(port) };

	inet_pton(AF_INET6, host, &address.sin6_addr);
	return address;
}

/* All are sockets for both families: IPv4 addresses are mapped ones. */
static int serve(const char *host, uint16_t port)
{
	struct sockaddr_in6 address = address_of(host, port);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 8) < 0)
		perror(host);
	listeners[n_listeners++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	return fd;
}

static void stop(int fd)
{
	for (nfds_t i = 0; i < n_listeners; i++)
		if (listeners[i].fd == fd)
			listeners[i].fd = -1;
	close(fd);
}

/* Does a connection to @host come to @server, with the port it was made to? */
static bool reaches(const char *host, uint16_t port, int server)
{
	struct sockaddr_in6 address = address_of(host, port);
	int client = socket(AF_INET6, SOCK_STREAM, 0), accepted;
	socklen_t size = sizeof(address);
	bool is_there;

	if (connect(client, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(client);
		return false;
	}
	/* The client knows before any server does. */
	poll(listeners, n_listeners, PATIENCE_MS);
	accepted = accept(server, NULL, NULL);
	is_there = accepted >= 0 &&
		   getsockname(accepted, (struct sockaddr *)&address, &size) == 0 &&
		   ntohs(address.sin6_port) == port;
	close(accepted);
	close(client);
	return is_there;
}

static struct steer_key key_of(int family, const char *host, uint16_t port)
{
	struct steer_key key = { .family = (uint32_t)family, .port = htons(port) };

	if (host)
		inet_pton(family, host, key.address);
	return key;
}

static int test_steer(void)
{
	struct steer_key any4 = key_of(AF_INET, NULL, 8080);
	struct steer_key any6 = key_of(AF_INET6, NULL, 8080);
	struct steer_key one = key_of(AF_INET, "127.0.0.2", 8081);
	int holder = serve("::", 8080), other = serve("::", 8081);
	int hidden = serve("::ffff:240.103.0.80", 0);
	struct steer *steer = NULL;
	int r = steer_new(&steer, -1);

	printf("# steer_new: %s\n", strerror(-r));
	point("the programs are loaded", r == 0);
	if (r < 0)
		return 1;
	point("a holder is reached", reaches("::ffff:127.0.0.1", 8080, holder));
	point("addresses are put down", steer_add(steer, &any4, 0) == 0 &&
						steer_add(steer, &any6, 1) == 0 &&
						steer_add(steer, &one, 0) == 0);
	point("without a socket: the holder", reaches("::ffff:127.0.0.1", 8080, holder));
	point("a socket is put down",
	      steer_put(steer, 0, hidden) == 0 && steer_put(steer, 1, hidden) == 0);
	point("IPv4", reaches("::ffff:127.0.0.1", 8080, hidden));
	point("IPv6", reaches("::1", 8080, hidden));
	point("one address", reaches("::ffff:127.0.0.2", 8081, hidden));
	point("and no other", reaches("::ffff:127.0.0.3", 8081, other));
	steer_remove(steer, &any6);
	point("an address is taken back", reaches("::1", 8080, holder));
	stop(hidden);
	point("the socket is closed: the holder",
	      reaches("::ffff:127.0.0.1", 8080, holder));
	steer_free(steer);
	return 0;
}

static int test_nat(void)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct nat_rule rules[12];
	struct nat *nat = NULL, *again = NULL;
	size_t n = 0;
	int r = nat_new(&nat, "graft-test");

	if (r < 0) {
		printf("1..0 # SKIP no packet filter: %s\n", strerror(-r));
		exit(77);
	}
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		for (int kind = NAT_KEEP; kind <= NAT_MOVE; kind++)
			for (int udp = 0; udp < 2; udp++)
				rules[n++] = (struct nat_rule){
					.kind = (enum nat_kind)kind,
					.is_udp = udp,
					.family = families[i],
					.port = 8080,
					.is_any = kind != NAT_MOVE,
					.to_port = 4000,
					.from = kind == NAT_MOVE,
				};
	r = nat_set(nat, rules, n);
	printf("# nat_set: %s\n", strerror(-r));
	point("rules of all kinds", r == 0);
	point("in the place of others", nat_set(nat, rules, 3) == 0);
	point("a table is nobody else's", nat_new(&again, "graft-test") == -EPERM);
	nat_free(nat);
	point("and goes with its owner", nat_new(&again, "graft-test") == 0);
	nat_free(again);
	return 0;
}

int main(int argc, char **argv)
{
	int r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	make_namespace();
	r = argc > 1 && !strcmp(argv[1], "nat") ? test_nat() : test_steer();
	printf("1..%d\n", n_points);
	return r || n_failed;
}
