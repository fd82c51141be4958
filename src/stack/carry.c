/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Carrying socket options from one socket to another by comparison: every option of the
 * table is read from both, and set on the new one where they differ. Nothing has to be
 * recorded when the program sets an option, and an option that the kernel turned into
 * something else (rounded, doubled) arrives as it was read.
 *
 * An option that cannot be set on the new socket (another stack has other interfaces,
 * AF_UNIX has no TCP_NODELAY) is left behind. What the kernel does not tell: multicast
 * memberships, TCP_MD5SIG keys, SO_MARK without privilege.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* In this order: the second fills in what the first lacks. */
#include <netinet/in.h>

#include <linux/in6.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "stack/carry.h"

#define OPTION_MAX 256

enum option_kind {
	OPTION_PLAIN,   /* set what was read */
	OPTION_DOUBLED, /* the kernel doubles it on setting */
	OPTION_BYTE,    /* read as one byte or an int, set as an int */
};

struct option_row {
	int level, name;
	enum option_kind kind;
};

/* Linux 6.1; numbers that older C headers lack are the kernel's. */
enum {
	OPT_SO_PREFER_BUSY_POLL = 69,
	OPT_SO_BUSY_POLL_BUDGET = 70,
	OPT_SO_BUF_LOCK = 72,
	OPT_SO_RESERVE_MEM = 73,
	OPT_SO_TXREHASH = 74,
	OPT_SO_RCVMARK = 75,
	OPT_IP_LOCAL_PORT_RANGE = 51,
	OPT_TCP_FASTOPEN_NO_COOKIE = 34,
	OPT_TCP_TX_DELAY = 37,
	OPT_UDP_SEGMENT = 103,
	OPT_UDP_GRO = 104,
};

/* Bits of SO_BUF_LOCK. */
enum {
	BUF_LOCK_SEND = 1,
	BUF_LOCK_RECEIVE = 2,
};

