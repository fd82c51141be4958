/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options of every level: those known to matter with values that make sense, and any
 * with any. Lengths lie now and then, but never have the kernel write beyond
 * actor->bytes.
 */
#include <linux/filter.h>
#include <linux/graft.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

#ifndef SOL_TLS
#	define SOL_TLS 282
#endif
#define LEVEL_MPTCP 284
#define LEVEL_SCTP  132

enum value {
	VALUE_INT,
	VALUE_BOOL,
	VALUE_TIME, /* short, or everybody waits */
	VALUE_LINGER,
	VALUE_ULP,
	VALUE_CONGESTION,
	VALUE_DEVICE,
	VALUE_FAMILY,
	VALUE_MEMBER,
	VALUE_FILTER,
	VALUE_TRANS,
	VALUE_KEY,
	VALUE_ANY,
};

static const struct option {
	int level, name;
	enum value value;
} options[] = {
	{ SOL_SOCKET, SO_REUSEADDR, VALUE_BOOL },
	{ SOL_SOCKET, SO_REUSEPORT, VALUE_BOOL },
	{ SOL_SOCKET, SO_KEEPALIVE, VALUE_BOOL },
	{ SOL_SOCKET, SO_BROADCAST, VALUE_BOOL },
	{ SOL_SOCKET, SO_PASSCRED, VALUE_BOOL },
	{ SOL_SOCKET, SO_TIMESTAMP, VALUE_BOOL },
	{ SOL_SOCKET, SO_TIMESTAMPING, VALUE_INT },
	{ SOL_SOCKET, SO_ZEROCOPY, VALUE_BOOL },
	{ SOL_SOCKET, SO_INCOMING_CPU, VALUE_INT },
	{ SOL_SOCKET, SO_BUSY_POLL, VALUE_BOOL },
	{ SOL_SOCKET, SO_MARK, VALUE_INT },
	{ SOL_SOCKET, SO_PRIORITY, VALUE_INT },
	{ SOL_SOCKET, SO_SNDBUF, VALUE_INT },
	{ SOL_SOCKET, SO_RCVBUF, VALUE_INT },
	{ SOL_SOCKET, SO_RCVLOWAT, VALUE_INT },
	{ SOL_SOCKET, SO_RCVTIMEO, VALUE_TIME },
	{ SOL_SOCKET, SO_SNDTIMEO, VALUE_TIME },
	{ SOL_SOCKET, SO_LINGER, VALUE_LINGER },
	{ SOL_SOCKET, SO_BINDTODEVICE, VALUE_DEVICE },
	{ SOL_SOCKET, SO_BINDTOIFINDEX, VALUE_BOOL },
	{ SOL_SOCKET, SO_ATTACH_FILTER, VALUE_FILTER },
	{ SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, VALUE_FILTER },
	{ SOL_SOCKET, SO_DETACH_FILTER, VALUE_BOOL },
	{ SOL_SOCKET, SO_LOCK_FILTER, VALUE_BOOL },
	{ SOL_SOCKET, SO_ERROR, VALUE_INT },
	{ SOL_SOCKET, SO_DOMAIN, VALUE_INT },
	{ SOL_SOCKET, SO_PROTOCOL, VALUE_INT },
	{ SOL_SOCKET, SO_TYPE, VALUE_INT },
	{ SOL_SOCKET, SO_COOKIE, VALUE_ANY },
	{ SOL_SOCKET, SO_PEERSEC, VALUE_ANY },
	{ SOL_SOCKET, SO_PEERCRED, VALUE_ANY },
	{ SOL_SOCKET, SO_MEMINFO, VALUE_ANY },
	{ IPPROTO_TCP, TCP_NODELAY, VALUE_BOOL },
	{ IPPROTO_TCP, TCP_CORK, VALUE_BOOL },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, VALUE_BOOL },
	{ IPPROTO_TCP, TCP_FASTOPEN, VALUE_INT },
	{ IPPROTO_TCP, TCP_FASTOPEN_CONNECT, VALUE_BOOL },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, VALUE_INT },
	{ IPPROTO_TCP, TCP_SAVE_SYN, VALUE_BOOL },
	{ IPPROTO_TCP, TCP_REPAIR, VALUE_BOOL },
	{ IPPROTO_TCP, TCP_ULP, VALUE_ULP },
	{ IPPROTO_TCP, TCP_CONGESTION, VALUE_CONGESTION },
	{ IPPROTO_TCP, TCP_MD5SIG, VALUE_ANY },
	{ IPPROTO_TCP, TCP_FASTOPEN_KEY, VALUE_ANY },
	{ IPPROTO_TCP, TCP_INFO, VALUE_ANY },
	{ IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, VALUE_ANY },
	{ IPPROTO_UDP, 1 /* UDP_CORK */, VALUE_BOOL },
	{ IPPROTO_UDP, 103 /* UDP_SEGMENT */, VALUE_INT },
	{ IPPROTO_UDP, 104 /* UDP_GRO */, VALUE_BOOL },
	{ IPPROTO_IP, IP_TOS, VALUE_INT },
	{ IPPROTO_IP, IP_TTL, VALUE_INT },
	{ IPPROTO_IP, IP_OPTIONS, VALUE_ANY },
	{ IPPROTO_IP, IP_PKTINFO, VALUE_BOOL },
	{ IPPROTO_IP, IP_RECVERR, VALUE_BOOL },
	{ IPPROTO_IP, IP_TRANSPARENT, VALUE_BOOL },
	{ IPPROTO_IP, IP_FREEBIND, VALUE_BOOL },
	{ IPPROTO_IP, IP_ADD_MEMBERSHIP, VALUE_MEMBER },
	{ IPPROTO_IP, IP_DROP_MEMBERSHIP, VALUE_MEMBER },
	{ IPPROTO_IP, MCAST_JOIN_GROUP, VALUE_ANY },
	{ IPPROTO_IP, IP_MSFILTER, VALUE_ANY },
	{ IPPROTO_IPV6, IPV6_ADDRFORM, VALUE_FAMILY },
	{ IPPROTO_IPV6, IPV6_V6ONLY, VALUE_BOOL },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, VALUE_BOOL },
	{ IPPROTO_IPV6, IPV6_TCLASS, VALUE_INT },
	{ IPPROTO_IPV6, IPV6_RTHDR, VALUE_ANY },
	{ IPPROTO_IPV6, IPV6_JOIN_GROUP, VALUE_ANY },
	{ IPPROTO_IPV6, 32 /* IPV6_FLOWLABEL_MGR */, VALUE_ANY },
	{ SOL_TLS, TLS_TX, VALUE_KEY },
	{ SOL_TLS, TLS_RX, VALUE_KEY },
	{ LEVEL_MPTCP, 1, VALUE_ANY },
	{ LEVEL_MPTCP, 2, VALUE_ANY },
	{ LEVEL_MPTCP, 3, VALUE_ANY },
	{ LEVEL_SCTP, 0, VALUE_ANY },
	{ LEVEL_SCTP, 3, VALUE_BOOL },
	{ IPPROTO_GRAFT, GRAFT_SO_DELAYED, VALUE_BOOL },
	{ IPPROTO_GRAFT, GRAFT_SO_DELAYED_EXECUTE, VALUE_BOOL },
	{ IPPROTO_GRAFT, GRAFT_SO_DELAYED_RESULT, VALUE_ANY },
	{ IPPROTO_GRAFT, GRAFT_SO_TRANSPARENT, VALUE_TRANS },
	{ IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT, VALUE_BOOL },
	{ IPPROTO_GRAFT, GRAFT_SO_FAMILY, VALUE_FAMILY },
	{ IPPROTO_GRAFT, 7, VALUE_ANY },
	{ IPPROTO_GRAFT, 8, VALUE_ANY },
};

