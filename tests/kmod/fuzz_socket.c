/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a socket: made, bound, connected, listening, accepting, asked for its
 * names, shut down, duplicated, closed. "meet" and "write to" do a whole life's
 * beginning, so that the table has sockets that are connected.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/graft.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz.h"

#define TYPE_NONBLOCK 7 /* of 8 sockets */

static int call_socket(struct actor *actor)
{
	static const int types[] = { SOCK_STREAM, SOCK_STREAM,    SOCK_STREAM, SOCK_DGRAM,
				     SOCK_DGRAM,  SOCK_SEQPACKET, SOCK_RAW };
	static const int protocols[] = { 0,
					 0,
					 0,
					 0,
					 0,
					 0,
					 IPPROTO_TCP,
					 IPPROTO_UDP,
					 IPPROTO_SCTP,
					 IPPROTO_UDPLITE,
					 262,
					 IPPROTO_ICMP };
	int type = random_of(actor, types);

	if (random_below(actor, 8) < TYPE_NONBLOCK)
		type |= SOCK_NONBLOCK;
	if (random_one_in(actor, 64))
		type = random_int(actor);
	if (random_one_in(actor, 2))
		return slot_put(actor, socket_new(actor, type));
	return slot_put(actor, socket(fuzz.family, type, random_of(actor, protocols)));
}

static int call_socketpair(struct actor *actor)
{
	static const int families[] = { AF_GRAFT, AF_UNIX, AF_UNIX };
	int pair[2];

	if (socketpair(random_of(actor, families), SOCK_STREAM | SOCK_NONBLOCK, 0, pair) <
	    0)
		return -1;
	slot_put(actor, pair[0]);
	return slot_put(actor, pair[1]);
}

static int call_bind(struct actor *actor)
{
	struct sockaddr_storage address;
	socklen_t length = random_address(actor, &address);

	return bind(slot_get(actor), (struct sockaddr *)&address, length);
}

static int call_connect(struct actor *actor)
{
	struct sockaddr_storage address;
	socklen_t length = random_address(actor, &address);

	return connect(slot_get(actor), (struct sockaddr *)&address, length) < 0 &&
			       errno != EINPROGRESS
		       ? -1
		       : 0;
}

static int call_listen(struct actor *actor)
{
	return listen(slot_get(actor), random_one_in(actor, 8) ? random_int(actor) : 8);
}

static int call_accept(struct actor *actor)
{
	struct sockaddr_storage address;
	socklen_t length =
		random_one_in(actor, 4) ? (socklen_t)random_int(actor) : sizeof(address);
	bool has_address = random_one_in(actor, 2);

	/* A length that lies must not have the kernel write where others' things are. */
	if (length > sizeof(address) && (int)length > 0)
		length = sizeof(address);
	return slot_put(actor, accept4(slot_get(actor),
				       has_address ? (struct sockaddr *)&address : NULL,
				       has_address ? &length : NULL,
				       random_one_in(actor, 16) ? random_int(actor)
								: SOCK_NONBLOCK));
}

static int call_name(struct actor *actor)
{
	struct sockaddr_storage address;
	socklen_t length = random_one_in(actor, 4)
				   ? random_below(actor, sizeof(address) + 1)
				   : sizeof(address);
	int fd = slot_get(actor);

	if (random_one_in(actor, 64))
		length = -1 - random_below(actor, 100);
	return random_one_in(actor, 2)
		       ? getsockname(fd, (struct sockaddr *)&address, &length)
		       : getpeername(fd, (struct sockaddr *)&address, &length);
}

static int call_shutdown(struct actor *actor)
{
	return shutdown(slot_get(actor), random_below(actor, 4));
}

static int call_close(struct actor *actor)
{
	int *slot = &actor->slots[random_below(actor, FUZZ_SLOTS)];
	int fd = __atomic_exchange_n(slot, -1, __ATOMIC_RELAXED);

	return fd >= 0 ? close(fd) : -1;
}

static int call_dup(struct actor *actor)
{
	int fd = slot_get(actor), other;

	if (random_one_in(actor, 2))
		return slot_put(actor, fcntl(fd, F_DUPFD_CLOEXEC, 3));
	/* One socket takes the place of another, which may be in use. */
	other = slot_get(actor);
	return fd < 0 || other < 0 || fd == other ? -1 : dup2(fd, other) < 0 ? -1 : 0;
}

static int call_fcntl(struct actor *actor)
{
	int fd = slot_get(actor);

	switch (random_below(actor, 5)) {
	case 0:
		return fcntl(fd, F_SETOWN, getpid());
	case 1:
		return fcntl(fd, F_SETSIG, random_one_in(actor, 2) ? 0 : SIGUSR1);
	case 2:
		return fcntl(fd, F_SETFL,
			     O_NONBLOCK | (random_one_in(actor, 2) ? O_ASYNC : 0));
	case 3:
		return fcntl(fd, F_SETFL, random_one_in(actor, 8) ? 0 : O_NONBLOCK);
	default:
		return fcntl(fd, F_GETFL) < 0 ? -1 : 0;
	}
}

