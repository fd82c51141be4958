/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Receiving with an address, on an inet socket whose peer is noted and on a UNIX one that
 * plays a grafted server. The library's own functions are called by name.
 */
#include "test.h"

#include <stdlib.h>
#include <time.h>

#include "intercept/preload/calls.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/known.h"
#include "intercept/preload/unix_name.h"
#include "intercept/preload/view.h"

struct real real;

/* Numbers that something new came to: nothing is known of any here. */
void known_forget(int number)
{
	(void)number;
}

/* No AF_GRAFT socket is about, so none of these is ever asked. */
atomic_bool graft_exists;

bool graft_getsockname(int fd, struct sockaddr *address, socklen_t *len, int *ret)
{
	(void)fd, (void)address, (void)len, (void)ret;
	abort();
}

bool graft_getpeername(int fd, struct sockaddr *address, socklen_t *len, int *ret)
{
	(void)fd, (void)address, (void)len, (void)ret;
	abort();
}

void member_clean(int fd)
{
	(void)fd;
	abort();
}

struct ends {
	int server; /* receives */
	int client; /* is shown as 10.0.0.1 port 53, or (AF_UNIX) loopback */
	bool is_unix;
};

static struct ends inet_ends(void)
{
	struct ends ends = { socket_at(SOCK_DGRAM, "127.0.0.1", 0),
			     socket_at(SOCK_DGRAM, "127.0.0.1", 0) };
	union address server = address_of("127.0.0.1", port_of(ends.server));
	union address client = address_of("127.0.0.1", port_of(ends.client));
	union address asked = address_of("10.0.0.1", 53);

	assert_int_equal(connect(ends.client, &server.any, sizeof(server.v4)), 0);
	view_note_peer(ends.server, &client, &asked);
	return ends;
}

static struct ends unix_ends(void)
{
	static unsigned int turn;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct ends ends = { socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0),
			     socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), true };
	union address asked = address_of("0.0.0.0", 53);
	int n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "graft-show-%d-%u",
			 getpid(), turn++);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);

	assert_int_equal(bind(ends.server, (struct sockaddr *)&un, len), 0);
	view_note_bind(ends.server, &asked);
	assert_int_equal(unix_name_bind(ends.client, AF_INET, &asked, 4711), 0);
	assert_int_equal(connect(ends.client, (struct sockaddr *)&un, len), 0);
	return ends;
}

static void shows(const struct ends *ends, const union address *source)
{
	if (ends->is_unix)
		assert_address(source, "127.0.0.1", 4711);
	else
		assert_address(source, "10.0.0.1", 53);
}

static void send_n(const struct ends *ends, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(send(ends->client, "abc", (size_t)i % 3 + 1, 0),
				 i % 3 + 1);
}

static void each(void (*check)(const struct ends *ends))
{
	struct ends both[] = { inet_ends(), unix_ends() };

	assert_true(view_is_on(VIEW_SOURCES));
	for (int i = 0; i < 2; i++) {
		check(&both[i]);
		close(both[i].server);
		close(both[i].client);
	}
}

static void check_recvfrom(const struct ends *ends)
{
	union address source = { 0 };
	socklen_t len = sizeof(source);
	char data[4];

	send_n(ends, 2);
	assert_int_equal(hijack_recvfrom(ends->server, data, 4, 0, &source.any, &len), 1);
	assert_int_equal(len, sizeof(source.v4));
	shows(ends, &source);
	assert_int_equal(hijack___recvfrom_chk(ends->server, data, 4, 4, 0, NULL, NULL),
			 2);
	len = 4;
	assert_int_equal(hijack_recvfrom(ends->server, data, 4, MSG_DONTWAIT, &source.any,
					 &len),
			 -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(len, 4);
}

static void recvfrom_shows(void **state)
{
	each(check_recvfrom);
}

static void check_recvmsg(const struct ends *ends)
{
	union address source = { 0 };
	char data[2], control[64];
	struct iovec vec = { data, sizeof(data) };
	struct msghdr message = { .msg_name = &source,
				  .msg_namelen = sizeof(source),
				  .msg_iov = &vec,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control),
				  .msg_flags = -1 };

	send_n(ends, 5);
	assert_int_equal(hijack_recvmsg(ends->server, &message, 0), 1);
	assert_int_equal(message.msg_namelen, sizeof(source.v4));
	assert_int_equal(message.msg_controllen, 0);
	assert_int_equal(message.msg_flags, 0);
	assert_ptr_equal(message.msg_name, &source);
	shows(ends, &source);
	/* Short room, and then none. */
	memset(&source, 0xee, sizeof(source));
	message.msg_namelen = 4;
	assert_int_equal(hijack_recvmsg(ends->server, &message, 0), 2);
	assert_int_equal(message.msg_namelen, sizeof(source.v4));
	assert_int_equal(((unsigned char *)&source)[4], 0xee);
	message.msg_name = NULL;
	assert_int_equal(hijack_recvmsg(ends->server, &message, MSG_TRUNC), 3);
	assert_int_equal(message.msg_flags & MSG_TRUNC, MSG_TRUNC);
	message.msg_name = BAD_POINTER;
	message.msg_namelen = sizeof(source);
	assert_int_equal(hijack_recvmsg(ends->server, &message, 0), -1);
	assert_int_equal(errno, EFAULT);
#ifndef __SANITIZE_ADDRESS__ /* which looks into the header by itself */
	assert_int_equal(hijack_recvmsg(ends->server, BAD_POINTER, 0), -1);
	assert_int_equal(errno, EFAULT);
#endif
}