static const struct option_row rows[] = {
	{ SOL_SOCKET, SO_REUSEADDR, OPTION_PLAIN },
	{ SOL_SOCKET, SO_REUSEPORT, OPTION_PLAIN },
	{ SOL_SOCKET, SO_KEEPALIVE, OPTION_PLAIN },
	{ SOL_SOCKET, SO_BROADCAST, OPTION_PLAIN },
	{ SOL_SOCKET, SO_OOBINLINE, OPTION_PLAIN },
	{ SOL_SOCKET, SO_LINGER, OPTION_PLAIN },
	{ SOL_SOCKET, SO_RCVBUF, OPTION_DOUBLED },
	{ SOL_SOCKET, SO_SNDBUF, OPTION_DOUBLED },
	{ SOL_SOCKET, SO_RCVLOWAT, OPTION_PLAIN },
	{ SOL_SOCKET, SO_RCVTIMEO, OPTION_PLAIN },
	{ SOL_SOCKET, SO_SNDTIMEO, OPTION_PLAIN },
	{ SOL_SOCKET, SO_DONTROUTE, OPTION_PLAIN },
	{ SOL_SOCKET, SO_PRIORITY, OPTION_PLAIN },
	{ SOL_SOCKET, SO_MARK, OPTION_PLAIN },
	{ SOL_SOCKET, SO_NO_CHECK, OPTION_PLAIN },
	{ SOL_SOCKET, SO_BINDTODEVICE, OPTION_PLAIN },
	{ SOL_SOCKET, SO_TIMESTAMP, OPTION_PLAIN },
	{ SOL_SOCKET, SO_TIMESTAMPNS, OPTION_PLAIN },
	{ SOL_SOCKET, SO_TIMESTAMPING, OPTION_PLAIN },
	{ SOL_SOCKET, SO_RXQ_OVFL, OPTION_PLAIN },
	{ SOL_SOCKET, SO_PEEK_OFF, OPTION_PLAIN },
	{ SOL_SOCKET, SO_SELECT_ERR_QUEUE, OPTION_PLAIN },
	{ SOL_SOCKET, SO_BUSY_POLL, OPTION_PLAIN },
	{ SOL_SOCKET, OPT_SO_PREFER_BUSY_POLL, OPTION_PLAIN },
	{ SOL_SOCKET, OPT_SO_BUSY_POLL_BUDGET, OPTION_PLAIN },
	{ SOL_SOCKET, SO_INCOMING_CPU, OPTION_PLAIN },
	{ SOL_SOCKET, SO_MAX_PACING_RATE, OPTION_PLAIN },
	{ SOL_SOCKET, SO_ZEROCOPY, OPTION_PLAIN },
	{ SOL_SOCKET, SO_TXTIME, OPTION_PLAIN },
	{ SOL_SOCKET, OPT_SO_BUF_LOCK, OPTION_PLAIN },
	{ SOL_SOCKET, OPT_SO_RESERVE_MEM, OPTION_PLAIN },
	{ SOL_SOCKET, OPT_SO_TXREHASH, OPTION_PLAIN },
	{ SOL_SOCKET, OPT_SO_RCVMARK, OPTION_PLAIN },

	{ IPPROTO_IP, IP_TOS, OPTION_BYTE },
	{ IPPROTO_IP, IP_TTL, OPTION_BYTE },
	{ IPPROTO_IP, IP_RECVERR, OPTION_BYTE },
	{ IPPROTO_IP, IP_RECVTTL, OPTION_BYTE },
	{ IPPROTO_IP, IP_RECVTOS, OPTION_BYTE },
	{ IPPROTO_IP, IP_RECVOPTS, OPTION_BYTE },
	{ IPPROTO_IP, IP_RETOPTS, OPTION_BYTE },
	{ IPPROTO_IP, IP_PKTINFO, OPTION_BYTE },
	{ IPPROTO_IP, IP_RECVORIGDSTADDR, OPTION_BYTE },
	{ IPPROTO_IP, IP_PASSSEC, OPTION_BYTE },
	{ IPPROTO_IP, IP_CHECKSUM, OPTION_BYTE },
	{ IPPROTO_IP, IP_RECVFRAGSIZE, OPTION_BYTE },
	{ IPPROTO_IP, IP_MTU_DISCOVER, OPTION_BYTE },
	{ IPPROTO_IP, IP_FREEBIND, OPTION_BYTE },
	{ IPPROTO_IP, IP_TRANSPARENT, OPTION_BYTE },
	{ IPPROTO_IP, IP_NODEFRAG, OPTION_BYTE },
	{ IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, OPTION_BYTE },
	{ IPPROTO_IP, IP_MINTTL, OPTION_BYTE },
	{ IPPROTO_IP, IP_MULTICAST_TTL, OPTION_BYTE },
	{ IPPROTO_IP, IP_MULTICAST_LOOP, OPTION_BYTE },
	{ IPPROTO_IP, IP_MULTICAST_ALL, OPTION_BYTE },
	{ IPPROTO_IP, IP_MULTICAST_IF, OPTION_PLAIN },
	{ IPPROTO_IP, IP_UNICAST_IF, OPTION_PLAIN },
	{ IPPROTO_IP, OPT_IP_LOCAL_PORT_RANGE, OPTION_PLAIN },

	{ IPPROTO_IPV6, IPV6_V6ONLY, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_TCLASS, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_MULTICAST_HOPS, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_MULTICAST_LOOP, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_MULTICAST_IF, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_MULTICAST_ALL, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_UNICAST_IF, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_RECVRTHDR, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_RECVHOPOPTS, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_RECVDSTOPTS, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_RECVPATHMTU, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_RECVFRAGSIZE, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_FLOWINFO, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_FLOWINFO_SEND, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_RECVERR, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_DONTFRAG, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_FREEBIND, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_TRANSPARENT, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_MINHOPCOUNT, OPTION_PLAIN },
	{ IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, OPTION_PLAIN },

	{ IPPROTO_TCP, TCP_NODELAY, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_MAXSEG, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_CORK, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_KEEPIDLE, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_KEEPINTVL, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_KEEPCNT, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_SYNCNT, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_LINGER2, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_QUICKACK, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_CONGESTION, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_FASTOPEN, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_FASTOPEN_CONNECT, OPTION_PLAIN },
	{ IPPROTO_TCP, OPT_TCP_FASTOPEN_NO_COOKIE, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_TIMESTAMP, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_SAVE_SYN, OPTION_PLAIN },
	{ IPPROTO_TCP, TCP_INQ, OPTION_PLAIN },
	{ IPPROTO_TCP, OPT_TCP_TX_DELAY, OPTION_PLAIN },

	{ IPPROTO_UDP, UDP_CORK, OPTION_PLAIN },
	{ IPPROTO_UDP, UDP_ENCAP, OPTION_PLAIN },
	{ IPPROTO_UDP, UDP_NO_CHECK6_TX, OPTION_PLAIN },
	{ IPPROTO_UDP, UDP_NO_CHECK6_RX, OPTION_PLAIN },
	{ IPPROTO_UDP, OPT_UDP_SEGMENT, OPTION_PLAIN },
	{ IPPROTO_UDP, OPT_UDP_GRO, OPTION_PLAIN },
};

