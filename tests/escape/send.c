/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sending to a forbidden address without connect(). */
#include <netinet/tcp.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "escape.h"

enum { N_MANY = 1024 };

static void seen_sendto(int fd, const struct target *target, int flags)
{
	seen("sendto",
	     sendto(fd, "x", 1, flags | MSG_NOSIGNAL, &target->any, target->len));
}

static void seen_sendmsg(int fd, struct target *target, int flags)
{
	struct iovec iov = { "x", 1 };
	struct msghdr message = { .msg_name = &target->any,
				  .msg_namelen = target->len,
				  .msg_iov = &iov,
				  .msg_iovlen = 1 };

	seen("sendmsg", sendmsg(fd, &message, flags | MSG_NOSIGNAL));
}

static void plain(const struct way *way)
{
	struct target canary = target_canary(way);

	seen_sendto(fresh(way), &canary, 0);
	seen_sendto(host_socket(way), &canary, 0);
}

static void denied(const struct way *way)
{
	struct target target = target_denied(way);

	seen_sendto(fresh(way), &target, 0);
	seen_sendmsg(fresh(way), &target, 0);
	seen_sendto(host_socket(way), &target, 0);
	seen_sendmsg(host_socket(way), &target, 0);
}

static void forms(const struct way *way)
{
	static const char *const forms4[] = { "0.0.0.0", "127.1.2.3" };
	static const char *const forms6[] = { "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0",
					      "::ffff:127.1.2.3", "::ffff:10.77.0.66" };
	bool is_v4 = way->family == AF_INET;
	size_t n_forms = is_v4 ? ARRAY_SIZE(forms4) : ARRAY_SIZE(forms6);

	for (size_t i = 0; i < n_forms; i++) {
		struct target target =
			target_make(way->family, is_v4 ? forms4[i] : forms6[i],
				    PORT_CANARY);

		seen_sendto(host_socket(way), &target, 0);
		seen_sendmsg(host_socket(way), &target, 0);
	}
}

/* UDP over IPv4 takes AF_UNSPEC for AF_INET. */
static void unspec(const struct way *way)
{
	struct target canary = target_canary(way);

	canary.any.sa_family = AF_UNSPEC;
	seen_sendto(fresh(way), &canary, 0);
	seen_sendto(host_socket(way), &canary, 0);
	seen_sendmsg(host_socket(way), &canary, 0);
}

static void inet_on_inet6(const struct way *way)
{
	struct target canary = target_make(AF_INET, "127.0.0.1", PORT_CANARY);

	seen_sendto(fresh(way), &canary, 0);
	seen_sendto(host_socket(way), &canary, 0);
	seen_sendmsg(host_socket(way), &canary, 0);
}

static void connected(const struct way *way)
{
	struct target allowed = target_allowed(way), canary = target_canary(way);
	int fd = fresh(way);

	seen_connect(fd, &allowed);
	seen_sendto(fd, &canary, 0);
	seen_sendmsg(fd, &canary, 0);
	close(fd);
}

static void message(const struct way *way)
{
	struct target canary = target_canary(way);

	seen_sendmsg(fresh(way), &canary, 0);
	seen_sendmsg(host_socket(way), &canary, 0);
}

static void messages_to(int fd, struct target *targets, size_t n_targets,
			size_t n_messages)
{
	static struct mmsghdr vector[N_MANY + 1];
	struct iovec iov = { "x", 1 };

	memset(vector, 0, sizeof(vector));
	for (size_t i = 0; i < n_messages; i++) {
		struct msghdr *header = &vector[i].msg_hdr;

		header->msg_iov = &iov;
		header->msg_iovlen = 1;
		header->msg_name = &targets[i % n_targets].any;
		header->msg_namelen = targets[i % n_targets].len;
	}
	seen("sendmmsg", sendmmsg(fd, vector, n_messages, MSG_NOSIGNAL));
}

static void mixed(const struct way *way)
{
	struct target targets[] = { target_allowed(way), target_canary(way),
				    target_allowed(way), target_denied(way) };

	messages_to(fresh(way), targets, 4, 4);
	messages_to(host_socket(way), targets, 4, 4);
	messages_to(host_socket(way), targets + 1, 1, 1);
	messages_to(host_socket(way), targets, 4, N_MANY + 1);
}

