/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connect() to a forbidden address in every form the kernel takes. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "escape.h"

static void reach_fresh(const struct way *way, const struct target *target)
{
	int fd = fresh(way);

	reach(fd, target);
	close(fd);
}

static void reach_address(const struct way *way, const char *v4, const char *v6)
{
	struct target target =
		target_make(way->family, way->family == AF_INET ? v4 : v6, PORT_CANARY);

	reach_fresh(way, &target);
}

static void plain(const struct way *way)
{
	struct target canary = target_canary(way);

	reach_fresh(way, &canary);
}

static void denied(const struct way *way)
{
	struct target target = target_denied(way);

	reach_fresh(way, &target);
}

static void denied_mapped(const struct way *way)
{
	reach_address(way, NULL, "::ffff:10.77.0.66");
}

static void any(const struct way *way)
{
	reach_address(way, "0.0.0.0", "::");
}

static void mapped(const struct way *way)
{
	reach_address(way, NULL, "::ffff:127.0.0.1");
}

static void mapped_any(const struct way *way)
{
	reach_address(way, NULL, "::ffff:0.0.0.0");
}

static void other_loopback(const struct way *way)
{
	reach_address(way, "127.1.2.3", "::ffff:127.1.2.3");
}

static void scoped(const struct way *way)
{
	struct target canary = target_canary(way);

	canary.v6.sin6_scope_id = 1;
	canary.v6.sin6_flowinfo = htonl(0x12345);
	reach_fresh(way, &canary);
}

static void inet_on_inet6(const struct way *way)
{
	struct target canary = target_make(AF_INET, "127.0.0.1", PORT_CANARY);

	reach_fresh(way, &canary);
	canary.len = sizeof(canary.storage);
	reach_fresh(way, &canary);
}

static void lengths(const struct way *way)
{
	struct target canary = target_canary(way);
	int n_refused = 0, error = 0;

	for (canary.len = 0; canary.len <= 200; canary.len++) {
		int fd = fresh(way);

		if (connect(fd, &canary.any, canary.len) < 0) {
			n_refused++;
			error = errno;
		} else {
			send(fd, "x", 1, MSG_NOSIGNAL);
		}
		close(fd);
	}
	errno = error;
	note("%d of 201 lengths refused, the last with %s", n_refused,
	     strerrorname_np(error));
}

#if __SIZEOF_LONG__ == 8
static void high_bits(const struct way *way)
{
	struct target canary = target_canary(way);
	const long high = 1L << 32;

	for (int mask = 0; mask < 8; mask++) {
		long domain = way->family + (mask & 1 ? high : 0);
		long fd = seen("socket", syscall(SYS_socket, domain, way->type, 0L));

		if (fd < 0)
			continue;
		if (!seen("connect",
			  syscall(SYS_connect, fd + (mask & 2 ? high : 0), &canary,
				  canary.len + (mask & 4 ? high : 0))))
			poke(fd);
		close(fd);
	}
}

static void high_type(const struct way *way)
{
	struct target canary = target_canary(way);
	long fd = seen("socket",
		       syscall(SYS_socket, (long)way->family | (0x7fffffffL << 32),
			       (long)way->type | (0x7fL << 32), 3L << 33));

	if (fd >= 0)
		reach(fd, &canary);
}
#else
static void high_bits(const struct way *way)
{
	(void)way;
	unsupported("registers are 32 bits wide");
}

static void high_type(const struct way *way)
{
	high_bits(way);
}
#endif

static void again(const struct way *way)
{
	struct target closed = target_closed(way), canary = target_canary(way);
	int fd = fresh(way);

	reach(fd, &closed);
	if (!way_is_stream(way))
		poke(fd); /* takes the pending ECONNREFUSED */
	reach(fd, &canary);
	close(fd);
}

static void after_denial(const struct way *way)
{
	struct target closed = target_closed(way), canary = target_canary(way),
		      target = target_denied(way);
	int fd = fresh(way);

	seen_connect(fd, &target);
	seen_connect(fd, &closed);
	seen_connect(fd, &target);
	seen_disconnect(fd);
	reach(fd, &canary);
	close(fd);
}

static void nonblocking(const struct way *way)
{
	struct target canary = target_canary(way);
	struct pollfd wait = { .events = POLLOUT };

	wait.fd = socket(way->family, way->type | SOCK_NONBLOCK, 0);
	seen_connect(wait.fd, &canary);
	poll(&wait, 1, 1000);
	seen_connect(wait.fd, &canary);
	poke(wait.fd);
	close(wait.fd);
}

const struct attempt attempts_address[] = {
	{ "connect", WAY_ALL, 0, plain, "connect to the host's loopback" },
	{ "connect-denied", WAY_ALL, 0, denied,
	  "connect to an address that a rule denies" },
	{ "connect-denied-mapped", WAY_V6, 0, denied_mapped,
	  "the denied IPv4 address in its mapped form" },
	{ "connect-any", WAY_ALL, 0, any, "connect to 0.0.0.0 or [::]" },
	{ "connect-mapped", WAY_V6, 0, mapped, "connect to ::ffff:127.0.0.1" },
	{ "connect-mapped-any", WAY_V6, 0, mapped_any, "connect to ::ffff:0.0.0.0" },
	{ "connect-other-loopback", WAY_ALL, 0, other_loopback,
	  "connect to 127.1.2.3, plain and mapped" },
	{ "connect-scoped", WAY_V6, 0, scoped, "::1 with a scope and a flow label" },
	{ "connect-inet-on-inet6", WAY_UDP6, 0, inet_on_inet6,
	  "an AF_INET address on an AF_INET6 socket" },
	{ "connect-lengths", WAY_ALL, 0, lengths, "every address length from 0 to 200" },
	{ "connect-high-bits", WAY_ALL, 0, high_bits,
	  "bits above 32 in domain, descriptor and length" },
	{ "socket-high-bits", WAY_ALL, 0, high_type,
	  "bits above 32 in domain, type and protocol" },
	{ "connect-again", WAY_ALL, 0, again, "connect again after ECONNREFUSED" },
	{ "connect-after-denial", WAY_ALL, 0, after_denial,
	  "denied, allowed, denied, disconnected, loopback" },
	{ "connect-nonblocking", WAY_ALL, 0, nonblocking, "non-blocking connect, twice" },
	{}
};
