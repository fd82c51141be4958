/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Another thread changes what a descriptor number stands for while a call on it is
 * judged. The number is a UNIX socket when the supervisor looks and a socket in the
 * host's stack when the kernel does; the address changes its family with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "escape.h"
#include "race.h"

enum { NUMBER = 60 };

struct swap {
	int decoy, real; /* NUMBER stands for the one or the other */
	struct target *address;
	struct target harmless, forbidden; /* address, unless NULL */
};

static void *swap_number(void *context)
{
	struct swap *swap = context;

	while (!race_is_over()) {
		if (swap->address)
			memcpy(swap->address, &swap->harmless,
			       sizeof(struct sockaddr_in6));
		dup2(swap->decoy, NUMBER);
		for (int i = rand() & 255; i; i--)
			atomic_signal_fence(memory_order_seq_cst);
		if (swap->address)
			memcpy(swap->address, &swap->forbidden,
			       sizeof(struct sockaddr_in6));
		dup2(swap->real, NUMBER);
		for (int i = rand() & 255; i; i--)
			atomic_signal_fence(memory_order_seq_cst);
	}
	return NULL;
}

static struct target unix_target(void)
{
	struct target target = { .len = sizeof(struct sockaddr_in6) };
	struct sockaddr_un *path = (struct sockaddr_un *)&target.storage;

	path->sun_family = AF_UNIX;
	strcpy(path->sun_path, "/nonexistent"); /* fits in a sockaddr_in6 */
	return target;
}

static void renew(struct swap *swap, int fd)
{
	int old = swap->real;

	swap->real = fd;
	close(old);
}

static void swap_init(struct swap *swap, const struct way *way, int decoy,
		      bool with_memory, struct target *shared)
{
	swap->decoy = decoy;
	swap->real = host_socket(way);
	swap->harmless = unix_target();
	swap->forbidden = target_canary(way);
	*shared = swap->forbidden;
	swap->address = with_memory ? shared : NULL;
	dup2(swap->decoy, NUMBER);
}

