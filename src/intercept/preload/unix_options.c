/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was set is kept in a note under the socket's cookie: it changes nothing, a UNIX
 * socket has no segments to delay and no congestion to control. What there is to be set,
 * and what it reads as until then, is in a table (option_row.h).
 *
 * SOL_SOCKET options are the kernel's own affair, SO_PEERCRED included; only SO_DOMAIN
 * and SO_PROTOCOL answer as for the socket that the program asked for.
 */
#include <poll.h>
#include <string.h>

/* In this order: the others fill in what the first lacks. */
#include <netinet/in.h>

#include <linux/tcp.h>

#include "base/cleanup.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/memory.h"
#include "intercept/preload/notes.h"
#include "intercept/preload/option_row.h"
#include "intercept/preload/unix_options.h"

/* What the loopback interface makes of TCP. */
#define LOOPBACK_MSS       65483
#define DEFAULT_MSS        536
#define DEFAULT_CONGESTION "cubic"

struct option_key {
	uint64_t cookie;
	int32_t level, name;
};

struct option_value {
	uint64_t size;
	char bytes[16]; /* TCP_CONGESTION has as many */
};

static struct notes values = NOTES_OF(struct option_key, struct option_value, 6, 8);

static bool is_stream(int fd)
{
	return kernel_option(fd, SO_TYPE, SOCK_STREAM) == SOCK_STREAM;
}