static void set_option(const struct option_row *row, int to, const char *value,
		       socklen_t size)
{
	int number = 0;
	int r;

	if (row->kind == OPTION_PLAIN) {
		r = setsockopt(to, row->level, row->name, value, size);
	} else {
		if (size == 1)
			number = (unsigned char)value[0];
		else
			memcpy(&number, value, sizeof(number));
		if (row->kind == OPTION_DOUBLED)
			number /= 2;
		r = setsockopt(to, row->level, row->name, &number, sizeof(number));
	}
	if (r < 0)
		log_debug("option %d of level %d stays behind: %m", row->name,
			  row->level);
}

/*
 * A buffer that nobody sized belongs to its kind of socket: TCP's grows by itself from
 * 16 KiB, and that on a UNIX socket, or as a fixed size on another TCP one, costs half of
 * the speed. Before Linux 5.14 the kernel does not tell.
 */
static bool is_left_to_kernel(const struct option_row *row, int from)
{
	int locked = 0;
	socklen_t size = sizeof(locked);

	if (row->kind != OPTION_DOUBLED ||
	    getsockopt(from, SOL_SOCKET, OPT_SO_BUF_LOCK, &locked, &size) < 0)
		return false;
	return !(locked & (row->name == SO_SNDBUF ? BUF_LOCK_SEND : BUF_LOCK_RECEIVE));
}

static void carry_option(const struct option_row *row, int from, int to)
{
	char old[OPTION_MAX] = { 0 }, new[OPTION_MAX] = { 0 };
	socklen_t old_size = sizeof(old), new_size = sizeof(new);

	if (is_left_to_kernel(row, from))
		return;
	if (getsockopt(from, row->level, row->name, old, &old_size) < 0)
		return;
	if (getsockopt(to, row->level, row->name, new, &new_size) == 0 &&
	    old_size == new_size && memcmp(old, new, old_size) == 0)
		return;
	set_option(row, to, old, old_size);
}

/* A classic BPF filter is read back as the program that was attached; its length is
 * counted in instructions. */
static void carry_filter(int from, int to)
{
	_cleanup_free_ struct sock_filter *code = NULL;
	struct sock_fprog program;
	socklen_t n = 0;

	if (getsockopt(from, SOL_SOCKET, SO_GET_FILTER, NULL, &n) < 0 || n == 0)
		return;
	code = calloc(n, sizeof(*code));
	if (!code || getsockopt(from, SOL_SOCKET, SO_GET_FILTER, code, &n) < 0)
		return;
	program = (struct sock_fprog){ (unsigned short)n, code };
	if (setsockopt(to, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		log_debug("the socket filter stays behind: %m");
}

/* Last, for nothing can be changed after it. */
static void carry_filter_lock(int from, int to)
{
	int locked = 0;
	socklen_t size = sizeof(locked);

	if (getsockopt(from, SOL_SOCKET, SO_LOCK_FILTER, &locked, &size) == 0 && locked)
		setsockopt(to, SOL_SOCKET, SO_LOCK_FILTER, &locked, sizeof(locked));
}

bool carry_has(int level, int name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].level == level && rows[i].name == name)
			return true;
	return false;
}

void carry_options(int from, int to)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		carry_option(&rows[i], from, to);
	carry_filter(from, to);
	carry_filter_lock(from, to);
}

bool carry_one(int level, int name, int from, int to)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].level == level && rows[i].name == name) {
			carry_option(&rows[i], from, to);
			return true;
		}
	return false;
}

static void carry_signal(int from, int to)
{
	struct f_owner_ex owner;
	int signal = fcntl(from, F_GETSIG);

	if (fcntl(from, F_GETOWN_EX, &owner) == 0 && owner.pid)
		fcntl(to, F_SETOWN_EX, &owner);
	if (signal > 0)
		fcntl(to, F_SETSIG, signal);
}

/* Return: those of @from that are carried, or -errno. */
static int flags_of(int from)
{
	int flags = fcntl(from, F_GETFL);

	return flags < 0 ? -errno : flags & (O_NONBLOCK | O_ASYNC | O_APPEND);
}

void carry_flags(int from, int to)
{
	int flags = flags_of(from);

	carry_signal(from, to);
	if (flags >= 0)
		fcntl(to, F_SETFL, flags);
}

void carry_flags_to_new(int from, int to)
{
	int flags = flags_of(from);

	carry_signal(from, to);
	if (flags > 0)
		fcntl(to, F_SETFL, flags);
}
