/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes through sockets, by every call there is for it; and descriptors, from worker to
 * worker: a socket that becomes another's before it is bound, and one sent over itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuzz.h"

static int done(ssize_t result)
{
	return result < 0 ? -1 : 0;
}

static size_t some(struct actor *actor)
{
	return random_below(actor, random_one_in(actor, 8) ? sizeof(actor->bytes) : 200);
}

static int send_flags(struct actor *actor)
{
	static const int flags[] = { MSG_DONTWAIT, MSG_MORE,     MSG_OOB,
				     MSG_ZEROCOPY, MSG_FASTOPEN, MSG_CONFIRM };
	int result = MSG_NOSIGNAL;

	if (random_one_in(actor, 3))
		result |= random_of(actor, flags);
	if (random_one_in(actor, 32))
		result |= random_bits(actor);
	return result;
}

static int receive_flags(struct actor *actor)
{
	static const int flags[] = { MSG_DONTWAIT, MSG_PEEK,     MSG_TRUNC,
				     MSG_OOB,      MSG_ERRQUEUE, MSG_CMSG_CLOEXEC };
	int result = random_one_in(actor, 3) ? random_of(actor, flags) : 0;

	/* To wait for all is to wait for the signal. */
	return random_one_in(actor, 32)
		       ? result | (int)(random_bits(actor) & ~MSG_WAITALL)
		       : result;
}

/*
 * A copy of @fd, to be passed in a message and closed; or of the common pair's instead,
 * where that is a socket of AF_UNIX or may become one. Rings of those are the one thing
 * that a namespace does not get rid of: docs/kmod.md, "AF_UNIX and messages".
 */
static int copy_to_pass(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, FUZZ_OWN_FD), domain;
	socklen_t length = sizeof(domain);

	if (copy >= 0 && (getsockopt(copy, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 ||
			  domain == AF_INET || domain == AF_INET6))
		return copy;
	if (copy >= 0)
		close(copy);
	return fcntl(fuzz.pair[0], F_DUPFD_CLOEXEC, FUZZ_OWN_FD);
}

/* One of the kinds of ancillary data that go with a send, well formed or not. */
static void put_control(struct actor *actor, struct msghdr *message,
			unsigned char *control)
{
	static const int levels[][2] = {
		{ SOL_SOCKET, SCM_RIGHTS },
		{ SOL_SOCKET, SCM_CREDENTIALS },
		{ IPPROTO_IP, IP_TTL },
		{ IPPROTO_IP, IP_PKTINFO },
		{ IPPROTO_IPV6, IPV6_PKTINFO },
		{ IPPROTO_UDP, 103 /* UDP_SEGMENT */ },
		{ IPPROTO_SCTP, 0 },
		{ 282 /* SOL_TLS */, 1 },
	};
	struct cmsghdr *header = (struct cmsghdr *)control;
	int i = random_below(actor, 8);
	int fd = random_one_in(actor, 4) ? -1 : fuzz.pair[random_below(actor, 2)];

	memset(control, 0, 64);
	message->msg_control = control;
	message->msg_controllen =
		random_one_in(actor, 4) ? random_below(actor, 64) : CMSG_SPACE(4);
	header->cmsg_level = levels[i][0];
	header->cmsg_type = levels[i][1];
	header->cmsg_len = random_one_in(actor, 8) ? random_bits(actor) : CMSG_LEN(4);
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
}

static void message_init(struct actor *actor, struct msghdr *message, struct iovec *parts,
			 struct sockaddr_storage *address, unsigned char *control)
{
	memset(message, 0, sizeof(*message));
	parts[0] = (struct iovec){ actor->bytes, some(actor) };
	parts[1] = (struct iovec){ random_one_in(actor, 32) ? NULL : actor->bytes + 1,
				   random_one_in(actor, 4) ? some(actor) : 0 };
	message->msg_iov = parts;
	message->msg_iovlen = random_below(actor, 3);
	if (random_one_in(actor, 2)) {
		message->msg_name = address;
		message->msg_namelen = random_address(actor, address);
	}
	if (random_one_in(actor, 4))
		put_control(actor, message, control);
}

static int call_send(struct actor *actor)
{
	struct sockaddr_storage address;
	int fd = slot_get(actor);

	if (random_one_in(actor, 2))
		return done(send(fd, actor->bytes, some(actor), send_flags(actor)));
	return done(sendto(fd, actor->bytes, some(actor), send_flags(actor),
			   (struct sockaddr *)&address, random_address(actor, &address)));
}

static int call_sendmsg(struct actor *actor)
{
	struct sockaddr_storage addresses[2];
	_Alignas(struct cmsghdr) unsigned char control[2][64];
	struct iovec parts[2][2];
	struct mmsghdr messages[2];
	int i;

	for (i = 0; i < 2; i++)
		message_init(actor, &messages[i].msg_hdr, parts[i], &addresses[i],
			     control[i]);
	if (random_one_in(actor, 2))
		return done(sendmsg(slot_get(actor), &messages[0].msg_hdr,
				    send_flags(actor)));
	return done(sendmmsg(slot_get(actor), messages, 2, send_flags(actor)));
}

static int call_receive(struct actor *actor)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int fd = slot_get(actor);

	if (random_one_in(actor, 4))
		return done(read(fd, actor->bytes, some(actor)));
	return done(recvfrom(fd, actor->bytes, some(actor), receive_flags(actor),
			     (struct sockaddr *)&address, &length));
}

