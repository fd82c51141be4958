/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random numbers, names, addresses and descriptors: mostly such that calls succeed,
 * since what is refused at the door shows nothing.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/graft.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"

uint32_t random_bits(struct actor *actor)
{
	uint64_t x = actor->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	actor->random = x;
	return (x * 0x2545f4914f6cdd1dULL) >> 32;
}

uint32_t random_below(struct actor *actor, uint32_t n)
{
	return random_bits(actor) % n;
}

bool random_one_in(struct actor *actor, uint32_t n)
{
	return random_below(actor, n) == 0;
}

int random_int(struct actor *actor)
{
	static const int borders[] = { -1,   INT_MAX, INT_MIN, 127,   128,   255,
				       4095, 4096,    32767,   65535, 65536, 1 << 20 };

	switch (random_below(actor, 4)) {
	case 0:
		return random_of(actor, borders);
	case 1:
		return random_bits(actor);
	default:
		return random_below(actor, 9);
	}
}

size_t random_fill(struct actor *actor, size_t size)
{
	size_t i, n = random_below(actor, size + 1);

	for (i = 0; i < n; i += 1 + random_below(actor, 16))
		actor->bytes[i] = random_bits(actor);
	return n;
}

void random_name(struct actor *actor, char name[17])
{
	static const char *const others[] = { GRAFT_DEFAULT_SOURCE,
					      "sixteen-letters-",
					      "",
					      "init0",
					      "init1",
					      "nobody",
					      "new/\xff" };

	switch (random_below(actor, 16)) {
	case 0:
		snprintf(name, 17, "%s", random_of(actor, others));
		break;
	case 1 ... 3: /* those that come and go */
		snprintf(name, 17, "new%u", random_below(actor, 8));
		break;
	case 4 ... 5:
		snprintf(name, 17, "unix%u", random_below(actor, 4));
		break;
	case 6 ... 7:
		snprintf(name, 17, "space%u", random_below(actor, FUZZ_SPACES));
		break;
	case 8 ... 11:
		snprintf(name, 17, "dynamic%u", random_below(actor, 6));
		break;
	default:
		snprintf(name, 17, "fixed%u", random_below(actor, 12));
	}
}

int socket_new(struct actor *actor, int type)
{
	struct timeval limit = { .tv_usec = 20000 };
	int fd;

	fd = socket(fuzz.family, type | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !(type & SOCK_NONBLOCK)) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	}
	return fd;
}

socklen_t address_named(struct sockaddr_storage *address, const char *name)
{
	struct sockaddr_gr *graft = (struct sockaddr_gr *)address;

	memset(address, 0, sizeof(*address));
	graft->sgr_family = AF_GRAFT;
	memcpy(graft->sgr_epname, name, strnlen(name, AF_GRAFT_EPNAME_MAX));
	return sizeof(*graft);
}

static socklen_t address_in(struct actor *actor, struct sockaddr_storage *address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)address;

	in->sin_family = AF_INET;
	in->sin_port =
		random_one_in(actor, 3) ? 0 : htons(FUZZ_PORT + random_below(actor, 12));
	in->sin_addr.s_addr =
		htonl(random_one_in(actor, 8) ? INADDR_ANY : INADDR_LOOPBACK);
	return sizeof(*in);
}

static socklen_t address_in6(struct actor *actor, struct sockaddr_storage *address)
{
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)address;

	in->sin6_family = AF_INET6;
	in->sin6_port =
		random_one_in(actor, 3) ? 0 : htons(FUZZ_PORT + random_below(actor, 12));
	in->sin6_addr = in6addr_loopback;
	if (random_one_in(actor, 4)) /* 127.0.0.1, mapped */
		inet_pton(AF_INET6, "::ffff:127.0.0.1", &in->sin6_addr);
	in->sin6_scope_id = random_one_in(actor, 16);
	return sizeof(*in);
}

static socklen_t address_un(struct actor *actor, struct sockaddr_storage *address)
{
	struct sockaddr_un *un = (struct sockaddr_un *)address;

	un->sun_family = AF_UNIX;
	un->sun_path[0] = 0;
	snprintf(un->sun_path + 1, 16, "fuzz%u", random_below(actor, 4));
	return offsetof(struct sockaddr_un, sun_path) + 6;
}

socklen_t random_address(struct actor *actor, struct sockaddr_storage *address)
{
	socklen_t length;
	char name[17];

	memset(address, 0, sizeof(*address));
	switch (random_below(actor, 16)) {
	case 0:
		length = address_in6(actor, address);
		break;
	case 1:
		length = address_un(actor, address);
		break;
	case 2:
		address->ss_family =
			random_one_in(actor, 2) ? AF_UNSPEC : random_below(actor, 46);
		length = sizeof(*address);
		break;
	case 3 ... 4:
		length = address_in(actor, address);
		break;
	default:
		if (fuzz.family != AF_GRAFT)
			return address_in(actor, address);
		random_name(actor, name);
		length = address_named(address, name);
	}
	if (random_one_in(actor, 32))
		length = random_below(actor, sizeof(*address) + 8);
	return length;
}

int slot_get(struct actor *actor)
{
	int i, fd;

	for (i = 0; i < 4; i++) {
		fd = __atomic_load_n(&actor->slots[random_below(actor, FUZZ_SLOTS)],
				     __ATOMIC_RELAXED);
		if (fd >= 0)
			return fd;
	}
	fd = socket_new(actor, (random_one_in(actor, 3) ? SOCK_DGRAM : SOCK_STREAM) |
				       SOCK_NONBLOCK);
	slot_put(actor, fd);
	return fd;
}

int slot_put(struct actor *actor, int fd)
{
	int old;

	if (fd < 0)
		return -1;
	old = __atomic_exchange_n(&actor->slots[random_below(actor, FUZZ_SLOTS)], fd,
				  __ATOMIC_RELAXED);
	if (old >= 0 && old != fd)
		close(old);
	return 0;
}