#if __SIZEOF_LONG__ == 8
static void high_bits(const struct way *way)
{
	struct target canary = target_canary(way);
	const long high = 1L << 32;
	long fd = host_socket(way);
	struct iovec iov = { "x", 1 };
	struct msghdr header = { .msg_name = &canary,
				 .msg_namelen = canary.len,
				 .msg_iov = &iov,
				 .msg_iovlen = 1 };

	seen("sendto",
	     syscall(SYS_sendto, fd | high, "x", 1L, 0L, &canary, (long)canary.len));
	seen("sendto", syscall(SYS_sendto, fd, "x", 1L, high, &canary, (long)canary.len));
	seen("sendto", syscall(SYS_sendto, fd, "x", 1L, 0L, &canary, canary.len | high));
	seen("sendto", syscall(SYS_sendto, fd, "x", 1L, 0L, &canary, -1L));
	seen("sendmsg", syscall(SYS_sendmsg, fd | high, &header, 0L));
	seen("sendmsg", syscall(SYS_sendmsg, fd, &header, high));
	header.msg_namelen = -1;
	seen("sendmsg", syscall(SYS_sendmsg, fd, &header, 0L));
	header.msg_namelen = 0x7fffffff; /* the kernel cuts it to 128 */
	seen("sendmsg", syscall(SYS_sendmsg, fd, &header, 0L));
}
#else
static void high_bits(const struct way *way)
{
	(void)way;
	unsupported("registers are 32 bits wide");
}
#endif

static void lengths(const struct way *way)
{
	struct target canary = target_canary(way);
	int fd = host_socket(way), n_sent = 0;

	for (canary.len = 1; canary.len <= 200; canary.len++) {
		struct iovec iov = { "x", 1 };
		struct msghdr header = { .msg_name = &canary.any,
					 .msg_namelen = canary.len,
					 .msg_iov = &iov,
					 .msg_iovlen = 1 };

		n_sent += sendto(fd, "x", 1, 0, &canary.any, canary.len) == 1;
		n_sent += sendmsg(fd, &header, 0) == 1;
	}
	note("%d of 400 sent", n_sent);
}

static void fastopen_sendto(const struct way *way)
{
	struct target canary = target_canary(way);

	seen_sendto(fresh(way), &canary, MSG_FASTOPEN);
	seen_sendto(host_socket(way), &canary, MSG_FASTOPEN);
}

static void fastopen_sendmsg(const struct way *way)
{
	struct target canary = target_canary(way);

	seen_sendmsg(fresh(way), &canary, MSG_FASTOPEN);
	seen_sendmsg(host_socket(way), &canary, MSG_FASTOPEN);
}

static void fastopen_sendmmsg(const struct way *way)
{
	struct target canary = target_canary(way);
	struct iovec iov = { "x", 1 };
	struct mmsghdr one = { .msg_hdr = { .msg_name = &canary.any,
					    .msg_namelen = canary.len,
					    .msg_iov = &iov,
					    .msg_iovlen = 1 } };

	seen("sendmmsg", sendmmsg(fresh(way), &one, 1, MSG_FASTOPEN));
	seen("sendmmsg", sendmmsg(host_socket(way), &one, 1, MSG_FASTOPEN));
}

static void fastopen_after(const struct way *way)
{
	struct target allowed = target_allowed(way), canary = target_canary(way);
	int fd = fresh(way);

	reach(fd, &allowed);
	seen_disconnect(fd);
	seen_sendto(fd, &canary, MSG_FASTOPEN | MSG_DONTWAIT);
	seen_disconnect(fd);
	seen_sendmsg(fd, &canary, MSG_FASTOPEN | MSG_MORE);
	close(fd);
}

static void fastopen_connect(const struct way *way)
{
	struct target canary = target_canary(way);

	for (int i = 0; i < 2; i++) {
		int fd = i ? host_socket(way) : fresh(way), one = 1;

		seen("setsockopt", setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one,
					      sizeof(one)));
		seen_connect(fd, &canary);
		seen("write", send(fd, "x", 1, MSG_NOSIGNAL));
		close(fd);
	}
}