/* Would the socket that the program asked for have @level? */
static bool has_level(int fd, const union address *local, int level)
{
	switch (level) {
	case IPPROTO_IP:
		return true;
	case IPPROTO_IPV6:
		return local->any.sa_family == AF_INET6;
	case IPPROTO_TCP:
		return is_stream(fd);
	case IPPROTO_UDP:
		return !is_stream(fd);
	}
	return false;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

static struct option_key key_of(int fd, const struct option_row *row)
{
	return (struct option_key){ kernel_cookie(fd, SO_COOKIE), row->level, row->name };
}

static int keep(int fd, const struct option_row *row, const void *bytes, size_t size)
{
	struct option_key key = key_of(fd, row);
	struct option_value value = { .size = size };

	memcpy(value.bytes, bytes, size);
	notes_set(&values, &key, &value);
	return 0;
}

static int set_text(int fd, const struct option_row *row, const void *from,
		    socklen_t size)
{
	char text[sizeof(((struct option_value *)0)->bytes)] = { 0 };

	if (size < 1)
		return fail(EINVAL);
	if (size > sizeof(text) - 1)
		size = sizeof(text) - 1;
	if (memory_read(text, from, size) < 0)
		return fail(EFAULT);
	return keep(fd, row, text, sizeof(text));
}

/* IP options may be given as one byte. */
static int read_int(const struct option_row *row, const void *from, socklen_t size,
		    int *ret)
{
	unsigned char byte;

	if (row->level == IPPROTO_IP && size >= 1 && size < sizeof(*ret)) {
		if (memory_read(&byte, from, 1) < 0)
			return -EFAULT;
		*ret = byte;
		return 0;
	}
	if (size < sizeof(*ret))
		return -EINVAL;
	return memory_read(ret, from, sizeof(*ret));
}

/* Makes of @number what it will be read as. Return: 0 or -errno. */
static int admit(int fd, const struct option_row *row, int *number)
{
	if (row->kind == OPTION_FLAG) {
		*number = *number != 0;
		return 0;
	}
	if (row->kind == OPTION_HOPS && *number == -1) {
		*number = row->unset;
		return 0;
	}
	if (row->low > row->high)
		return -ENOPROTOOPT;
	if (*number < row->low || *number > row->high)
		return -EINVAL;
	if (row->kind == OPTION_TOS)
		*number = *number == -1 ? 0 : *number & (is_stream(fd) ? 0xfc : 0xff);
	return 0;
}

int unix_options_set(int fd, int level, int name, const void *value, socklen_t size)
{
	int refused = errno, number, r;
	const struct option_row *row;
	union address local;

	if (!view_unix_local(fd, &local))
		return fail(refused);
	row = option_row_find(level, name);
	if (!row || !has_level(fd, &local, level))
		return fail(ENOPROTOOPT);
	switch (row->kind) {
	case OPTION_TEXT:
		return set_text(fd, row, value, size);
	case OPTION_NONE:
	case OPTION_INFO:
		return fail(ENOPROTOOPT);
	case OPTION_INT:
	case OPTION_HOPS:
	case OPTION_TOS:
	case OPTION_FLAG:
	case OPTION_MAXSEG:
		break;
	}
	r = read_int(row, value, size, &number);
	if (r < 0)
		return fail(-r);
	r = admit(fd, row, &number);
	return r < 0 ? fail(-r) : keep(fd, row, &number, sizeof(number));
}

static bool is_connected(int fd)
{
	union address peer;
	socklen_t len = sizeof(peer);

	return getpeername(fd, &peer.any, &len) == 0;
}

/* TCP's numbers for the state the socket is in. */
static unsigned char state_of(int fd)
{
	enum { ESTABLISHED = 1, CLOSED = 7, CLOSE_WAIT = 8, LISTEN = 10 };
	struct pollfd pollfd = { fd, POLLRDHUP, 0 };

	if (kernel_option(fd, SO_ACCEPTCONN, 0))
		return LISTEN;
	if (!is_connected(fd) || poll(&pollfd, 1, 0) < 0 || pollfd.revents & POLLHUP)
		return CLOSED;
	return pollfd.revents & POLLRDHUP ? CLOSE_WAIT : ESTABLISHED;
}

static struct tcp_info info_of(int fd)
{
	return (struct tcp_info){
		.tcpi_state = state_of(fd),
		.tcpi_rto = 200000,
		.tcpi_ato = 40000,
		.tcpi_snd_mss = LOOPBACK_MSS,
		.tcpi_rcv_mss = LOOPBACK_MSS,
		.tcpi_pmtu = LOOPBACK_MTU,
		.tcpi_rcv_ssthresh = LOOPBACK_MTU,
		.tcpi_rtt = 20,
		.tcpi_rttvar = 10,
		.tcpi_snd_ssthresh = INT32_MAX,
		.tcpi_snd_cwnd = 10,
		.tcpi_advmss = LOOPBACK_MSS,
		.tcpi_reordering = 3,
		.tcpi_rcv_space = LOOPBACK_MTU,
		.tcpi_min_rtt = 10,
	};
}

/* Writes what fits of @size bytes at @from, and how much that is. */
static int give(const void *from, socklen_t size, void *value, socklen_t *room)
{
	socklen_t n;

	if (memory_read(&n, room, sizeof(n)) < 0)
		return fail(EFAULT);
	if ((int)n < 0)
		return fail(EINVAL);
	if (n > size)
		n = size;
	if (memory_write(room, &n, sizeof(n)) < 0 || memory_write(value, from, n) < 0)
		return fail(EFAULT);
	return 0;
}

static int give_int(const struct option_row *row, int number, void *value,
		    socklen_t *room)
{
	unsigned char byte = (unsigned char)number;
	socklen_t n;

	/* IP options may be asked for as one byte. */
	if (row && row->level == IPPROTO_IP && number >= 0 && number <= 255 &&
	    memory_read(&n, room, sizeof(n)) == 0 && n >= 1 && n < sizeof(number))
		return give(&byte, 1, value, room);
	return give(&number, sizeof(number), value, room);
}

static int get_unset(int fd, const struct option_row *row, void *value, socklen_t *size)
{
	struct tcp_info info;

	switch (row->kind) {
	case OPTION_INT:
	case OPTION_HOPS:
	case OPTION_TOS:
	case OPTION_FLAG:
		return give_int(row, row->unset, value, size);
	case OPTION_TEXT:
		return give(DEFAULT_CONGESTION "\0\0\0\0\0\0\0\0\0\0", 16, value, size);
	case OPTION_NONE:
		return give("", 0, value, size);
	case OPTION_MAXSEG:
		return give_int(row, is_connected(fd) ? LOOPBACK_MSS : DEFAULT_MSS, value,
				size);
	case OPTION_INFO:
		info = info_of(fd);
		return give(&info, sizeof(info), value, size);
	}
	return fail(ENOPROTOOPT);
}

static int get_row(int fd, const struct option_row *row, void *value, socklen_t *size)
{
	struct option_key key = key_of(fd, row);
	struct option_value kept;
	int number;

	if (notes_is_empty(&values) || !notes_find(&values, &key, &kept))
		return get_unset(fd, row, value, size);
	if (kept.size != sizeof(number))
		return give(kept.bytes, (socklen_t)kept.size, value, size);
	memcpy(&number, kept.bytes, sizeof(number));
	return give_int(row, number, value, size);
}

int unix_options_get(int fd, int r, int level, int name, void *value, socklen_t *size)
{
	int saved = errno;
	const struct option_row *row;
	union address local;

	if (!view_unix_local(fd, &local)) {
		errno = saved;
		return r;
	}
	if (level == SOL_SOCKET && name == SO_DOMAIN)
		return give_int(NULL, local.any.sa_family, value, size);
	if (level == SOL_SOCKET)
		return give_int(NULL, is_stream(fd) ? IPPROTO_TCP : IPPROTO_UDP, value,
				size);
	row = option_row_find(level, name);
	return row && has_level(fd, &local, level) ? get_row(fd, row, value, size)
						   : fail(ENOPROTOOPT);
}

static const struct {
	int level, name;
} carried[UNIX_OPTIONS_CARRIED] = {
	{ IPPROTO_TCP, TCP_NODELAY },
	{ IPPROTO_IPV6, IPV6_V6ONLY },
};

void unix_options_take(int from, struct unix_options *ret)
{
	int saved = errno;

	for (size_t i = 0; i < ARRAY_SIZE(carried); i++) {
		const struct option_row *row =
			option_row_find(carried[i].level, carried[i].name);
		socklen_t size = sizeof(ret->values[i]);

		ret->is_set[i] = getsockopt(from, row->level, row->name, &ret->values[i],
					    &size) == 0 &&
				 ret->values[i] != row->unset;
	}
	errno = saved;
}

void unix_options_give(int to, const struct unix_options *taken)
{
	for (size_t i = 0; i < ARRAY_SIZE(carried); i++)
		if (taken->is_set[i])
			keep(to, option_row_find(carried[i].level, carried[i].name),
			     &taken->values[i], sizeof(taken->values[i]));
}

void unix_options_carry(int from, int to)
{
	struct unix_options taken;

	unix_options_take(from, &taken);
	unix_options_give(to, &taken);
}
