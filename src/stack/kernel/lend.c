/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "stack/kernel/lend.h"

int lend_ask(int via, const struct lend_request *request)
{
	int answer = -EIO, fd = -1, r;
	size_t n_fds = 0;
	ssize_t n;

	r = fd_send(via, request, sizeof(*request), NULL, 0);
	n = r < 0 ? r : fd_receive(via, &answer, sizeof(answer), &fd, 1, &n_fds);
	/* The lender is gone: say so in a way every caller of socket() knows. */
	if (n <= 0)
		return n == 0 || n == -EPIPE || n == -ECONNRESET ? -ENETDOWN : (int)n;
	if (answer == 0 && n_fds == 1)
		return fd;
	if (n_fds)
		fd_close(fd);
	return answer < 0 ? answer : -EIO;
}

int lend_take(int via, struct lend_request *ret)
{
	ssize_t n = fd_receive(via, ret, sizeof(*ret), NULL, 0, NULL);

	if (n <= 0)
		return (int)n;
	return n == sizeof(*ret) ? 1 : -EBADMSG;
}

int lend_give(int via, const struct lend_request *request, int error)
{
	_cleanup_fd_ int fd =
		error < 0 ? -1
			  : socket(request->family, request->type | SOCK_CLOEXEC,
				   request->protocol);
	int answer = error < 0 ? error : fd < 0 ? -errno : 0;

	return fd_send_now(via, &answer, sizeof(answer), &fd, fd >= 0);
}
