/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "intercept/preload/memory.h"

/* Refused for all of it, whatever the addresses. */
static bool is_refused(ssize_t r)
{
	return r < 0 && (errno == ENOSYS || errno == EPERM);
}

static size_t size_of(const struct iovec *pieces, size_t n)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++)
		size += pieces[i].iov_len;
	return size;
}

int memory_read(void *to, const void *from, size_t size)
{
	struct iovec local = { to, size }, remote = { (void *)from, size };
	int saved = errno;
	ssize_t r = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

	if (is_refused(r)) {
		memcpy(to, from, size);
		r = (ssize_t)size;
	}
	errno = saved;
	return r == (ssize_t)size ? 0 : -EFAULT;
}

int memory_write_all(struct iovec *to, struct iovec *from, size_t n)
{
	size_t size = size_of(from, n);
	int saved = errno;
	ssize_t r = process_vm_writev(getpid(), from, n, to, n, 0);

	if (is_refused(r)) {
		for (size_t i = 0; i < n; i++)
			memcpy(to[i].iov_base, from[i].iov_base, from[i].iov_len);
		r = (ssize_t)size;
	}
	errno = saved;
	return r == (ssize_t)size ? 0 : -EFAULT;
}

int memory_write(void *to, const void *from, size_t size)
{
	struct iovec remote = { to, size }, local = { (void *)from, size };

	return memory_write_all(&remote, &local, 1);
}

int memory_give_address(const void *from, socklen_t from_len, struct sockaddr *address,
			socklen_t *len)
{
	socklen_t room;

	if (!address)
		return 0;
	if (memory_read(&room, len, sizeof(room)) < 0)
		return -EFAULT;
	if ((int)room < 0)
		return -EINVAL;
	if (room > from_len)
		room = from_len;
	if (memory_write(address, from, room) < 0)
		return -EFAULT;
	return memory_write(len, &from_len, sizeof(from_len));
}
