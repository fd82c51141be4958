/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Very many calls: each form of a forbidden address by each call that takes one, and the
 * order of calls, as a generator with a fixed seed has it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "escape.h"
#include "race.h"

static uint64_t state;

static uint32_t draw(uint32_t n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % n;
}

static const char *const forms4[] = { "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.77.0.66" };
static const char *const forms6[] = { "::1",
				      "::",
				      "fd77::66",
				      "::ffff:127.0.0.1",
				      "::ffff:127.1.2.3",
				      "::ffff:0.0.0.0",
				      "::ffff:10.77.0.66",
				      "::127.0.0.1",
				      "::10.77.0.66",
				      "::0.0.0.1" };

static struct target forbidden(const struct way *way)
{
	static const int families[] = { AF_INET, AF_INET6, AF_UNSPEC };
	bool is_v4 = way->family == AF_INET || draw(8) == 0;
	struct target target =
		is_v4 ? target_make(AF_INET, forms4[draw(ARRAY_SIZE(forms4))],
				    PORT_CANARY)
		      : target_make(AF_INET6, forms6[draw(ARRAY_SIZE(forms6))],
				    PORT_CANARY);

	if (!is_v4 && draw(2)) {
		target.v6.sin6_scope_id = draw(4);
		target.v6.sin6_flowinfo = htonl(draw(1 << 20));
	}
	if (draw(4) == 0)
		target.any.sa_family = families[draw(3)];
	if (draw(4) == 0)
		target.len = draw(sizeof(target.storage) + 1);
	return target;
}

static void send_one(int fd, struct target *target, int flags)
{
	struct iovec iov = { "x", 1 };
	struct mmsghdr vector[2] = { { .msg_hdr = { .msg_name = &target->any,
						    .msg_namelen = target->len,
						    .msg_iov = &iov,
						    .msg_iovlen = 1 } } };

	flags |= MSG_NOSIGNAL | MSG_DONTWAIT;
	vector[1] = vector[0];
	switch (draw(3)) {
	case 0:
		sendto(fd, "x", 1, flags, &target->any, target->len);
		break;
	case 1:
		sendmsg(fd, &vector[0].msg_hdr, flags);
		break;
	default:
		sendmmsg(fd, vector, 2, flags);
	}
}

/* What gets through is a datagram or a connection, and the canary's to see. */
static void attack(int fd, const struct way *way)
{
	struct target target = forbidden(way);

	if (draw(2) && !connect(fd, &target.any, target.len))
		send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	else
		send_one(fd, &target, way_is_stream(way) ? MSG_FASTOPEN : 0);
}

/* A handshake with nobody takes minutes to fail. */
static int quick(const struct way *way)
{
	return socket(way->family, way->type | SOCK_NONBLOCK, 0);
}

static void forms(const struct way *way)
{
	struct race race;
	int fd = quick(way);

	state = 1;
	race_start(&race, NULL, NULL);
	while (race_goes_on(&race)) {
		attack(fd, way);
		if (draw(4))
			continue;
		close(fd);
		fd = quick(way);
	}
	race_end(&race);
	close(fd);
}

static void step(int fd, const struct way *way, const struct target *closed)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	switch (draw(6)) {
	case 0:
		connect(fd, &none, sizeof(none));
		break;
	case 1:
		connect(fd, &closed->any, closed->len);
		break;
	case 2:
		sendto(fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL, &closed->any,
		       closed->len);
		break;
	case 3:
		shutdown(fd, (int)draw(3));
		break;
	default:
		attack(fd, way);
	}
}

static void orders(const struct way *way)
{
	struct target closed = target_closed(way);
	struct race race;
	int fds[8];

	state = 2;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = quick(way);
	race_start(&race, NULL, NULL);
	while (race_goes_on(&race)) {
		size_t i = draw(ARRAY_SIZE(fds));

		step(fds[i], way, &closed);
		if (draw(64))
			continue;
		close(fds[i]);
		fds[i] = quick(way);
	}
	race_end(&race);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

static atomic_int turned;

/* A mapped address is one of an IPv6-only socket, or is not, while it is judged. */
static void *turn_v6only(void *context)
{
	(void)context;
	for (int on = 0; !race_is_over(); on = !on)
		setsockopt(atomic_load(&turned), IPPROTO_IPV6, IPV6_V6ONLY, &on,
			   sizeof(on));
	return NULL;
}

static void v6only(const struct way *way)
{
	struct target mapped = target_make(AF_INET6, "::ffff:10.77.0.66", PORT_CANARY);
	struct race race;
	int fd = fresh(way);

	atomic_store(&turned, fd);
	race_start(&race, turn_v6only, NULL);
	while (race_goes_on(&race)) {
		int next;

		if (!connect(fd, &mapped.any, mapped.len))
			send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		next = fresh(way);
		atomic_store(&turned, next);
		close(fd);
		fd = next;
	}
	race_end(&race);
	close(fd);
}

const struct attempt attempts_random[] = {
	{ "random-forms", WAY_ALL, IS_RACE, forms,
	  "forbidden addresses in all forms, by all calls" },
	{ "random-orders", WAY_ALL, IS_RACE, orders,
	  "connect, disconnect, send and shutdown in any order" },
	{ "race-v6only", WAY_V6, IS_RACE, v6only,
	  "IPV6_V6ONLY changes while a mapped address is judged" },
	{}
};
