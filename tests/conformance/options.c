/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every socket option of options.def: its default, and what survives connect and bind. */
#include <linux/in6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <sys/time.h>

#include "topics.h"

#ifndef IP_LOCAL_PORT_RANGE
#	define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef SO_TXREHASH
#	define SO_TXREHASH 74
#endif
#ifndef SO_BUF_LOCK
#	define SO_BUF_LOCK 72
#endif
#ifndef UDP_SEGMENT
#	define UDP_SEGMENT 103
#	define UDP_GRO     104
#endif

struct option {
	int level;
	int name;
	socklen_t size;
	const void *value;
};

struct two_ints {
	int first, second;
};

struct name {
	char text[16];
};

/* "17", or bytes in hexadecimal when it is not an int, without trailing zeros. */
static void read_option(int fd, const struct option *option, char *text, size_t size)
{
	unsigned char bytes[64] = { 0 };
	socklen_t len = sizeof(bytes);
	int number;
	size_t n = 0;

	if (getsockopt(fd, option->level, option->name, bytes, &len) < 0) {
		rc_text(-1, errno, text);
		return;
	}
	if (len == sizeof(number)) {
		memcpy(&number, bytes, sizeof(number));
		snprintf(text, size, "%d", number);
		return;
	}
	n = snprintf(text, size, "len%u:", len);
	while (len > 0 && bytes[len - 1] == 0)
		len--;
	for (socklen_t i = 0; i < len; i++)
		n += snprintf(text + n, size - n, "%02x", bytes[i]);
}

static void see_option(struct ctx *t, const char *key, int fd)
{
	char text[256];

	read_option(fd, t->test->argument, text, sizeof(text));
	see(t, key, "%s", text);
}

static long set_option(struct ctx *t, int fd)
{
	const struct option *option = t->test->argument;

	return setsockopt(fd, option->level, option->name, option->value, option->size);
}

static void carried(struct ctx *t)
{
	struct address server, address = at_lo(t, 0);
	int listener = serve(t, &server), fd = xsocket(t), other = xsocket(t);

	(void)listener;
	see_option(t, "default", fd);
	see_rc(t, "set", set_option(t, fd));
	see_option(t, "get", fd);
	see_rc(t, "connect", connect(fd, &server.sa, server.len));
	see_option(t, "connected", fd);
	set_option(t, other);
	see_rc(t, "bind", bind(other, &address.sa, address.len));
	see_option(t, "bound", other);
	if (!t->stream)
		return;
	see_rc(t, "listen", listen(other, 4));
	see_option(t, "listening", other);
}

#define OPTION(what, of_level, where, c_type, ...)                             \
	{ "options." #what, (where), carried, "carried over connect and bind", \
	  &(const struct option){ (of_level), (what), sizeof(c_type),          \
				  &(const c_type){ __VA_ARGS__ } } },

const struct test_case options_cases[] = {
#include "options.def"
};
#undef OPTION
CASES(options);
