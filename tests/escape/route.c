/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets that go elsewhere than the address of the call says: by a source route, whose
 * first hop is a denied address, from a corked socket, without a handshake. A canary on
 * the interfaces sees packets with a route towards a denied address.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#include "escape.h"

enum { ROUTE4 = 8, ROUTE6 = 40, RFC2292_OPTIONS = 6, RFC2292_ROUTE = 5 };

/* A no-op, then a loose route of one hop. */
static size_t route4(unsigned char route[ROUTE4], const char *hop)
{
	static const unsigned char head[] = { 1, 131, 7, 4 };

	memcpy(route, head, sizeof(head));
	inet_pton(AF_INET, hop, route + sizeof(head));
	return ROUTE4;
}

/* Two segments, the one to come first last. */
static size_t route6(unsigned char route[ROUTE6], const char *hop)
{
	static const unsigned char head[] = { 0, 4, 4, 1, 1, 0, 0, 0 };

	memcpy(route, head, sizeof(head));
	inet_pton(AF_INET6, "fd77::1", route + 8);
	inet_pton(AF_INET6, hop, route + 24);
	return ROUTE6;
}

union control {
	char room[CMSG_SPACE(ROUTE6)];
	struct cmsghdr align;
};

static size_t control_fill(union control *control, int level, int type, const void *data,
			   size_t size)
{
	memset(control, 0, sizeof(*control));
	control->align.cmsg_len = CMSG_LEN(size);
	control->align.cmsg_level = level;
	control->align.cmsg_type = type;
	memcpy(CMSG_DATA(&control->align), data, size);
	return CMSG_SPACE(size);
}

static void go(const struct way *way, int fd)
{
	struct target closed = target_closed(way);

	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (!way_is_stream(way))
		seen("sendto", sendto(fd, "x", 1, 0, &closed.any, closed.len));
	if (!seen_connect(fd, &closed))
		poke(fd);
	close(fd);
}

static void by_message(const struct way *way, int level, int type, const void *data,
		       size_t size)
{
	struct target closed = target_closed(way);
	struct iovec iov = { "x", 1 };
	union control control;
	struct msghdr message = { .msg_name = &closed.any,
				  .msg_namelen = closed.len,
				  .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control };
	int fd = fresh(way);

	message.msg_controllen = control_fill(&control, level, type, data, size);
	seen("sendmsg", sendmsg(fd, &message, 0));
	seen_connect(fd, &closed);
	message.msg_name = NULL;
	message.msg_namelen = 0;
	seen("sendmsg without a name", sendmsg(fd, &message, 0));
	close(fd);
}

static void hop4(const struct way *way)
{
	static const char *const hops[] = { "10.77.0.66", "127.0.0.1" };
	unsigned char route[ROUTE4];

	for (size_t i = 0; i < ARRAY_SIZE(hops); i++) {
		size_t size = route4(route, hops[i]);
		int fd = fresh(way);

		seen("IP_OPTIONS", setsockopt(fd, IPPROTO_IP, IP_OPTIONS, route, size));
		go(way, fd);
		if (!way_is_stream(way))
			by_message(way, IPPROTO_IP, IP_RETOPTS, route, size);
	}
}

static void hop6(const struct way *way)
{
	unsigned char route[ROUTE6];
	size_t size = route6(route, "fd77::66");
	union control control;
	int fd = fresh(way);

	seen("IPV6_RTHDR", setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, route, size));
	go(way, fd);
	fd = fresh(way);
	seen("IPV6_2292PKTOPTIONS",
	     setsockopt(fd, IPPROTO_IPV6, RFC2292_OPTIONS, &control,
			control_fill(&control, IPPROTO_IPV6, RFC2292_ROUTE, route,
				     size)));
	go(way, fd);
	if (way_is_stream(way))
		return;
	by_message(way, IPPROTO_IPV6, IPV6_RTHDR, route, size);
	by_message(way, IPPROTO_IPV6, RFC2292_ROUTE, route, size);
}

static void cork(const struct way *way)
{
	struct target closed = target_closed(way), denied = target_denied(way);
	int on = 1, off = 0;

	for (int i = 0; i < 2; i++) {
		const struct target *first = i ? &denied : &closed;
		const struct target *then = i ? &closed : &denied;
		int fd = fresh(way);

		seen("sendto(MSG_MORE)",
		     sendto(fd, "x", 1, MSG_MORE, &first->any, first->len));
		seen("sendto", sendto(fd, "x", 1, 0, &then->any, then->len));
		close(fd);
		fd = fresh(way);
		setsockopt(fd, IPPROTO_UDP, UDP_CORK, &on, sizeof(on));
		seen("sendto", sendto(fd, "x", 1, 0, &first->any, first->len));
		seen("connect", connect(fd, &then->any, then->len));
		seen("send", send(fd, "x", 1, 0));
		setsockopt(fd, IPPROTO_UDP, UDP_CORK, &off, sizeof(off));
		poke(fd);
		close(fd);
	}
}

static void segments(const struct way *way)
{
	struct target denied = target_denied(way), closed = target_closed(way);
	int fd = fresh(way), size = 1;

	seen("UDP_SEGMENT",
	     setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)));
	seen("sendto", sendto(fd, "xxxx", 4, 0, &denied.any, denied.len));
	seen_connect(fd, &closed);
	seen("sendto", sendto(fd, "xxxx", 4, 0, &denied.any, denied.len));
	close(fd);
}

/* What is sent afterwards nobody accepts, so that it connected is what counts. */
static void repair(const struct way *way)
{
	struct target denied = target_denied(way);
	int fd = fresh(way), on = 1, off = -1;

	seen("TCP_REPAIR", setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)));
	if (!seen_connect(fd, &denied)) {
		breach("connected without a handshake");
		seen("TCP_REPAIR",
		     setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)));
		poke(fd);
	}
	close(fd);
}

const struct attempt attempts_route[] = {
	{ "route-hop", WAY_V4, NEEDS_ROOT, hop4,
	  "a source route to an allowed address by way of a denied one" },
	{ "route-header", WAY_V6, 0, hop6, "the same by a routing header" },
	{ "cork", WAY_UDP, 0, cork, "two destinations of one corked datagram" },
	{ "udp-segment", WAY_UDP, 0, segments, "UDP_SEGMENT" },
	{ "tcp-repair", WAY_TCP, NEEDS_ROOT, repair, "connect in TCP_REPAIR mode" },
	{}
};
