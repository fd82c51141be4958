/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the store and of its holder share. What is kept are pipes: that one
 * is the same is seen by what goes through it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/event.h"
#include "base/fd.h"
#include "broker/holder.h"
#include "broker/store.h"

#define DEADLINE_MS 10000

/* The state directory of all cases. */
static char directory[64];
static int state = -1;

static inline void assert_same_pipe(int from, int to)
{
	struct pollfd poll_fd = { .fd = to, .events = POLLIN };
	char byte = 0;

	assert_true(to >= 0);
	assert_int_equal(write(from, "x", 1), 1);
	assert_int_equal(poll(&poll_fd, 1, DEADLINE_MS), 1);
	assert_int_equal(read(to, &byte, 1), 1);
	assert_int_equal(byte, 'x');
}

/* Nobody has an end for reading any more. */
static inline void await_closed(int writer)
{
	struct pollfd poll_fd = { .fd = writer };

	assert_int_equal(poll(&poll_fd, 1, DEADLINE_MS), 1);
	assert_true(poll_fd.revents & POLLERR);
}

static inline bool has_path(void)
{
	return faccessat(state, HOLDER_SOCKET, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline bool make_directory(const char *pattern)
{
	snprintf(directory, sizeof(directory), "%s", pattern);
	if (!mkdtemp(directory))
		return false;
	state = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return state >= 0;
}

static inline void remove_directory(void)
{
	state = fd_close(state);
	rmdir(directory);
}
