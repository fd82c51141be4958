/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/event.h"
#include "base/fd.h"
#include "broker/client.h"
#include "config.h"

#define NS_PER_MS  1000000ull
#define ERRNO_MAX  4095
#define ANSWER_FDS 2 /* socket, path */
#define RELEASE_MS 100

const char *broker_path(void)
{
	const char *path = secure_getenv("GRAFT_SOCKET");

	return path && *path ? path : BROKER_SOCKET;
}

/* A broker that does not take what we send costs us no more than one that is silent. */
static int set_patience(int via)
{
	const struct timeval patience = { BROKER_PATIENCE_MS / 1000,
					  BROKER_PATIENCE_MS % 1000 * 1000 };

	if (setsockopt(via, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	return 0;
}

int broker_connect(const char *path)
{
	_cleanup_fd_ int via = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t size;
	int r;

	if (!path)
		path = broker_path();
	if (via < 0)
		return -errno;
	size = strlen(path);
	if (size >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, size);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	else
		size++;
	size += offsetof(struct sockaddr_un, sun_path);
	r = set_patience(via);
	if (r < 0)
		return r;
	do {
		r = connect(via, (const struct sockaddr *)&address, (socklen_t)size);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return fd_steal(&via);
}

int broker_send(int via, const struct wire_message *message, const int *fds, size_t n_fds)
{
	char data[WIRE_MAX];
	ssize_t size = wire_write(message, data, sizeof(data));
	int r;

	if (size < 0)
		return (int)size;
	r = fd_send(via, data, (size_t)size, fds, n_fds);
	return r == -EAGAIN ? -ETIMEDOUT : r;
}

/* Return: 0 when there is something to read, or -errno. */
static int await(int via, int timeout_ms)
{
	uint64_t deadline_ns = event_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	struct pollfd poll_fd = { .fd = via, .events = POLLIN };

	for (;;) {
		int n = poll(&poll_fd, 1, timeout_ms);
		uint64_t now_ns;

		if (n > 0)
			return poll_fd.revents & POLLNVAL ? -EBADF : 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
		if (timeout_ms < 0)
			continue;
		now_ns = event_now_ns();
		timeout_ms = now_ns < deadline_ns
				     ? (int)((deadline_ns - now_ns) / NS_PER_MS)
				     : 0;
	}
}

int broker_receive(int via, struct wire_message *ret, int timeout_ms, int *ret_fds,
		   size_t max_fds, size_t *ret_n_fds)
{
	char data[WIRE_MAX];
	size_t n_fds = 0;
	ssize_t size;
	int r = await(via, timeout_ms);

	if (r < 0)
		return r;
	size = fd_receive(via, data, sizeof(data), ret_fds, max_fds, &n_fds);
	if (size == 0)
		return -ECONNRESET;
	if (size < 0)
		return size == -EMSGSIZE ? -EBADMSG : (int)size;
	r = wire_parse(data, (size_t)size, ret);
	if (r < 0) {
		while (n_fds)
			fd_close(ret_fds[--n_fds]);
		return r;
	}
	if (ret_n_fds)
		*ret_n_fds = n_fds;
	return 0;
}

/* The number an error message brings, which anybody may have written. */
static int error_of(const struct wire_error *error)
{
	return error->number && error->number <= ERRNO_MAX ? -(int)error->number
							   : -EBADMSG;
}

int broker_open(const char *path)
{
	struct wire_message hello = { .type = WIRE_HELLO }, answer;
	_cleanup_fd_ int via = broker_connect(path);
	int r;

	if (via < 0)
		return fd_steal(&via);
	hello.hello.pid = (uint32_t)getpid();
	wire_set_text(hello.hello.software, sizeof(hello.hello.software),
		      "graft " GRAFT_VERSION);
	r = broker_send(via, &hello, NULL, 0);
	if (r == 0)
		r = broker_receive(via, &answer, BROKER_PATIENCE_MS, NULL, 0, NULL);
	if (r == 0 && answer.type == WIRE_ERROR)
		r = error_of(&answer.error);
	else if (r == 0 && answer.type != WIRE_HELLO)
		r = -EBADMSG;
	return r < 0 ? r : fd_steal(&via);
}

static int send_ask(int via, const struct wire_ask *ask, int reply, int socket, int whom)
{
	struct wire_message message = { .type = WIRE_ASK, .ask = *ask };
	int fds[3] = { reply };
	size_t n = 1;

	message.ask.flags &= ~(uint32_t)(WIRE_F_SOCKET | WIRE_F_FOR);
	message.ask.flags |= WIRE_F_REPLY;
	if (whom >= 0) {
		message.ask.flags |= WIRE_F_FOR;
		fds[n++] = whom;
	}
	if (socket >= 0) {
		message.ask.flags |= WIRE_F_SOCKET;
		fds[n++] = socket;
	}
	return broker_send(via, &message, fds, n);
}

/*
 * The answer comes to an end of a pair that the broker closes after what it sent: until
 * then it has the socket, too, and the address would be in use if we closed ours.
 */
static int exchange(int via, const struct wire_ask *ask, int socket, int whom,
		    struct wire_message *ret, int *ret_fds, size_t *ret_n_fds)
{
	_cleanup_fd_ int ours = -1;
	struct pollfd release = { .events = POLLIN };
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	release.fd = ours = pair[0];
	r = send_ask(via, ask, pair[1], socket, whom);
	fd_close(pair[1]);
	if (r == -EINVAL || r == -EMSGSIZE) /* a message that cannot be */
		return r;
	if (r == 0)
		r = broker_receive(ours, ret, BROKER_PATIENCE_MS, ret_fds, ANSWER_FDS,
				   ret_n_fds);
	if (r == 0 && *ret_n_fds)
		poll(&release, 1, RELEASE_MS);
	return r < 0 ? -ENETDOWN : 0;
}

int broker_ask(int via, const struct wire_ask *ask, int socket, int whom,
	       struct wire_grant *ret, int *ret_path)
{
	struct wire_message answer;
	int fds[ANSWER_FDS], r;
	size_t n_fds = 0;

	r = exchange(via, ask, socket, whom, &answer, fds, &n_fds);
	if (r < 0)
		return r;
	if (answer.type == WIRE_GRANT && n_fds) {
		*ret = answer.grant;
		if (ret_path)
			*ret_path = n_fds > 1 ? fds[1] : -1;
		else if (n_fds > 1)
			fd_close(fds[1]);
		return fds[0];
	}
	while (n_fds)
		fd_close(fds[--n_fds]);
	r = answer.type == WIRE_ERROR ? error_of(&answer.error) : -EBADMSG;
	return r == -EBADMSG ? -ENETDOWN : r;
}