static int call_ioctl(struct actor *actor)
{
	static const unsigned long requests[] = {
		FIONREAD,         SIOCOUTQ,     SIOCATMARK,  SIOCINQ,      FIOASYNC,
		FIONBIO,          SIOCGIFINDEX, SIOCGIFCONF, SIOCGIFFLAGS, SIOCGIFADDR,
		SIOCGSTAMP,       SIOCGSTAMPNS, SIOCSPGRP,   SIOCGPGRP,    FIOSETOWN,
		FIOGETOWN,        SIOCOUTQNSD,  SIOCGSKNS,   SIOCADDRT,    SIOCGIFNAME,
		SIOCPROTOPRIVATE, 0x89e0 /* SIOCUNIXFILE */
	};
	unsigned long request = random_of(actor, requests);
	struct ifreq ifreq = { .ifr_name = "lo" };
	int result, value = 1;

	if (random_one_in(actor, 16))
		request = 0x8900 + random_below(actor, 0x100);
	switch (request) {
	case SIOCSIFFLAGS: /* these would be the end of all talk */
	case SIOCSIFMTU:
	case SIOCSIFNAME:
	case SIOCDIFADDR:
		return -1;
	case FIOSETOWN:
	case SIOCSPGRP:
		value = getpid();
		return ioctl(slot_get(actor), request, &value);
	case FIONREAD:
	case SIOCOUTQ:
	case FIONBIO:
	case FIOASYNC:
		return ioctl(slot_get(actor), request, &value);
	default:
		result = ioctl(slot_get(actor), request, &ifreq);
		return result >= 0 && request == SIOCGSKNS ? close(result) : result;
	}
}

/* A dynamic endpoint, a listener there, somebody who connects by its name. */
static int call_meet(struct actor *actor)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int listener, client, server = -1;
	struct pollfd wait;
	char name[17];

	listener = socket_new(actor, SOCK_STREAM | SOCK_NONBLOCK);
	if (fuzz.family == AF_GRAFT) {
		snprintf(name, sizeof(name), "%s%u",
			 random_one_in(actor, 4) ? "unix" : "dynamic",
			 random_below(actor, 4));
		length = address_named(&address, name);
	} else {
		memset(&address, 0, sizeof(address));
		address.ss_family = AF_INET;
		length = sizeof(struct sockaddr_in);
	}
	if (bind(listener, (struct sockaddr *)&address, length) < 0 ||
	    listen(listener, 8) < 0)
		goto out;
	if (fuzz.family != AF_GRAFT)
		getsockname(listener, (struct sockaddr *)&address, &length);
	client = socket_new(actor,
			    SOCK_STREAM | (random_one_in(actor, 2) ? SOCK_NONBLOCK : 0));
	if (random_one_in(actor, 4)) {
		struct sockaddr_storage own;

		bind(client, (struct sockaddr *)&own, random_address(actor, &own));
	}
	if (connect(client, (struct sockaddr *)&address, length) == 0 ||
	    errno == EINPROGRESS) {
		wait = (struct pollfd){ .fd = listener, .events = POLLIN };
		poll(&wait, 1, 20);
		server = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	}
	slot_put(actor, client);
	slot_put(actor, server);
out:
	slot_put(actor, listener);
	return server >= 0 ? 0 : -1;
}

/* Two sockets, datagrams between them by name. */
static int call_write_to(struct actor *actor)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int fd, sender, result = -1;
	char name[17];

	fd = socket_new(actor, SOCK_DGRAM | SOCK_NONBLOCK);
	snprintf(name, sizeof(name), "dynamic%u", random_below(actor, 4));
	if (fuzz.family == AF_GRAFT) {
		length = address_named(&address, name);
	} else {
		memset(&address, 0, sizeof(address));
		address.ss_family = AF_INET;
		length = sizeof(struct sockaddr_in);
	}
	if (bind(fd, (struct sockaddr *)&address, length) == 0) {
		if (fuzz.family != AF_GRAFT)
			getsockname(fd, (struct sockaddr *)&address, &length);
		sender = socket_new(actor, SOCK_DGRAM);
		if (random_one_in(actor, 2))
			connect(sender, (struct sockaddr *)&address, length);
		if (sendto(sender, "some", 4, 0, (struct sockaddr *)&address, length) ==
		    4)
			result = 0;
		slot_put(actor, sender);
	}
	slot_put(actor, fd);
	return result;
}

const struct fuzz_call socket_calls[] = {
	{ "socket", 20, call_socket },
	{ "socketpair", 2, call_socketpair },
	{ "bind", 24, call_bind },
	{ "connect", 20, call_connect },
	{ "listen", 10, call_listen },
	{ "accept", 16, call_accept },
	{ "name", 10, call_name },
	{ "shutdown", 4, call_shutdown },
	{ "close", 8, call_close },
	{ "dup", 4, call_dup },
	{ "fcntl", 6, call_fcntl },
	{ "ioctl", 8, call_ioctl },
	{ "meet", 20, call_meet },
	{ "write to", 6, call_write_to },
	{},
};
