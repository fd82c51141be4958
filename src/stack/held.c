/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a server is still there is asked of /proc: does any process but ourselves have
 * the socket among its descriptors? That takes a while on a big machine, and is asked
 * when a held endpoint is bound again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "stack/carry.h"
#include "stack/held.h"

struct held {
	pthread_mutex_t lock;
	size_t n;
	int fds[]; /* by endpoint; -1: none */
};

struct held *held_new(size_t n)
{
	struct held *held = calloc(1, sizeof(*held) + n * sizeof(held->fds[0]));

	if (!held)
		return NULL;
	pthread_mutex_init(&held->lock, NULL);
	held->n = n;
	for (size_t i = 0; i < n; i++)
		held->fds[i] = -1;
	return held;
}

struct held *held_free(struct held *held)
{
	if (!held)
		return NULL;
	for (size_t i = 0; i < held->n; i++)
		fd_close(held->fds[i]);
	pthread_mutex_destroy(&held->lock);
	free(held);
	return NULL;
}

int held_keep(struct held *held, uint32_t endpoint, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0)
		return -errno;
	pthread_mutex_lock(&held->lock);
	fd_close(held->fds[endpoint]);
	held->fds[endpoint] = copy;
	pthread_mutex_unlock(&held->lock);
	return 0;
}

static bool process_has(const char *pid, const char *link)
{
	char path[64], found[64];
	const struct dirent *item;
	bool has = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!has && (item = readdir(dir))) {
		ssize_t n =
			readlinkat(dirfd(dir), item->d_name, found, sizeof(found) - 1);

		if (n > 0) {
			found[n] = '\0';
			has = !strcmp(found, link);
		}
	}
	closedir(dir);
	return has;
}

static bool is_open_elsewhere(int fd)
{
	const struct dirent *item;
	char link[40], own[16];
	bool is_open = false;
	struct stat st;
	DIR *dir;

	if (fstat(fd, &st) < 0)
		return true;
	dir = opendir("/proc");
	if (!dir)
		return true;
	snprintf(link, sizeof(link), "socket:[%lu]", (unsigned long)st.st_ino);
	snprintf(own, sizeof(own), "%d", (int)getpid());
	while (!is_open && (item = readdir(dir)))
		if (item->d_name[0] >= '1' && item->d_name[0] <= '9' &&
		    strcmp(item->d_name, own) != 0)
			is_open = process_has(item->d_name, link);
	closedir(dir);
	return is_open;
}

static bool is_same(int a, int b, int option)
{
	int x = -1, y = -1;
	socklen_t size = sizeof(int);

	return getsockopt(a, SOL_SOCKET, option, &x, &size) == 0 &&
	       getsockopt(b, SOL_SOCKET, option, &y, &size) == 0 && x == y;
}

/* A socket at a UNIX path stands for one of any family. */
static bool can_stand_for(int fd, int like)
{
	int domain = 0;
	socklen_t size = sizeof(domain);

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
	return is_same(fd, like, SO_TYPE) &&
	       (domain == AF_UNIX ||
		(is_same(fd, like, SO_DOMAIN) && is_same(fd, like, SO_PROTOCOL)));
}

/* To be called with the lock held. */
static int take(int *kept, int like, bool shares)
{
	int copy;

	if (*kept < 0)
		return HELD_E_NONE;
	if (!shares && is_open_elsewhere(*kept))
		return -EADDRINUSE;
	if (!can_stand_for(*kept, like)) {
		/* Its address must be free for what comes instead. */
		*kept = fd_close(*kept);
		return HELD_E_NONE;
	}
	copy = fcntl(*kept, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return -errno;
	carry_options(like, copy);
	carry_flags(like, copy);
	return copy;
}

int held_take(struct held *held, uint32_t endpoint, int like, bool shares)
{
	int fd;

	pthread_mutex_lock(&held->lock);
	fd = take(&held->fds[endpoint], like, shares);
	pthread_mutex_unlock(&held->lock);
	return fd;
}
