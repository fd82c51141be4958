/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the broker's parts share: a network namespace of their own, addresses
 * from text, and a few sockets.
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
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/address.h"
#include "base/event.h"
#include "base/fd.h"
#include "run/loopback.h"

#define DEADLINE_MS 5000

static inline bool write_file(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* A user namespace in which we are who we were. */
static inline bool enter_user_namespace(void)
{
	char uids[40], gids[40];

	snprintf(uids, sizeof(uids), "%u %u 1", geteuid(), geteuid());
	snprintf(gids, sizeof(gids), "%u %u 1", getegid(), getegid());
	return unshare(CLONE_NEWUSER) == 0 &&
	       write_file("/proc/self/setgroups", "deny") &&
	       write_file("/proc/self/uid_map", uids) &&
	       write_file("/proc/self/gid_map", gids);
}

/* A namespace with lo up; root stays root. Return: 0, or what main() is to return. */
static inline int enter_namespace(void)
{
	if ((geteuid() != 0 && !enter_user_namespace()) || unshare(CLONE_NEWNET) < 0 ||
	    loopback_up() < 0) {
		printf("SKIP: no network namespaces here: %s\n", strerror(errno));
		return 77;
	}
	return 0;
}

static inline union address address_of(const char *text, uint16_t port)
{
	union address address = { 0 };

	if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
		address.any.sa_family = AF_INET;
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &address.v6.sin6_addr), 1);
		address.any.sa_family = AF_INET6;
	}
	address_set_port(&address, port);
	return address;
}

static inline socklen_t address_size(const union address *address)
{
	return address->any.sa_family == AF_INET ? sizeof(address->v4)
						 : sizeof(address->v6);
}

static inline union address local_of(int fd)
{
	union address address = { 0 };
	socklen_t size = sizeof(address);

	assert_int_equal(getsockname(fd, &address.any, &size), 0);
	return address;
}

static inline uint16_t local_port(int fd)
{
	union address address = local_of(fd);

	return address_port(&address);
}

static inline int option_of(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
	return value;
}

static inline void set_on(int fd, int level, int name)
{
	const int on = 1;

	assert_int_equal(setsockopt(fd, level, name, &on, sizeof(on)), 0);
}

static inline uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
	return cookie;
}

static inline ino_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

/* A byte from one end to the other. */
static inline void assert_passes(int from, int to)
{
	struct pollfd poll_fd = { .fd = to, .events = POLLIN };
	char byte = 0;

	assert_int_equal(send(from, "x", 1, 0), 1);
	assert_int_equal(poll(&poll_fd, 1, DEADLINE_MS), 1);
	assert_int_equal(recv(to, &byte, 1, 0), 1);
	assert_int_equal(byte, 'x');
}

static inline int n_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Runs the loop until nothing is due. */
static inline void settle(struct event_loop *loop)
{
	while (event_loop_run_once(loop, 0) > 0)
		continue;
}

static inline void assert_exits(pid_t child, int status)
{
	int result;

	assert_int_equal(waitpid(child, &result, 0), child);
	assert_true(WIFEXITED(result));
	assert_int_equal(WEXITSTATUS(result), status);
}
