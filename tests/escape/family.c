/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protocols and families that a policy written for TCP and UDP may forget. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#include "escape.h"

static int socket_of(const struct way *way, int type, int protocol, const char *call)
{
	int fd = seen(call, socket(way->family, type, protocol));

	if (fd < 0 && !is_grafted)
		unsupported(call);
	return fd;
}

static void mptcp(const struct way *way)
{
	struct target canary = target_canary(way), closed = target_closed(way);
	int fd = socket_of(way, SOCK_STREAM, IPPROTO_MPTCP, "socket(IPPROTO_MPTCP)");

	reach(fd, &canary);
	seen_connect(fd, &closed);
	seen_disconnect(fd);
	reach(fd, &canary);
	seen("sendto",
	     sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, &canary.any, canary.len));
	close(fd);
}

static void mptcp_bind(const struct way *way)
{
	struct target local = target_local(way, PORT_UNLISTED),
		      closed = target_closed(way);
	int fd = socket_of(way, SOCK_STREAM, IPPROTO_MPTCP, "socket(IPPROTO_MPTCP)");

	seen_connect(fd, &closed);
	seen("bind", bind(fd, &local.any, local.len));
	seen("listen", listen(fd, 8));
	check_listeners();
	close(fd);
}

static void sctp(const struct way *way)
{
	struct target canary = target_canary(way);
	int fd = socket_of(way, SOCK_STREAM, IPPROTO_SCTP, "socket(IPPROTO_SCTP)");

	reach(fd, &canary);
	close(fd);
}

static void udplite(const struct way *way)
{
	struct target canary = target_canary(way), closed = target_closed(way);
	int fd = socket_of(way, SOCK_DGRAM, IPPROTO_UDPLITE, "socket(IPPROTO_UDPLITE)");

	seen_connect(fd, &closed);
	seen_disconnect(fd);
	seen("sendto", sendto(fd, "x", 1, 0, &canary.any, canary.len));
	reach(fd, &canary);
	close(fd);
}

static size_t echo_request(const struct way *way, char *packet)
{
	packet[0] = (char)(way->family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST);
	memcpy(packet + 8, "graft", 5);
	return 13;
}

/* The canary is the host's count of echo requests. */
static void ping(const struct way *way)
{
	static const char *const names[] = { "127.0.0.1", "10.77.0.66", "0.0.0.0" };
	static const char *const names6[] = { "::1", "fd77::66", "::" };
	bool is_v4 = way->family == AF_INET;
	int fd = socket_of(way, SOCK_DGRAM, is_v4 ? IPPROTO_ICMP : (int)IPPROTO_ICMPV6,
			   "socket(ICMP)");
	char packet[64] = {};
	size_t size = echo_request(way, packet);

	for (int i = 0; i < 3; i++) {
		struct target target =
			target_make(way->family, (is_v4 ? names : names6)[i], 0);

		seen("sendto", sendto(fd, packet, size, 0, &target.any, target.len));
		if (!seen_connect(fd, &target))
			seen("send", send(fd, packet, size, 0));
		seen_disconnect(fd);
	}
	close(fd);
}

static void raw_ping(const struct way *way)
{
	bool is_v4 = way->family == AF_INET;
	struct target target = target_make(way->family, is_v4 ? "127.0.0.1" : "::1", 0);
	int fd = socket_of(way, SOCK_RAW, is_v4 ? IPPROTO_ICMP : (int)IPPROTO_ICMPV6,
			   "socket(SOCK_RAW)");
	char packet[64] = {};
	size_t size = echo_request(way, packet);
	uint32_t sum = 0;

	for (size_t i = 0; is_v4 && i < 14; i += 2) {
		uint16_t word;

		memcpy(&word, packet + i, 2);
		sum += word;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16)) & 0xffff;
	memcpy(packet + 2, &sum, is_v4 ? 2 : 0);
	seen("sendto", sendto(fd, packet, size, 0, &target.any, target.len));
	if (!seen_connect(fd, &target))
		seen("send", send(fd, packet, size, 0));
	close(fd);
}

