/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking a port of the host that no rule gives. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "escape.h"

static void serve(int fd, const struct way *way, const struct target *local)
{
	if (local)
		seen("bind", bind(fd, &local->any, local->len));
	if (way_is_stream(way))
		seen("listen", listen(fd, 8));
}

static void bind_address(const struct way *way, const char *v4, const char *v6, int port)
{
	struct target local =
		target_make(way->family, way->family == AF_INET ? v4 : v6, port);
	int fd = fresh(way);

	serve(fd, way, &local);
	check_listeners();
	close(fd);
}

static void wildcard(const struct way *way)
{
	bind_address(way, "0.0.0.0", "::", PORT_UNLISTED);
}

static void loopback(const struct way *way)
{
	bind_address(way, "127.0.0.1", "::1", PORT_UNLISTED);
}

static void host_address(const struct way *way)
{
	bind_address(way, "10.77.0.1", "fd77::1", PORT_UNLISTED);
}

static void mapped(const struct way *way)
{
	bind_address(way, NULL, "::ffff:0.0.0.0", PORT_UNLISTED);
	bind_address(way, NULL, "::ffff:10.77.0.1", PORT_UNLISTED);
}

static void zero(const struct way *way)
{
	bind_address(way, "0.0.0.0", "::", 0);
}

static void host_then_bind(const struct way *way)
{
	struct target local = target_local(way, PORT_UNLISTED);
	int fd = host_socket(way);

	serve(fd, way, &local);
	check_listeners();
	close(fd);
}

static void host_then_zero(const struct way *way)
{
	struct target local = target_local(way, 0);
	int fd = host_socket(way);

	serve(fd, way, &local);
	check_listeners();
	close(fd);
}

static void listen_unbound(const struct way *way)
{
	int fd = fresh(way);

	serve(fd, way, NULL);
	check_listeners();
	close(fd);
}

static void listen_after_refused(const struct way *way)
{
	int fd = host_socket(way);

	serve(fd, way, NULL);
	check_listeners();
	close(fd);
}

static void listen_after_disconnect(const struct way *way)
{
	struct target allowed = target_allowed(way);
	int fd = fresh(way);

	reach(fd, &allowed);
	seen_disconnect(fd);
	serve(fd, way, NULL);
	check_listeners();
	close(fd);
}

/* A published port is bound, then the binding is given up and the socket kept. */
static void listen_again(const struct way *way)
{
	struct target given = target_local(way, PORT_GIVEN),
		      local = target_local(way, PORT_UNLISTED);
	int fd = fresh(way), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	serve(fd, way, &given);
	seen_disconnect(fd);
	seen("shutdown", shutdown(fd, SHUT_RDWR));
	serve(fd, way, &local);
	serve(fd, way, NULL);
	close(fd);
	/* natively proven by a fresh socket */
	fd = host_socket(way);
	serve(fd, way, &local);
	check_listeners();
	close(fd);
}

static void unspec(const struct way *way)
{
	struct target local = target_local(way, PORT_UNLISTED);

	for (int i = 0; i < 2; i++) {
		int fd = i ? host_socket(way) : fresh(way);

		local.any.sa_family = AF_UNSPEC;
		serve(fd, way, &local);
		check_listeners();
		close(fd);
	}
}

#if __SIZEOF_LONG__ == 8
static void high_bits(const struct way *way)
{
	struct target local = target_local(way, PORT_UNLISTED);
	const long high = 1L << 32;
	long fd = host_socket(way);

	seen("bind", syscall(SYS_bind, fd | high, &local, local.len | high));
	if (way_is_stream(way))
		seen("listen", syscall(SYS_listen, fd | high, 8L | high));
	check_listeners();
	close(fd);
}
#else
static void high_bits(const struct way *way)
{
	(void)way;
	unsupported("registers are 32 bits wide");
}
#endif

static void lengths(const struct way *way)
{
	struct target local = target_local(way, PORT_UNLISTED);

	for (local.len = 1; local.len < 200; local.len++) {
		int fd = fresh(way);

		if (!bind(fd, &local.any, local.len)) {
			if (way_is_stream(way))
				listen(fd, 8);
			if (local.len == 40)
				check_listeners();
		}
		close(fd);
	}
	note("lengths 1 to 199 tried");
}