static void recvmsg_shows(void **state)
{
	each(check_recvmsg);
}

#define N 40

struct many {
	union address sources[N];
	char data[N][4];
	struct iovec vecs[N];
	struct mmsghdr messages[N];
};

static void many_init(struct many *many)
{
	memset(many, 0, sizeof(*many));
	for (int i = 0; i < N; i++) {
		many->vecs[i] = (struct iovec){ many->data[i], 4 };
		many->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &many->sources[i],
			.msg_namelen = sizeof(many->sources[i]),
			.msg_iov = &many->vecs[i],
			.msg_iovlen = 1,
		};
	}
}

/* As many as an AF_UNIX socket queues. */
#define SENT 10

static void check_recvmmsg(const struct ends *ends)
{
	struct timespec soon = { 0, 1000000 }, long_ago = { 0 };
	struct many many;

	many_init(&many);
	many.messages[3].msg_hdr.msg_name = NULL;
	send_n(ends, SENT);
	assert_int_equal(hijack_recvmmsg(ends->server, many.messages, N, MSG_WAITFORONE,
					 NULL),
			 SENT);
	for (int i = 0; i < SENT; i++) {
		assert_int_equal(many.messages[i].msg_len, i % 3 + 1);
		if (i == 3)
			continue;
		assert_int_equal(many.messages[i].msg_hdr.msg_namelen,
				 sizeof(many.sources[i].v4));
		shows(ends, &many.sources[i]);
	}
	many_init(&many);
	assert_int_equal(hijack_recvmmsg(ends->server, many.messages, N, MSG_DONTWAIT,
					 NULL),
			 -1);
	assert_int_equal(errno, EAGAIN);
	/* The time limit is looked at after a datagram. */
	send_n(ends, 2);
	assert_int_equal(hijack_recvmmsg(ends->server, many.messages, N, 0, &long_ago),
			 1);
	assert_int_equal(hijack_recvmmsg(ends->server, many.messages, N, MSG_DONTWAIT,
					 &soon),
			 1);
	assert_int_equal(hijack_recvmmsg(ends->server, many.messages, 0, 0, NULL), 0);
#ifndef __SANITIZE_ADDRESS__
	send_n(ends, 1);
	assert_int_equal(hijack_recvmmsg(ends->server, BAD_POINTER, 3, 0, NULL), -1);
	assert_int_equal(errno, EFAULT);
#endif
}

static void recvmmsg_shows(void **state)
{
	each(check_recvmmsg);
}

/* Messages without room, or too little for what the kernel says, stay as they are. */
static void recvmmsg_short(void **state)
{
	struct ends ends = inet_ends();
	struct many many;

	many_init(&many);
	memset(many.sources, 0xee, sizeof(many.sources));
	many.messages[0].msg_hdr.msg_namelen = 8;
	send_n(&ends, 2);
	assert_int_equal(hijack_recvmmsg(ends.server, many.messages, 2, 0, NULL), 2);
	assert_int_equal(many.messages[0].msg_hdr.msg_namelen, 16);
	assert_int_equal(((unsigned char *)&many.sources[0])[8], 0xee);
	shows(&ends, &many.sources[1]);
	close(ends.server);
	close(ends.client);
}

static void streams_have_no_source(void **state)
{
	_cleanup_fd_ int listener = socket_at(SOCK_STREAM, "127.0.0.1", 0);
	_cleanup_fd_ int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	union address server = address_of("127.0.0.1", port_of(listener)), source;
	_cleanup_fd_ int fd = -1;
	socklen_t len = sizeof(source);
	char byte;

	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(connect(client, &server.any, sizeof(server.v4)), 0);
	fd = hijack_accept4(listener, &source.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_int_equal(len, sizeof(source.v4));
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(send(client, "x", 1, 0), 1);
	memset(&source, 0xee, sizeof(source));
	len = sizeof(source);
	assert_int_equal(hijack_recvfrom(fd, &byte, 1, 0, &source.any, &len), 1);
	assert_int_equal(len, 0);
	assert_int_equal(((unsigned char *)&source)[0], 0xee);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recvfrom_shows),
		cmocka_unit_test(recvmsg_shows),
		cmocka_unit_test(recvmmsg_shows),
		cmocka_unit_test(recvmmsg_short),
		cmocka_unit_test(streams_have_no_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