static void raw_udp(const struct way *way)
{
	bool is_v4 = way->family == AF_INET;
	struct target target = target_make(way->family, is_v4 ? "127.0.0.1" : "::1", 0);
	int fd = socket_of(way, SOCK_RAW, IPPROTO_UDP, "socket(SOCK_RAW)"), offset = 6;
	struct {
		struct udphdr header;
		char byte;
	} __attribute__((packed)) datagram = {};

	datagram.header.source = htons(40000);
	datagram.header.dest = htons(PORT_CANARY);
	datagram.header.len = htons(sizeof(datagram));
	datagram.byte = 'x';
	if (!is_v4) /* IPv6 wants the checksum; the kernel fills it in */
		setsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &offset, sizeof(offset));
	seen("sendto",
	     sendto(fd, &datagram, sizeof(datagram), 0, &target.any, target.len));
	if (!seen_connect(fd, &target))
		seen("send", send(fd, &datagram, sizeof(datagram), 0));
	close(fd);
}

struct frame {
	struct ethhdr ethernet;
	struct iphdr ip;
	struct udphdr udp;
	char byte;
} __attribute__((packed));

static void frame_fill(struct frame *frame)
{
	const uint16_t *words =
		(const uint16_t *)((char *)frame + sizeof(frame->ethernet));
	uint32_t sum = 0;

	frame->ethernet.h_proto = htons(ETH_P_IP);
	frame->ip.version = 4;
	frame->ip.ihl = 5;
	frame->ip.ttl = 64;
	frame->ip.protocol = IPPROTO_UDP;
	frame->ip.tot_len = htons(sizeof(*frame) - sizeof(frame->ethernet));
	frame->ip.saddr = htonl(0x0a4d0009); /* not a local one, or it is a martian */
	frame->ip.daddr = htonl(0x0a4d0042);
	frame->udp.source = htons(40000);
	frame->udp.dest = htons(PORT_CANARY);
	frame->udp.len = htons(sizeof(frame->udp) + 1);
	for (int i = 0; i < 10; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	frame->ip.check = ~(sum + (sum >> 16));
}

/* A raw socket that was let out to an allowed address writes its own headers. */
static void raw_header(const struct way *way)
{
	struct target closed = target_closed(way);
	int fd = socket_of(way, SOCK_RAW, IPPROTO_UDP, "socket(SOCK_RAW)"), one = 1;
	struct frame frame = {};

	frame_fill(&frame);
	frame.ip.saddr = frame.ip.daddr = htonl(INADDR_LOOPBACK);
	seen("IP_HDRINCL", setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &one, sizeof(one)));
	closed.v4.sin_port = 0;
	if (!seen_connect(fd, &closed))
		seen("send",
		     send(fd, &frame.ip, sizeof(frame) - sizeof(frame.ethernet), 0));
	seen("sendto", sendto(fd, &frame.ip, sizeof(frame) - sizeof(frame.ethernet), 0,
			      &closed.any, closed.len));
	close(fd);
}

static void packet(const struct way *way)
{
	struct sockaddr_ll link = { .sll_family = AF_PACKET,
				    .sll_protocol = htons(ETH_P_IP),
				    .sll_ifindex = 1,
				    .sll_halen = ETH_ALEN };
	int fd = seen("socket(AF_PACKET)", socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP)));
	struct frame frame = {};

	(void)way;
	frame_fill(&frame);
	seen("sendto", sendto(fd, &frame, sizeof(frame), 0, (struct sockaddr *)&link,
			      sizeof(link)));
	close(fd);
}

const struct attempt attempts_family[] = {
	{ "mptcp", WAY_TCP, 0, mptcp, "IPPROTO_MPTCP" },
	{ "mptcp-bind", WAY_TCP, 0, mptcp_bind, "an unlisted port by IPPROTO_MPTCP" },
	{ "sctp", WAY_TCP, 0, sctp, "IPPROTO_SCTP" },
	{ "udplite", WAY_UDP, 0, udplite, "IPPROTO_UDPLITE" },
	{ "ping", WAY_UDP, 0, ping, "an ICMP echo socket" },
	{ "raw-ping", WAY_UDP, NEEDS_ROOT, raw_ping, "ICMP by a raw socket" },
	{ "raw-udp", WAY_UDP, NEEDS_ROOT, raw_udp, "UDP by a raw socket" },
	{ "raw-header", WAY_UDP4, NEEDS_ROOT, raw_header,
	  "a forged header on a raw socket towards an allowed address" },
	{ "packet", WAY_UDP4, NEEDS_ROOT, packet,
	  "a frame put on lo by a packet socket" },
	{}
};
