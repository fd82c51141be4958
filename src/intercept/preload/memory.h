/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program's memory, through pointers that may be bad: the kernel copies, so that a
 * bad one is EFAULT and not a signal. Where it does not copy for us (a filter that
 * forbids process_vm_*), plain copies are made.
 */
#pragma once

#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Return: 0 or -EFAULT. */
int memory_read(void *to, const void *from, size_t size);
int memory_write(void *to, const void *from, size_t size);
/* Several at once, all of @n pieces or -EFAULT; @to may be used up. */
int memory_write_all(struct iovec *to, struct iovec *from, size_t n);

/*
 * Gives the program an address as the kernel does: cut at the room in *@len, which then
 * holds the whole length. NULL @address gives nothing. Return: 0, -EFAULT or -EINVAL.
 */
int memory_give_address(const void *from, socklen_t from_len, struct sockaddr *address,
			socklen_t *len);