static void connect_race(const struct way *way, int decoy, bool with_memory)
{
	struct target shared;
	struct swap swap;
	struct race race;
	int n_connected = 0;

	swap_init(&swap, way, decoy, with_memory, &shared);
	race_start(&race, swap_number, &swap);
	while (race_goes_on(&race)) {
		if (connect(NUMBER, &shared.any, shared.len) == 0)
			n_connected++;
		/* whatever it was done to: a byte proves it */
		if (send(swap.real, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 &&
		    way_is_stream(way))
			renew(&swap, host_socket(way));
	}
	race_end(&race);
	note("connected: %d", n_connected);
}

static void unix_connect(const struct way *way)
{
	connect_race(way, socket(AF_UNIX, SOCK_STREAM, 0), false);
}

static void unix_memory_connect(const struct way *way)
{
	connect_race(way, socket(AF_UNIX, SOCK_STREAM, 0), true);
}

static void own_connect(const struct way *way)
{
	connect_race(way, fresh(way), false);
}

static void file_connect(const struct way *way)
{
	connect_race(way, open("/dev/null", O_RDWR), false);
}

static void send_race(const struct way *way, int flags, bool by_sendto)
{
	struct iovec iov = { "x", 1 };
	struct target shared;
	struct msghdr message = { .msg_name = &shared,
				  .msg_namelen = sizeof(struct sockaddr_in6),
				  .msg_iov = &iov,
				  .msg_iovlen = 1 };
	struct swap swap;
	struct race race;
	int type = way_is_stream(way) ? SOCK_STREAM : SOCK_DGRAM;

	swap_init(&swap, way, socket(AF_UNIX, type, 0), true, &shared);
	race_start(&race, swap_number, &swap);
	flags |= MSG_NOSIGNAL | MSG_DONTWAIT;
	while (race_goes_on(&race)) {
		if (by_sendto)
			sendto(NUMBER, "x", 1, flags, &shared.any, shared.len);
		else
			sendmsg(NUMBER, &message, flags);
	}
	race_end(&race);
}

static void race_sendmsg(const struct way *way)
{
	send_race(way, 0, false);
}

static void race_sendto(const struct way *way)
{
	send_race(way, 0, true);
}

static void race_fastopen(const struct way *way)
{
	send_race(way, MSG_FASTOPEN, true);
	send_race(way, MSG_FASTOPEN, false);
}

static void race_mmsg(const struct way *way)
{
	struct iovec iov = { "x", 1 };
	struct target shared;
	struct mmsghdr vector[2] = {};
	struct swap swap;
	struct race race;

	swap_init(&swap, way, socket(AF_UNIX, SOCK_DGRAM, 0), true, &shared);
	for (int i = 0; i < 2; i++) {
		vector[i].msg_hdr.msg_name = &shared;
		vector[i].msg_hdr.msg_namelen = sizeof(struct sockaddr_in6);
		vector[i].msg_hdr.msg_iov = &iov;
		vector[i].msg_hdr.msg_iovlen = 1;
	}
	race_start(&race, swap_number, &swap);
	while (race_goes_on(&race))
		sendmmsg(NUMBER, vector, 2, MSG_NOSIGNAL | MSG_DONTWAIT);
	race_end(&race);
}

/* Landlock's TCP rules do not cover MPTCP, so here the supervisor stands alone. */
static void race_mptcp(const struct way *way)
{
	struct target shared, closed = target_closed(way);
	struct swap swap;
	struct race race;
	int fd = socket(way->family, SOCK_STREAM, IPPROTO_MPTCP);

	if (seen("socket(IPPROTO_MPTCP)", fd) < 0) {
		if (!is_grafted)
			unsupported("no MPTCP in this kernel");
		return;
	}
	seen_connect(fd, &closed);
	swap_init(&swap, way, socket(AF_UNIX, SOCK_STREAM, 0), true, &shared);
	renew(&swap, fd);
	race_start(&race, swap_number, &swap);
	while (race_goes_on(&race)) {
		struct sockaddr none = { .sa_family = AF_UNSPEC };

		connect(NUMBER, &shared.any, shared.len);
		if (send(swap.real, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
			connect(swap.real, &none, sizeof(none));
	}
	race_end(&race);
}

static void race_bind(const struct way *way)
{
	struct target shared;
	struct swap swap;
	struct race race;

	swap_init(&swap, way, socket(AF_UNIX, SOCK_STREAM, 0), true, &shared);
	swap.forbidden = target_local(way, PORT_UNLISTED);
	race_start(&race, swap_number, &swap);
	while (race_goes_on(&race))
		bind(NUMBER, &shared.any, shared.len);
	race_end(&race);
	if (way_is_stream(way))
		seen("listen", listen(swap.real, 8));
	check_listeners();
}

static void listen_race(const struct way *way, int decoy)
{
	struct target shared;
	struct swap swap;
	struct race race;

	swap_init(&swap, way, decoy, false, &shared);
	race_start(&race, swap_number, &swap);
	while (race_goes_on(&race))
		listen(NUMBER, 8);
	race_end(&race);
	check_listeners();
}

static void race_listen(const struct way *way)
{
	listen_race(way, fresh(way));
}

static void race_unix_listen(const struct way *way)
{
	struct sockaddr_un abstract = { .sun_family = AF_UNIX, .sun_path = "\0escape" };
	int decoy = socket(AF_UNIX, SOCK_STREAM, 0);

	seen("bind", bind(decoy, (struct sockaddr *)&abstract, sizeof(abstract)));
	listen_race(way, decoy);
}

struct table {
	const struct way *way;
	int host;
};

/* A thread with a table of its own: the number means something else to its leader. */
static void *leave_table(void *context)
{
	struct table *table = context;
	struct target canary = target_canary(table->way);

	seen("unshare(CLONE_FILES)", unshare(CLONE_FILES));
	dup2(table->host, NUMBER);
	if (!way_is_stream(table->way))
		seen("sendto", sendto(NUMBER, "x", 1, 0, &canary.any, canary.len));
	reach(NUMBER, &canary);
	return NULL;
}

static void unshared(const struct way *way)
{
	struct table table = { way, host_socket(way) };
	pthread_t thread;

	dup2(socket(AF_UNIX, SOCK_DGRAM, 0), NUMBER);
	pthread_create(&thread, NULL, leave_table, &table);
	pthread_join(thread, NULL);
}

/* The number is closed and taken by something else all the time. */
static void *reuse_number(void *context)
{
	const struct way *way = context;

	while (!race_is_over()) {
		int fd = fresh(way);

		dup2(fd, NUMBER);
		close(fd);
		close(NUMBER);
		dup2(STDERR_FILENO, NUMBER);
		close(NUMBER);
	}
	return NULL;
}

static void reuse(const struct way *way)
{
	struct target canary = target_canary(way), closed = target_closed(way);
	struct race race;

	race_start(&race, reuse_number, (void *)way);
	while (race_goes_on(&race)) {
		connect(NUMBER, &closed.any, closed.len);
		if (!connect(NUMBER, &canary.any, canary.len))
			send(NUMBER, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	race_end(&race);
}

const struct attempt attempts_table[] = {
	{ "table-connect", WAY_TCP, IS_RACE, unix_connect,
	  "dup2 of a UNIX socket over the number during connect" },
	{ "table-connect-udp", WAY_UDP, IS_RACE, unix_connect, "the same for UDP" },
	{ "table-memory-connect", WAY_TCP, IS_RACE, unix_memory_connect,
	  "the same, and the address changes its family" },
	{ "table-memory-connect-udp", WAY_UDP, IS_RACE | IS_KNOWN_OPEN,
	  unix_memory_connect, "the same for UDP" },
	{ "table-own-connect", WAY_ALL, IS_RACE, own_connect,
	  "dup2 of a socket of the own stack during connect" },
	{ "table-file-connect", WAY_ALL, IS_RACE, file_connect,
	  "dup2 of a file during connect" },
	{ "table-sendto", WAY_UDP, IS_RACE | IS_KNOWN_OPEN, race_sendto,
	  "dup2 of a UNIX socket during sendto" },
	{ "table-sendmsg", WAY_UDP, IS_RACE | IS_KNOWN_OPEN, race_sendmsg,
	  "dup2 of a UNIX socket during sendmsg" },
	{ "table-sendmmsg", WAY_UDP, IS_RACE | IS_KNOWN_OPEN, race_mmsg,
	  "dup2 of a UNIX socket during sendmmsg" },
	{ "table-fastopen", WAY_TCP, IS_RACE, race_fastopen,
	  "dup2 of a UNIX socket during sendto and sendmsg with MSG_FASTOPEN" },
	{ "table-mptcp", WAY_TCP, IS_RACE, race_mptcp,
	  "dup2 of a UNIX socket over an MPTCP one during connect" },
	{ "table-bind", WAY_TCP, IS_RACE, race_bind,
	  "dup2 of a UNIX socket over the number during bind" },
	{ "table-bind-udp", WAY_UDP, IS_RACE | IS_KNOWN_OPEN, race_bind,
	  "the same for UDP" },
	{ "table-listen", WAY_TCP, IS_RACE, race_listen,
	  "dup2 of a socket of the own stack during listen" },
	{ "table-unix-listen", WAY_TCP, IS_RACE, race_unix_listen,
	  "dup2 of a UNIX socket during listen" },
	{ "table-unshared", WAY_ALL, 0, unshared,
	  "a thread whose table differs from its process's" },
	{ "table-reuse", WAY_ALL, IS_RACE, reuse,
	  "the number is closed and taken again during the call" },
	{}
};
