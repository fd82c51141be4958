/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of graftd that says what it likes. See client.h.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

#define FDS_MAX 253 /* beside one message, by the kernel's limit */

double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int client_connect(const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	strncpy(name.sun_path, path, sizeof(name.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

int client_send_bytes(int via, const void *data, size_t size, const int *fds,
		      size_t n_fds)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { (void *)data, size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds) {
		memset(&control, 0, sizeof(control));
		control.header = (struct cmsghdr){ CMSG_LEN(n_fds * sizeof(int)),
						   SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	}
	return sendmsg(via, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int client_send(int via, const struct wire_message *message, const int *fds, size_t n_fds)
{
	char data[WIRE_MAX];
	ssize_t size = wire_write(message, data, sizeof(data));

	return size < 0 ? (int)size
			: client_send_bytes(via, data, (size_t)size, fds, n_fds);
}

static int take_fd(struct msghdr *message)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n; i++) {
			int one;

			memcpy(&one, CMSG_DATA(c) + i * sizeof(int), sizeof(one));
			if (fd < 0)
				fd = one;
			else
				close(one);
		}
	}
	return fd;
}

int client_receive(int via, struct wire_message *ret, int *ret_fd, int timeout_ms)
{
	char data[WIRE_MAX];
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec iov = { data, sizeof(data) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	struct pollfd poll_fd = { .fd = via, .events = POLLIN };
	ssize_t n;

	if (poll(&poll_fd, 1, timeout_ms) == 0)
		return -ETIMEDOUT;
	n = recvmsg(via, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	*ret_fd = take_fd(&message);
	return n == 0 ? -ECONNRESET : wire_parse(data, (size_t)n, ret);
}

int client_open(const char *path)
{
	struct wire_message message = { .type = WIRE_HELLO,
					.hello = { .software = "test" } };
	int fd = client_connect(path), r, beside = -1;

	if (fd < 0)
		return fd;
	message.hello.pid = (uint32_t)getpid();
	r = client_send(fd, &message, NULL, 0);
	if (r == 0)
		r = client_receive(fd, &message, &beside, PATIENCE_MS);
	if (r == 0 && message.type == WIRE_ERROR)
		r = -(int)message.error.number;
	else if (r == 0 && message.type != WIRE_HELLO)
		r = -EPROTO;
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* Type and protocol are those of TCP. */
int client_ask(int via, enum wire_op op, const char *name, const struct sockaddr *address,
	       socklen_t len, int socket)
{
	struct wire_message message = { .type = WIRE_ASK };
	int r, fd = -1;

	message.ask = (struct wire_ask){ .op = op,
					 .family = AF_INET,
					 .type = SOCK_STREAM,
					 .flags = socket >= 0 ? WIRE_F_SOCKET : 0 };
	strncpy(message.ask.name, name, sizeof(message.ask.name) - 1);
	if (address) {
		memcpy(&message.ask.address.address, address, len);
		message.ask.address.len = len;
	}
	r = client_send(via, &message, &socket, socket >= 0);
	if (r == 0)
		r = client_receive(via, &message, &fd, PATIENCE_MS);
	if (r == 0 && message.type == WIRE_GRANT && fd >= 0)
		return fd;
	if (fd >= 0)
		close(fd);
	if (r == 0)
		r = message.type == WIRE_ERROR ? -(int)message.error.number : -EPROTO;
	return r;
}

int client_add(int via, const char *line)
{
	struct wire_message message = { .type = WIRE_ADD };
	int r, fd = -1;

	strncpy(message.add.line, line, sizeof(message.add.line) - 1);
	r = client_send(via, &message, NULL, 0);
	if (r == 0)
		r = client_receive(via, &message, &fd, PATIENCE_MS);
	if (fd >= 0)
		close(fd);
	if (r == 0 && message.type == WIRE_ERROR)
		r = -(int)message.error.number;
	return r;
}

int client_count(int via, bool (*wanted)(const char *line, void *context), void *context,
		 size_t *ret_wanted)
{
	struct wire_message message = { .type = WIRE_ASK_ENDPOINTS };
	int r = client_send(via, &message, NULL, 0), n = 0, fd = -1;

	*ret_wanted = 0;
	while (r == 0) {
		r = client_receive(via, &message, &fd, PATIENCE_MS);
		if (r == 0 && message.type == WIRE_BYE)
			return n;
		if (r == 0 && message.type == WIRE_ERROR)
			r = -(int)message.error.number;
		if (r == 0 && wanted && wanted(message.endpoint.line, context))
			++*ret_wanted;
		n++;
	}
	return r;
}
