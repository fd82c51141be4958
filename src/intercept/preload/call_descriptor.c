/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls on descriptors as such: the library's own are kept out of their reach, and a
 * socket's record hears of copies and of epoll.
 *
 * To the program the library's descriptors do not exist. It may still want one of their
 * numbers (dup2, dup3), which it then gets: ours moves.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <unistd.h>

#include "intercept/preload/calls.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/hijack.h"
#include "intercept/preload/own.h"

static int bad_descriptor(void)
{
	errno = EBADF;
	return -1;
}

/* What there was at the number of a new descriptor is gone, however it went. */
static int new_number(int fd)
{
	known_forget(fd);
	return fd;
}

int hijack_close(int fd)
{
	if (own_has(fd))
		return bad_descriptor();
	graft_closes(fd);
	known_forget(fd);
	return close(fd);
}

#ifndef CLOSE_RANGE_CLOEXEC
#	define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

/* Ours are close-on-exec anyway. */
int hijack_close_range(unsigned int first, unsigned int last, int flags)
{
	unsigned int from = first;
	int ours, r;

	if (first > last || (unsigned int)flags & CLOSE_RANGE_CLOEXEC)
		return close_range(first, last, flags);
	known_forget_range(first, last);
	while ((ours = own_first(from, last)) >= 0) {
		r = (unsigned int)ours > from
			    ? close_range(from, (unsigned int)ours - 1, flags)
			    : 0;
		if (r < 0)
			return r;
		from = (unsigned int)ours + 1;
	}
	return from > last ? 0 : close_range(from, last, flags);
}

void hijack_closefrom(int first)
{
	unsigned int from = first < 0 ? 0 : (unsigned int)first;
	int ours;

	known_forget_range(from, UINT_MAX);
	while ((ours = own_first(from, UINT_MAX)) >= 0) {
		for (; from < (unsigned int)ours; from++)
			close((int)from);
		from = (unsigned int)ours + 1;
	}
	closefrom((int)from);
}

int hijack_dup(int fd)
{
	if (own_has(fd))
		return bad_descriptor();
	known_mark(fd, KNOWN_COPIED);
	return new_number(dup(fd));
}

int hijack_dup2(int fd, int to)
{
	if (own_has(fd))
		return bad_descriptor();
	if (fd != to) {
		own_make_way(to);
		known_forget(to);
	}
	known_mark(fd, KNOWN_COPIED);
	return dup2(fd, to);
}

int hijack_dup3(int fd, int to, int flags)
{
	if (own_has(fd))
		return bad_descriptor();
	if (fd != to) {
		own_make_way(to);
		known_forget(to);
	}
	known_mark(fd, KNOWN_COPIED);
	return dup3(fd, to, flags);
}

static bool is_copying(int command)
{
	return command == F_DUPFD || command == F_DUPFD_CLOEXEC;
}

int hijack_fcntl64(int fd, int command, long argument)
{
	if (own_has(fd))
		return bad_descriptor();
	if (!is_copying(command))
		return real.fcntl64(fd, command, argument);
	known_mark(fd, KNOWN_COPIED);
	return new_number(real.fcntl64(fd, command, argument));
}

/* It differs from the other in how locks look, where long has 32 bits. */
int hijack_fcntl(int fd, int command, long argument)
{
	if (own_has(fd))
		return bad_descriptor();
	if (!is_copying(command))
		return real.fcntl(fd, command, argument);
	return hijack_fcntl64(fd, command, argument);
}

int hijack_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	if (own_has(fd))
		return bad_descriptor();
	if (operation == EPOLL_CTL_ADD)
		known_mark(fd, KNOWN_WATCHED);
	return epoll_ctl(epoll, operation, fd, event);
}

int hijack_setns(int fd, int type)
{
	if (own_has(fd))
		return bad_descriptor();
	place_enter();
	return setns(fd, type);
}

int hijack_unshare(int flags)
{
	if (flags & CLONE_NEWNET)
		place_enter();
	return unshare(flags);
}
