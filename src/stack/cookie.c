/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/socket.h>

#include "stack/stack.h"

int stack_cookie_of(int fd, uint64_t *ret_cookie)
{
	uint64_t cookie;
	socklen_t size = sizeof(cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0)
		return -errno;
	*ret_cookie = cookie;
	return 0;
}
