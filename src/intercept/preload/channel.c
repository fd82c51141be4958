/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One connection to the broker, made when the first question is asked.
 *
 * Each question carries one end of a socket pair that the answer comes back on. So
 * threads and forked children can ask over the same connection at once, without a lock
 * and without taking one another's answers; and when the broker dies, what waits for it
 * is told by the end of the pair. Then the connection is made once more, and the question
 * asked again.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "intercept/preload/broker.h"
#include "intercept/preload/own.h"
#include "intercept/preload/state.h"
#include "stack/stack.h"

#define PATIENCE_MS 5000
#define RELEASE_MS  100
#define FDS_MAX     3

struct packet {
	const struct wire_message *message;
	int fds[FDS_MAX]; /* those sent along, after the reply end */
	size_t n_fds;
};

struct answer {
	struct wire_message message;
	int fds[FDS_MAX];
	size_t n_fds;
};

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

void grant_release(struct grant *grant)
{
	grant->fd = fd_close(grant->fd);
	grant->path = fd_close(grant->path);
}

static int connect_broker(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size;
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	memcpy(address.sun_path, state.broker, sizeof(address.sun_path));
	size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(state.broker));
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0'; /* abstract */
	else
		size = sizeof(address);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	while (connect(fd, (struct sockaddr *)&address, size) < 0)
		if (errno != EINTR)
			return -errno;
	page_forget();
	return own_put(OWN_CHANNEL, fd_steal(&fd));
}

static int get_channel(void)
{
	int fd = own_get(OWN_CHANNEL);

	return fd >= 0 ? fd : connect_broker();
}

bool channel_is_alive(void)
{
	int fd = own_get(OWN_CHANNEL);
	char byte;

	return fd >= 0 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EINTR);
}

