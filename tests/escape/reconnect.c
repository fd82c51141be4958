/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A socket that was allowed somewhere is turned round and used for something else. */
#include <string.h>
#include <unistd.h>

#include "escape.h"

static void disconnect(const struct way *way)
{
	struct target allowed = target_allowed(way), canary = target_canary(way);
	int fd = fresh(way);

	reach(fd, &allowed);
	seen_disconnect(fd);
	reach(fd, &canary);
	close(fd);
}

static void disconnect_denied(const struct way *way)
{
	struct target allowed = target_allowed(way), target = target_denied(way);
	int fd = fresh(way);

	reach(fd, &allowed);
	seen_disconnect(fd);
	reach(fd, &target);
	close(fd);
}

static void disconnect_often(const struct way *way)
{
	struct target allowed = target_allowed(way), canary = target_canary(way);
	int fd = fresh(way);

	for (int i = 0; i < 20; i++) {
		connect(fd, &allowed.any, allowed.len);
		seen_disconnect(fd);
		seen_disconnect(fd);
		if (!connect(fd, &canary.any, canary.len))
			poke(fd);
		seen_disconnect(fd);
	}
	close(fd);
}

static void direct(const struct way *way)
{
	struct target allowed = target_allowed(way), canary = target_canary(way);
	int fd = fresh(way);

	reach(fd, &allowed);
	reach(fd, &canary);
	close(fd);
}

static void after_shutdown(const struct way *way)
{
	struct target allowed = target_allowed(way), canary = target_canary(way);
	int fd = fresh(way);

	reach(fd, &allowed);
	seen("shutdown", shutdown(fd, SHUT_RDWR));
	reach(fd, &canary);
	seen_disconnect(fd);
	reach(fd, &canary);
	close(fd);
}

static int listener(const struct way *way)
{
	struct target local = target_local(way, PORT_GIVEN);
	int fd = fresh(way), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	seen("bind", bind(fd, &local.any, local.len));
	seen("listen", listen(fd, 8));
	return fd;
}

static void from_listener(const struct way *way)
{
	struct target canary = target_canary(way);
	int fd = listener(way);

	reach(fd, &canary);
	seen("shutdown", shutdown(fd, SHUT_RDWR));
	reach(fd, &canary);
	close(fd);
	fd = listener(way);
	seen_disconnect(fd);
	reach(fd, &canary);
	close(fd);
}

static void from_accepted(const struct way *way)
{
	struct target canary = target_canary(way);
	struct target given = target_allowed(way);
	int fd = listener(way), client = fresh(way), accepted;

	given.v4.sin_port = htons(PORT_GIVEN);
	if (seen_connect(client, &given) == 0) {
		accepted = seen("accept", accept(fd, NULL, NULL));
		seen_disconnect(accepted);
		reach(accepted, &canary);
		seen_disconnect(client);
		reach(client, &canary);
		close(accepted);
	}
	close(client);
	close(fd);
}

static void bind_after_disconnect(const struct way *way)
{
	struct target allowed = target_allowed(way);
	struct target local = target_local(way, PORT_UNLISTED);
	int fd = fresh(way);

	reach(fd, &allowed);
	seen_disconnect(fd);
	seen("bind", bind(fd, &local.any, local.len));
	if (way_is_stream(way))
		seen("listen", listen(fd, 8));
	check_listeners();
	close(fd);
}

static void bound_then_connect(const struct way *way)
{
	struct target local = target_local(way, PORT_GIVEN), canary = target_canary(way);
	int fd = fresh(way), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	seen("bind", bind(fd, &local.any, local.len));
	reach(fd, &canary);
	seen_disconnect(fd);
	reach(fd, &canary);
	close(fd);
}

static void any_bound_then_connect(const struct way *way)
{
	struct target canary = target_canary(way);
	struct target local =
		target_make(way->family, way->family == AF_INET ? "127.0.0.1" : "::1", 0);
	struct target allowed = target_allowed(way);
	int fd = fresh(way);

	seen("bind", bind(fd, &local.any, local.len));
	seen_connect(fd, &allowed);
	seen_disconnect(fd);
	reach(fd, &canary);
	close(fd);
}

const struct attempt attempts_reconnect[] = {
	{ "disconnect", WAY_ALL, 0, disconnect,
	  "connect(AF_UNSPEC), then to the loopback" },
	{ "disconnect-denied", WAY_ALL, 0, disconnect_denied,
	  "connect(AF_UNSPEC), then to a denied address" },
	{ "disconnect-often", WAY_ALL, 0, disconnect_often,
	  "the same, twenty times over" },
	{ "reconnect-direct", WAY_UDP, 0, direct, "reconnect without disconnecting" },
	{ "reconnect-shutdown", WAY_TCP, 0, after_shutdown, "after shutdown" },
	{ "reconnect-listener", WAY_TCP, 0, from_listener,
	  "a listener becomes a client" },
	{ "reconnect-accepted", WAY_TCP, 0, from_accepted,
	  "an accepted socket becomes a client" },
	{ "bind-after-disconnect", WAY_ALL, 0, bind_after_disconnect,
	  "bind an unlisted port after connect(AF_UNSPEC)" },
	{ "bound-then-connect", WAY_ALL, 0, bound_then_connect,
	  "a socket on a published port becomes a client" },
	{ "loopback-source", WAY_ALL, 0, any_bound_then_connect,
	  "bound to a loopback address first" },
	{}
};