static void device(const struct way *way)
{
	struct target local = target_local(way, PORT_UNLISTED);
	int fd = host_socket(way), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	serve(fd, way, &local);
	check_listeners();
	close(fd);
}

/* Receives what is meant for another: the allowed service's own port, shared. */
static void steal(const struct way *way)
{
	struct target local = target_allowed(way);
	int fd = host_socket(way), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	serve(fd, way, &local);
	check_listeners();
	close(fd);
}

/* A rule gives the port, but a service of the host is there and does not share. */
static void taken(const struct way *way)
{
	for (int sharing = 0; sharing < 4; sharing++) {
		struct target local = target_local(way, PORT_TAKEN);
		int fd = fresh(way), one = 1, r;

		if (sharing & 1)
			setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
		if (sharing & 2)
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		r = bind(fd, &local.any, local.len);
		note("errno bind.%d %s", sharing, r < 0 ? strerrorname_np(errno) : "0");
		if (!r && way_is_stream(way)) {
			r = listen(fd, 8);
			note("errno listen.%d %s", sharing,
			     r < 0 ? strerrorname_np(errno) : "0");
		}
		check_port(PORT_TAKEN);
		close(fd);
	}
}

/*
 * Bound where no rule looks, then taken along to the host by an allowed send. The port
 * must stay behind; that a UDP client can be answered at the port it was given is no
 * breach.
 */
static void carried_from(const struct way *way, const char *v4, const char *v6)
{
	struct target local =
		target_make(way->family, way->family == AF_INET ? v4 : v6, PORT_UNLISTED);
	struct target closed = target_closed(way);
	int fd = fresh(way);

	seen("bind", bind(fd, &local.any, local.len));
	if (!way_is_stream(way))
		seen("sendto", sendto(fd, "x", 1, 0, &closed.any, closed.len));
	else if (seen_connect(fd, &closed) < 0)
		seen("listen", listen(fd, 8));
	check_port(way_is_stream(way) ? 0 : PORT_UNLISTED);
	if (!way_is_stream(way)) {
		seen_connect(fd, &closed);
		seen_disconnect(fd);
		check_port(PORT_UNLISTED);
	}
	close(fd);
}

static void carried(const struct way *way)
{
	carried_from(way, "0.0.0.0", "::");
	if (!way_is_stream(
		    way)) /* a handshake from ::1 to elsewhere takes minutes to fail */
		carried_from(way, "127.0.0.1", "::1");
}

const struct attempt attempts_bind[] = {
	{ "bind", WAY_ALL, 0, wildcard, "bind an unlisted port" },
	{ "bind-loopback", WAY_ALL, 0, loopback,
	  "an unlisted port of the loopback address" },
	{ "bind-host-address", WAY_ALL, 0, host_address,
	  "an unlisted port of a host address" },
	{ "bind-mapped", WAY_V6, 0, mapped, "through IPv4-mapped addresses" },
	{ "bind-zero", WAY_ALL, 0, zero, "any free port" },
	{ "bind-host-socket", WAY_ALL, 0, host_then_bind,
	  "an unlisted port, by a socket already in the host's stack" },
	{ "bind-host-zero", WAY_ALL, 0, host_then_zero, "any free port, the same way" },
	{ "bind-unspec", WAY_V4, 0, unspec, "AF_UNSPEC, which bind takes for AF_INET" },
	{ "bind-high-bits", WAY_ALL, 0, high_bits,
	  "bits above 32 in descriptor and length" },
	{ "bind-lengths", WAY_ALL, 0, lengths, "every address length from 1 to 199" },
	{ "bind-device", WAY_ALL, 0, device, "bound to lo, sharing the port" },
	{ "bind-steal", WAY_ALL, 0, steal, "share the port of another service" },
	{ "bind-taken", WAY_ALL, COMPARES, taken,
	  "a published port that a service of the host holds, sharing" },
	{ "bind-carried", WAY_ALL, 0, carried,
	  "bound in the own stack first, then used towards an allowed address" },
	{ "listen", WAY_TCP, 0, listen_unbound, "listen without bind" },
	{ "listen-refused", WAY_TCP, 0, listen_after_refused,
	  "listen without bind, by a socket already in the host's stack" },
	{ "listen-disconnected", WAY_TCP, 0, listen_after_disconnect,
	  "listen after connect(AF_UNSPEC)" },
	{ "listen-again", WAY_TCP, 0, listen_again, "after giving up a published port" },
	{}
};