static int send_packet(int via, const struct packet *packet, int reply)
{
	char data[WIRE_MAX];
	union control control = { 0 };
	struct iovec iov = { data, 0 };
	struct msghdr head = { .msg_iov = &iov,
			       .msg_iovlen = 1,
			       .msg_control = &control,
			       .msg_controllen =
				       CMSG_SPACE((packet->n_fds + 1) * sizeof(int)) };
	ssize_t n = wire_write(packet->message, data, sizeof(data));
	int *fds = (int *)CMSG_DATA(&control.head);

	if (n < 0)
		return (int)n;
	iov.iov_len = (size_t)n;
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN((packet->n_fds + 1) * sizeof(int));
	memcpy(fds, &reply, sizeof(int));
	memcpy(fds + 1, packet->fds, packet->n_fds * sizeof(int));
	do {
		n = sendmsg(via, &head, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int wait_for(int fd)
{
	struct pollfd waits = { .fd = fd, .events = POLLIN };
	int64_t until = now_ms() + PATIENCE_MS;
	int n;

	do {
		int64_t left = until - now_ms();

		n = poll(&waits, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return -ETIMEDOUT;
	return n < 0 ? -errno : 0;
}

static void close_all(struct answer *answer)
{
	while (answer->n_fds)
		close(answer->fds[--answer->n_fds]);
}

/* The kernel puts all descriptors of a packet under one header. */
static void take_fds(const union control *control, const struct msghdr *head,
		     struct answer *answer)
{
	if (head->msg_controllen < CMSG_LEN(sizeof(int)) ||
	    control->head.cmsg_level != SOL_SOCKET ||
	    control->head.cmsg_type != SCM_RIGHTS)
		return;
	answer->n_fds = (control->head.cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(answer->fds, CMSG_DATA(&control->head), answer->n_fds * sizeof(int));
}

static int receive(int fd, struct answer *answer)
{
	char data[WIRE_MAX];
	union control control;
	struct iovec iov = { data, sizeof(data) };
	struct msghdr head = { .msg_iov = &iov,
			       .msg_iovlen = 1,
			       .msg_control = &control,
			       .msg_controllen = sizeof(control) };
	int r = wait_for(fd);
	ssize_t n;

	if (r < 0)
		return r;
	n = recvmsg(fd, &head, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n <= 0)
		return n < 0 ? -errno : -ECONNRESET;
	take_fds(&control, &head, answer);
	r = head.msg_flags & (MSG_TRUNC | MSG_CTRUNC)
		    ? -EBADMSG
		    : wire_parse(data, (size_t)n, &answer->message);
	if (r < 0)
		close_all(answer);
	return r;
}

/*
 * Waits until the broker let go of what it sent, which it does before it lets go of the
 * reply end: as long as it has the socket too, the program could close its own and find
 * the address in use, or hear of the socket from epoll.
 */
static void wait_for_release(int fd)
{
	struct pollfd waits = { .fd = fd, .events = POLLIN };

	poll(&waits, 1, RELEASE_MS);
}

/* Return: 0; or -errno, of which -ECONNRESET means that the broker is gone. */
static int ask_once(const struct packet *packet, struct answer *answer)
{
	int pair[2], r, via = get_channel();

	if (via < 0)
		return via;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	r = send_packet(via, packet, pair[1]);
	close(pair[1]);
	if (r == 0)
		r = receive(pair[0], answer);
	if (r == 0 && answer->n_fds)
		wait_for_release(pair[0]);
	close(pair[0]);
	if (r == -EPIPE || r == -ENOTCONN || r == -ECONNREFUSED)
		r = -ECONNRESET;
	if (r == -ECONNRESET)
		own_drop(OWN_CHANNEL, via);
	return r;
}

static int broker_error(const struct wire_error *error)
{
	return error->number > 0 && error->number < 4096 ? -(int)error->number : -EBADMSG;
}

/* What the program hears of an asking that failed: its own shortages, or that the network
 * is down. */
static int tell_failure(int r)
{
	switch (r) {
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -ENOBUFS:
		return r;
	default:
		return -ENETDOWN;
	}
}

/* Asks, and wants an answer of type @wanted. Return: 0 or -errno for the program. */
static int ask(const struct packet *packet, enum wire_type wanted, struct answer *answer)
{
	int r, old;

	*answer = (struct answer){ 0 };
	/* A thread that is cancelled while it waits would leave descriptors behind. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	r = ask_once(packet, answer);
	if (r == -ECONNRESET)
		r = ask_once(packet, answer);
	pthread_setcancelstate(old, NULL);
	if (r < 0)
		return tell_failure(r);
	if (answer->message.type == WIRE_ERROR)
		r = broker_error(&answer->message.error);
	else if (answer->message.type != wanted)
		r = -ENETDOWN;
	if (r < 0)
		close_all(answer);
	return r;
}

int channel_ask(const struct wire_ask *what, int socket, struct grant *ret)
{
	struct wire_message message = { .type = WIRE_ASK, .ask = *what };
	struct packet packet = { .message = &message };
	struct answer answer;
	int r;

	message.ask.flags |= WIRE_F_REPLY;
	if (socket >= 0) {
		message.ask.flags |= WIRE_F_SOCKET;
		packet.fds[packet.n_fds++] = socket;
	}
	r = ask(&packet, WIRE_GRANT, &answer);
	if (r < 0)
		return r;
	*ret = (struct grant){ .said = answer.message.grant, .fd = -1, .path = -1 };
	if (answer.n_fds > 0)
		ret->fd = answer.fds[0];
	if (answer.n_fds > 1)
		ret->path = answer.fds[1];
	if (answer.n_fds > 2)
		close(answer.fds[2]);
	if (ret->fd < 0 || stack_cookie_of(ret->fd, &ret->netns) < 0) {
		grant_release(ret);
		return -ENETDOWN;
	}
	return 0;
}

int channel_ask_supply(const struct wire_ask *what, int end)
{
	struct wire_message message = { .type = WIRE_ASK_SUPPLY, .ask = *what };
	struct packet packet = { .message = &message, .fds = { end }, .n_fds = 1 };
	struct answer answer;
	int r;

	message.ask.flags |= WIRE_F_REPLY;
	r = ask(&packet, WIRE_BYE, &answer);
	if (r == 0)
		close_all(&answer);
	return r;
}

int channel_ask_memory(enum wire_type type)
{
	struct wire_message message = { .type = type, .ask.flags = WIRE_F_REPLY };
	struct packet packet = { .message = &message };
	struct answer answer;
	int fd;
	int r = ask(&packet, type == WIRE_ASK_POLICY ? WIRE_POLICY : WIRE_PAGE, &answer);

	if (r < 0)
		return r;
	if (answer.n_fds == 0)
		return -ENETDOWN;
	fd = answer.fds[--answer.n_fds];
	close_all(&answer);
	return fd;
}