/* Descriptors that come along are kept. */
static void take_descriptors(struct actor *actor, struct msghdr *message)
{
	struct cmsghdr *header;
	int fd, i;

	for (header = CMSG_FIRSTHDR(message); header;
	     header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = 0; CMSG_LEN((i + 1) * sizeof(fd)) <= header->cmsg_len; i++) {
			memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
			slot_put(actor, fd);
		}
	}
}

static int call_recvmsg(struct actor *actor)
{
	struct sockaddr_storage addresses[2];
	_Alignas(struct cmsghdr) unsigned char control[2][256];
	struct iovec parts[2];
	struct mmsghdr messages[2];
	struct timespec limit = { .tv_nsec = 10000000 };
	int i, result;

	memset(messages, 0, sizeof(messages));
	for (i = 0; i < 2; i++) {
		parts[i] = (struct iovec){ actor->bytes + i * 8192, some(actor) / 2 };
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &addresses[i],
			.msg_namelen = sizeof(addresses[i]),
			.msg_iov = &parts[i],
			.msg_iovlen = 1,
			.msg_control = control[i],
			.msg_controllen = random_below(actor, sizeof(control[i]) + 1),
		};
	}
	if (random_one_in(actor, 2)) {
		result = recvmsg(slot_get(actor), &messages[0].msg_hdr,
				 receive_flags(actor));
		if (result >= 0)
			take_descriptors(actor, &messages[0].msg_hdr);
		return done(result);
	}
	result = recvmmsg(slot_get(actor), messages, 2, receive_flags(actor), &limit);
	for (i = 0; i < result; i++)
		take_descriptors(actor, &messages[i].msg_hdr);
	return done(result);
}

/* Through a pipe: from one socket into the other. */
static int call_splice(struct actor *actor)
{
	int pipes[2], others[2], from = slot_get(actor), to = slot_get(actor);
	ssize_t result;

	if (pipe2(pipes, O_NONBLOCK) < 0)
		return -1;
	if (random_one_in(actor, 2))
		result = splice(from, NULL, pipes[1], NULL, 4096, SPLICE_F_NONBLOCK);
	else
		result = write(pipes[1], actor->bytes, some(actor));
	if (random_one_in(actor, 4) && pipe2(others, O_NONBLOCK) == 0) {
		tee(pipes[0], others[1], 4096, SPLICE_F_NONBLOCK);
		splice(others[0], NULL, slot_get(actor), NULL, 4096, SPLICE_F_NONBLOCK);
		close(others[0]);
		close(others[1]);
	}
	if (result > 0)
		result = splice(pipes[0], NULL, to, NULL, result,
				SPLICE_F_NONBLOCK |
					(random_one_in(actor, 2) ? SPLICE_F_MORE : 0));
	close(pipes[0]);
	close(pipes[1]);
	return done(result);
}

static int call_sendfile(struct actor *actor)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ssize_t result;

	if (fd < 0)
		return -1;
	result = sendfile(slot_get(actor), fd, NULL, some(actor));
	close(fd);
	return done(result);
}

static int call_mmap(struct actor *actor)
{
	void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, slot_get(actor), 0);

	if (map == MAP_FAILED)
		return -1;
	if (random_one_in(actor, 2)) {
		/* struct tcp_zerocopy_receive: address, length. */
		uint64_t request[5] = { (uintptr_t)map, 4096 };
		socklen_t length = sizeof(request);

		getsockopt(slot_get(actor), IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, request,
			   &length);
	}
	return munmap(map, 4096);
}

/* Over the pair everybody has in common, over a pair of the table, or over itself. */
static int call_pass(struct actor *actor)
{
	_Alignas(struct cmsghdr) unsigned char control[CMSG_SPACE(2 * sizeof(int))];
	int fds[2] = { copy_to_pass(slot_get(actor)), copy_to_pass(slot_get(actor)) };
	struct iovec part = { "x", 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control };
	struct cmsghdr *header = (struct cmsghdr *)control;
	int n = 1 + random_below(actor, 2), way = fuzz.pair[0], result;

	memset(control, 0, sizeof(control));
	message.msg_controllen = CMSG_SPACE(n * sizeof(int));
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(header), fds, n * sizeof(int));
	if (random_one_in(actor, 4))
		way = fds[0];
	else if (random_one_in(actor, 4))
		way = slot_get(actor);
	result = done(sendmsg(way, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
	close(fds[0]);
	close(fds[1]);
	return result;
}

static int call_take(struct actor *actor)
{
	_Alignas(struct cmsghdr) unsigned char control[CMSG_SPACE(4 * sizeof(int))];
	char byte;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };

	if (recvmsg(fuzz.pair[1], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return -1;
	take_descriptors(actor, &message);
	return 0;
}

/* Out of another worker, in the middle of whatever it does. */
static int call_take_away(struct actor *actor)
{
	pid_t pid = fuzz.workers[random_below(actor, fuzz.n_workers)];
	int process, fd;

	if (pid <= 0)
		return -1;
	process = syscall(SYS_pidfd_open, pid, 0);
	if (process < 0)
		return -1;
	fd = syscall(SYS_pidfd_getfd, process, 3 + random_below(actor, 60), 0);
	close(process);
	return slot_put(actor, fd);
}

const struct fuzz_call transfer_calls[] = {
	{ "send", 20, call_send },
	{ "sendmsg", 14, call_sendmsg },
	{ "receive", 20, call_receive },
	{ "recvmsg", 12, call_recvmsg },
	{ "splice", 6, call_splice },
	{ "sendfile", 4, call_sendfile },
	{ "mmap", 2, call_mmap },
	{ "pass", 8, call_pass },
	{ "take", 8, call_take },
	{ "take away", 4, call_take_away },
	{},
};
