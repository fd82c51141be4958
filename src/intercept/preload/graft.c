/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "intercept/preload/calls.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/hijack.h"

atomic_bool graft_exists;

int graft_socket(int type, int protocol)
{
	return socket(AF_GRAFT, type, protocol);
}

int graft_bind(int fd, const union address *asked, socklen_t len)
{
	return bind(fd, &asked->any, len);
}

int graft_connect(int fd, const union address *asked, socklen_t len)
{
	return connect(fd, &asked->any, len);
}

int graft_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	return setsockopt(fd, level, name, value, size);
}

int graft_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	return getsockopt(fd, level, name, value, size);
}

int graft_prepare_send(int fd, const union address *asked, socklen_t len,
		       struct route *route)
{
	return 0;
}

bool graft_concerns(int fd, const union address *asked)
{
	return false;
}

bool graft_is_option(int fd, int level)
{
	return false;
}

void graft_forget(int fd)
{
}