/* A server on a published port "answers" somebody who never asked. */
static void unasked_answer(const struct way *way)
{
	struct target given = target_local(way, PORT_GIVEN), canary = target_canary(way);
	struct target client = canary;
	int fd = fresh(way);

	client.v4.sin_port = htons(PORT_EPHEMERAL);
	seen("bind", bind(fd, &given.any, given.len));
	seen_sendto(fd, &canary, 0);
	seen_sendto(fd, &client, 0);
	seen_sendmsg(fd, &client, 0);
	reach(fd, &client);
	close(fd);
}

static int bound_to_given(const struct way *way)
{
	struct target given = target_local(way, PORT_GIVEN);
	int fd = fresh(way);

	seen("bind", bind(fd, &given.any, given.len));
	return fd;
}

/* A "client" in the program's own stack has the address of somebody on the host. */
static void false_client(const struct way *way)
{
	struct target client = target_canary(way), server = client;
	int fd = bound_to_given(way), own = fresh(way);

	client.v4.sin_port = htons(PORT_EPHEMERAL);
	server.v4.sin_port = htons(PORT_GIVEN);
	seen("bind", bind(own, &client.any, client.len));
	seen_connect(own, &server);
	seen_sendto(fd, &client, 0);
	seen_sendmsg(fd, &client, 0);
	reach(fd, &client);
}

/* A service of the host that connected its socket to the published port. */
static void real_client(const struct way *way)
{
	struct target client = target_canary(way);
	int fd = bound_to_given(way);

	client.v4.sin_port = htons(PORT_CLIENT);
	seen_sendto(fd, &client, 0);
	reach(fd, &client);
	/* and nobody else by it */
	client.v4.sin_port = htons(PORT_CANARY);
	seen_sendto(fd, &client, 0);
}

const struct attempt attempts_send[] = {
	{ "sendto", WAY_UDP, 0, plain, "sendto the host's loopback" },
	{ "send-denied", WAY_UDP, 0, denied, "sendto and sendmsg to a denied address" },
	{ "send-forms", WAY_UDP, 0, forms,
	  "0.0.0.0, 127.1.2.3, [::] and the mapped forms" },
	{ "send-unspec", WAY_UDP4, 0, unspec, "AF_UNSPEC with the bytes of 127.0.0.1" },
	{ "send-inet-on-inet6", WAY_UDP6, 0, inet_on_inet6,
	  "an AF_INET address on an AF_INET6 socket" },
	{ "send-connected", WAY_UDP, 0, connected, "connected to one, sent to another" },
	{ "sendmsg", WAY_UDP, 0, message, "sendmsg to the host's loopback" },
	{ "sendmmsg", WAY_UDP, 0, mixed,
	  "allowed and forbidden destinations in one call" },
	{ "send-answer", WAY_UDP, 0, unasked_answer,
	  "an answer from a published port that nobody asked for" },
	{ "send-answer-false", WAY_UDP, 0, false_client,
	  "the same to a client of the own stack with the address of a host service" },
	{ "send-answer-client", WAY_UDP, IS_GRANTED, real_client,
	  "an answer to a host service that is connected to the published port" },
	{ "send-high-bits", WAY_UDP, 0, high_bits,
	  "bits above 32 in descriptor, flags and length; negative lengths" },
	{ "send-lengths", WAY_UDP, 0, lengths, "every address length from 1 to 200" },
	{ "fastopen-sendto", WAY_TCP, 0, fastopen_sendto, "sendto(MSG_FASTOPEN)" },
	{ "fastopen-sendmsg", WAY_TCP, 0, fastopen_sendmsg, "sendmsg(MSG_FASTOPEN)" },
	{ "fastopen-sendmmsg", WAY_TCP, 0, fastopen_sendmmsg, "sendmmsg(MSG_FASTOPEN)" },
	{ "fastopen-disconnected", WAY_TCP, 0, fastopen_after,
	  "MSG_FASTOPEN on a socket that was allowed and disconnected" },
	{ "fastopen-connect", WAY_TCP, 0, fastopen_connect,
	  "TCP_FASTOPEN_CONNECT, connect, write" },
	{}
};