static socklen_t put(struct actor *actor, const void *value, size_t size)
{
	memcpy(actor->bytes, value, size);
	return size;
}

static socklen_t put_int(struct actor *actor, int value)
{
	return put(actor, &value, sizeof(value));
}

static const struct option *option_pick(struct actor *actor, struct option *ours)
{
	static const int levels[] = { SOL_SOCKET,   IPPROTO_TCP, IPPROTO_IP,
				      IPPROTO_IPV6, IPPROTO_UDP, SOL_TLS,
				      LEVEL_MPTCP,  LEVEL_SCTP,  IPPROTO_GRAFT };

	if (!random_one_in(actor,
			   4)) /* those of our own more often than their number says */
		return random_one_in(actor, 3)
			       ? &options[sizeof(options) / sizeof(*options) - 1 -
					  random_below(actor, 8)]
			       : &random_of(actor, options);
	ours->level =
		random_one_in(actor, 8) ? random_int(actor) : random_of(actor, levels);
	ours->name = random_one_in(actor, 8) ? random_int(actor)
					     : (int)random_below(actor, 90);
	ours->value = random_one_in(actor, 2) ? VALUE_INT : VALUE_ANY;
	return ours;
}

static socklen_t put_key(struct actor *actor)
{
	struct tls12_crypto_info_aes_gcm_128 key = {
		.info = { TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128 },
	};

	if (random_one_in(actor, 4))
		key.info.version = random_bits(actor);
	return put(actor, &key, sizeof(key));
}

