/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket options and control messages that choose an interface, a route or a family. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "escape.h"

enum { LO = 1 }; /* lo is interface 1 in every namespace */

static void bind_to_device(const struct way *way)
{
	struct target canary = target_canary(way),
		      wildcard = target_local(way, PORT_CANARY);

	for (int i = 0; i < 2; i++) {
		int fd = host_socket(way);

		seen("SO_BINDTODEVICE",
		     setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
		reach(fd, i ? &wildcard : &canary);
		close(fd);
	}
}

static void unicast_interface(const struct way *way)
{
	struct target canary = target_canary(way),
		      wildcard = target_local(way, PORT_CANARY);
	uint32_t index = htonl(LO);

	for (int i = 0; i < 2; i++) {
		int fd = host_socket(way);

		if (way->family == AF_INET)
			seen("IP_UNICAST_IF", setsockopt(fd, IPPROTO_IP, IP_UNICAST_IF,
							 &index, sizeof(index)));
		else
			seen("IPV6_UNICAST_IF",
			     setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_IF, &index,
					sizeof(index)));
		reach(fd, i ? &wildcard : &canary);
		close(fd);
	}
}

static void packet_info_to(int fd, struct target *target, bool is_v4)
{
	union {
		char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
		struct cmsghdr align;
	} control = {};
	struct iovec iov = { "x", 1 };
	struct msghdr message = { .msg_name = &target->any,
				  .msg_namelen = target->len,
				  .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control };
	struct in_pktinfo v4 = { .ipi_ifindex = LO };
	struct in6_pktinfo v6 = { .ipi6_ifindex = LO,
				  .ipi6_addr = IN6ADDR_LOOPBACK_INIT };
	size_t size = is_v4 ? sizeof(v4) : sizeof(v6);

	v4.ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK);
	message.msg_controllen = CMSG_SPACE(size);
	control.align.cmsg_len = CMSG_LEN(size);
	control.align.cmsg_level = is_v4 ? IPPROTO_IP : IPPROTO_IPV6;
	control.align.cmsg_type = is_v4 ? IP_PKTINFO : IPV6_PKTINFO;
	memcpy(CMSG_DATA(&control.align), is_v4 ? (void *)&v4 : (void *)&v6, size);
	seen("sendmsg", sendmsg(fd, &message, 0));
	message.msg_name = NULL;
	message.msg_namelen = 0;
	seen("sendmsg without a name", sendmsg(fd, &message, 0));
}

static void packet_info(const struct way *way)
{
	struct target canary = target_canary(way),
		      wildcard = target_local(way, PORT_CANARY),
		      allowed = target_allowed(way);
	bool is_v4 = way->family == AF_INET;
	int fd = host_socket(way);

	packet_info_to(fd, &canary, is_v4);
	packet_info_to(fd, &wildcard, is_v4);
	allowed.v4.sin_port = htons(PORT_CANARY);
	seen_connect(fd, &allowed);
	packet_info_to(fd, &canary, is_v4);
	close(fd);
}

static void route_through(int fd, const char *hop)
{
	unsigned char options[8] = { 1, 131, 7,
				     4 }; /* no-op; loose route, length, pointer */

	inet_pton(AF_INET, hop, options + 4);
	seen("IP_OPTIONS",
	     setsockopt(fd, IPPROTO_IP, IP_OPTIONS, options, sizeof(options)));
}

static void source_route(const struct way *way)
{
	struct timeval second = { 1, 0 };
	struct target canary = target_canary(way), allowed = target_allowed(way);
	int fd = host_socket(way);

	route_through(fd, "10.77.0.1");
	reach(fd, &canary);
	close(fd);
	/* The other way round: an allowed destination, with the loopback on its way; from
	 * there no handshake comes back. */
	fd = host_socket(way);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
	allowed.v4.sin_port = htons(PORT_CANARY);
	route_through(fd, "127.0.0.1");
	reach(fd, &allowed);
	close(fd);
}

static void address_form(const struct way *way)
{
	struct target allowed = target_make(AF_INET6, "::ffff:10.77.0.1", PORT_ALLOWED);
	struct target canary = target_make(AF_INET, "127.0.0.1", PORT_CANARY);
	int fd = fresh(way), family = AF_INET;

	reach(fd, &allowed);
	seen("IPV6_ADDRFORM",
	     setsockopt(fd, IPPROTO_IPV6, IPV6_ADDRFORM, &family, sizeof(family)));
	if (!way_is_stream(way))
		seen("sendto", sendto(fd, "x", 1, 0, &canary.any, canary.len));
	seen_disconnect(fd);
	reach(fd, &canary);
	close(fd);
}

static void v6only_late(const struct way *way)
{
	struct target mapped = target_make(AF_INET6, "::ffff:127.0.0.1", PORT_CANARY);
	int fd = socket(way->family, way->type, 0), one = 1, zero = 0;

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	seen_connect(fd, &mapped);
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	reach(fd, &mapped);
	close(fd);
}

static void group(const struct way *way)
{
	struct target group = target_make(AF_INET, "239.77.77.77", PORT_GROUP);
	struct ip_mreqn interface = { .imr_ifindex = LO };
	int fd = host_socket(way);

	seen("IP_MULTICAST_IF",
	     setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &interface, sizeof(interface)));
	seen("sendto", sendto(fd, "x", 1, 0, &group.any, group.len));
	close(fd);
}

static void broadcast(const struct way *way)
{
	struct target target = target_make(AF_INET, "127.255.255.255", PORT_CANARY);
	int fd = host_socket(way), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one));
	seen("sendto", sendto(fd, "x", 1, 0, &target.any, target.len));
	reach(fd, &target);
	close(fd);
}

const struct attempt attempts_option[] = {
	{ "bind-to-device", WAY_ALL, 0, bind_to_device, "SO_BINDTODEVICE lo" },
	{ "unicast-interface", WAY_ALL, 0, unicast_interface, "IP_UNICAST_IF lo" },
	{ "packet-info", WAY_UDP, 0, packet_info,
	  "lo and ::1 by IP_PKTINFO, IPV6_PKTINFO" },
	{ "source-route", WAY_V4, 0, source_route, "IP_OPTIONS with a source route" },
	{ "address-form", WAY_V6, 0, address_form,
	  "IPV6_ADDRFORM turns the socket to IPv4" },
	{ "v6only", WAY_TCP6, 0, v6only_late,
	  "IPV6_V6ONLY set and cleared around connect" },
	{ "multicast", WAY_UDP4, NARROW_ONLY, group,
	  "a group that the host joined on lo" },
	{ "broadcast", WAY_UDP4, 0, broadcast, "127.255.255.255" },
	{}
};
