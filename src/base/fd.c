/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

#define FD_MESSAGE_MAX 8

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(FD_MESSAGE_MAX * sizeof(int)) +
		   CMSG_SPACE(sizeof(struct ucred))];
};

static int send_with(int via, const void *data, size_t size, const int *fds, size_t n_fds,
		     int flags)
{
	union control control = { 0 };
	struct iovec iov = { (void *)data, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *head;
	ssize_t n;

	if (n_fds > FD_MESSAGE_MAX)
		return -E2BIG;
	if (n_fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		head = CMSG_FIRSTHDR(&msg);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(head), fds, n_fds * sizeof(int));
	}
	do {
		n = sendmsg(via, &msg, MSG_NOSIGNAL | flags);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EMSGSIZE;
}

int fd_send(int via, const void *data, size_t size, const int *fds, size_t n_fds)
{
	return send_with(via, data, size, fds, n_fds, 0);
}

int fd_send_now(int via, const void *data, size_t size, const int *fds, size_t n_fds)
{
	return send_with(via, data, size, fds, n_fds, MSG_DONTWAIT);
}

static void take_fds(struct msghdr *msg, int *ret_fds, size_t max_fds, size_t *n_fds)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (*n_fds < max_fds)
				ret_fds[(*n_fds)++] = fd;
			else
				fd_close(fd);
		}
	}
}

/* Return: 0 when it is not told. */
static pid_t sender_of(struct msghdr *msg)
{
	struct ucred sender = { .pid = 0 };

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
		    c->cmsg_len == CMSG_LEN(sizeof(sender)))
			memcpy(&sender, CMSG_DATA(c), sizeof(sender));
	return sender.pid;
}

ssize_t fd_receive(int via, void *data, size_t size, int *ret_fds, size_t max_fds,
		   size_t *ret_n_fds)
{
	return fd_receive_from(via, data, size, ret_fds, max_fds, ret_n_fds, NULL);
}

ssize_t fd_receive_from(int via, void *data, size_t size, int *ret_fds, size_t max_fds,
			size_t *ret_n_fds, pid_t *ret_sender)
{
	union control control;
	struct iovec iov = { data, size };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	size_t n_fds = 0;
	ssize_t n;

	do {
		n = recvmsg(via, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	take_fds(&msg, ret_fds, max_fds, &n_fds);
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		for (size_t i = 0; i < n_fds; i++)
			fd_close(ret_fds[i]);
		return -EMSGSIZE;
	}
	if (ret_n_fds)
		*ret_n_fds = n_fds;
	if (ret_sender)
		*ret_sender = sender_of(&msg);
	return n;
}

ssize_t fd_read_all(int fd, void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, (char *)data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t fd_write_all(int fd, const void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(fd, (const char *)data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}