static socklen_t option_value(struct actor *actor, enum value value);

/* An option in an option: what is to be set where the endpoint is. */
static socklen_t put_trans(struct actor *actor)
{
	struct graft_sso_trans trans;
	struct option ours;
	const struct option *option = option_pick(actor, &ours);

	trans.level = option->level;
	trans.optname = option->name;
	trans.optlen = option_value(actor, option->value == VALUE_TRANS ? VALUE_ANY
									: option->value);
	memmove(actor->bytes + sizeof(trans), actor->bytes, sizeof(actor->bytes) / 2);
	if (random_one_in(actor, 4)) {
		uint32_t lie = random_int(actor);

		put(actor, &trans, sizeof(trans));
		memcpy(actor->bytes + 8, &lie, sizeof(lie));
		return sizeof(trans) + trans.optlen;
	}
	return put(actor, &trans, sizeof(trans)) + trans.optlen;
}

static socklen_t put_string(struct actor *actor, const char *string)
{
	return put(actor, string, strlen(string) + random_one_in(actor, 2));
}

static socklen_t option_value(struct actor *actor, enum value value)
{
	static const char *const congestions[] = { "cubic", "reno", "nonsense" };
	static const int families[] = {
		AF_INET, AF_INET, AF_INET6, AF_UNIX, AF_GRAFT, 0
	};
	/* To nowhere at all, or everything: return a length. */
	static struct sock_filter filter = { BPF_RET | BPF_K, 0, 0, 0xffff };
	struct sock_fprog program = { 1, &filter };
	struct ip_mreq member = { { htonl(0xe0000109) }, { htonl(INADDR_LOOPBACK) } };

	switch (value) {
	case VALUE_INT:
		return put_int(actor, random_int(actor));
	case VALUE_BOOL:
		return put_int(actor, random_below(actor, 2));
	case VALUE_TIME:
		return put(actor,
			   &(struct timeval){ 0, 1000 + random_below(actor, 30000) },
			   sizeof(struct timeval));
	case VALUE_LINGER:
		return put(actor, &(struct linger){ random_below(actor, 2), 0 },
			   sizeof(struct linger));
	case VALUE_ULP:
		return put_string(actor, random_one_in(actor, 8) ? "smc" : "tls");
	case VALUE_CONGESTION:
		return put_string(actor, random_of(actor, congestions));
	case VALUE_DEVICE:
		return put_string(actor, random_one_in(actor, 4) ? "" : "lo");
	case VALUE_FAMILY:
		return put_int(actor, random_of(actor, families));
	case VALUE_MEMBER:
		return put(actor, &member, sizeof(member));
	case VALUE_FILTER:
		return put(actor, &program, sizeof(program));
	case VALUE_TRANS:
		return put_trans(actor);
	case VALUE_KEY:
		return put_key(actor);
	case VALUE_ANY:
		break;
	}
	return random_fill(actor, random_one_in(actor, 8) ? 8192 : 160);
}

static int call_set_option(struct actor *actor)
{
	struct option ours;
	const struct option *option = option_pick(actor, &ours);
	socklen_t length = option_value(actor, option->value);

	if (random_one_in(actor, 16))
		length = random_int(actor);
	/* Time without end is not for us. */
	if (option == &ours && ours.level == SOL_SOCKET &&
	    (ours.name == SO_RCVTIMEO || ours.name == SO_SNDTIMEO || ours.name == 66 ||
	     ours.name == 67 || ours.name == SO_LINGER))
		return -1;
	return setsockopt(slot_get(actor), option->level, option->name,
			  random_one_in(actor, 64) ? NULL : actor->bytes, length);
}

static int call_get_option(struct actor *actor)
{
	struct option ours;
	const struct option *option = option_pick(actor, &ours);
	socklen_t length =
		random_one_in(actor, 2) ? 4 : random_below(actor, sizeof(actor->bytes));

	if (random_one_in(actor, 16))
		length = -1 - random_below(actor, 100);
	else if (random_one_in(actor, 2))
		memset(actor->bytes, 0, 256);
	return getsockopt(slot_get(actor), option->level, option->name, actor->bytes,
			  &length);
}

const struct fuzz_call option_calls[] = {
	{ "set option", 40, call_set_option },
	{ "get option", 20, call_get_option },
	{},
};
