/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The network namespaces there are, as far as they can be found: the caller's, those of
 * every thread in /proc, and those with a name below /run. One that only a descriptor or
 * a socket keeps has no name and no place to look for it.
 *
 * They are visited one at a time, so that a host with thousands of them costs no
 * thousands of descriptors. A thread that cannot come back would go on in the wrong
 * place, so the process ends instead.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "intercept/cgroup/internal.h"

#define NETNS_MAX 65536

struct walk {
	int (*visit)(void *context, uint32_t netns);
	void *context;
	uint32_t *seen;
	size_t n_seen;
	int home;
};

/* Return: 1 it is new, 0, or -errno. */
static int see(struct walk *walk, uint32_t netns)
{
	uint32_t *larger;

	for (size_t i = walk->n_seen; i-- > 0;)
		if (walk->seen[i] == netns)
			return 0;
	if (walk->n_seen == NETNS_MAX)
		return -E2BIG;
	larger = reallocarray(walk->seen, walk->n_seen + 1, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	walk->seen = larger;
	walk->seen[walk->n_seen++] = netns;
	return 1;
}

/* One whose task is gone by now is none. */
static int visit_file(struct walk *walk, int directory, const char *name)
{
	_cleanup_fd_ int netns = -1;
	struct statfs fs;
	struct stat file;
	int r;

	if (fstatat(directory, name, &file, 0) < 0)
		return 0;
	r = see(walk, (uint32_t)file.st_ino);
	if (r <= 0)
		return r;
	netns = openat(directory, name, O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return errno == ENOENT || errno == ESRCH ? 0 : -errno;
	if (fstatfs(netns, &fs) < 0 || fs.f_type != NSFS_MAGIC)
		return 0;
	if (setns(netns, CLONE_NEWNET) < 0)
		return -errno;
	r = walk->visit(walk->context, (uint32_t)file.st_ino);
	if (setns(walk->home, CLONE_NEWNET) < 0) {
		log_error("cannot leave a network namespace: %m");
		abort();
	}
	return r;
}

/* @each runs on the entries of @path. */
static int for_each(struct walk *walk, int at, const char *path,
		    int (*each)(struct walk *walk, int directory, const char *name))
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	const struct dirent *entry;
	DIR *directory;

	if (fd < 0)
		return 0;
	directory = fdopendir(fd);
	if (!directory) {
		fd_close(fd);
		return -ENOMEM;
	}
	while (r >= 0 && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			r = each(walk, fd, entry->d_name);
	closedir(directory);
	return r < 0 ? r : 0;
}

static int visit_thread(struct walk *walk, int tasks, const char *thread)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/ns/net", thread);
	return visit_file(walk, tasks, path);
}

static int visit_process(struct walk *walk, int proc, const char *process)
{
	char path[300];

	if (process[0] < '0' || process[0] > '9')
		return 0;
	snprintf(path, sizeof(path), "%s/task", process);
	return for_each(walk, proc, path, visit_thread);
}

int netns_walk(int (*visit)(void *context, uint32_t netns), void *context)
{
	static const char home[] = "/proc/thread-self/ns/net";
	struct walk walk = { .visit = visit, .context = context };
	int r;

	walk.home = open(home, O_RDONLY | O_CLOEXEC);
	if (walk.home < 0)
		return -errno;
	r = visit_file(&walk, AT_FDCWD, home);
	if (r == 0)
		r = for_each(&walk, AT_FDCWD, "/proc", visit_process);
	if (r == 0)
		r = for_each(&walk, AT_FDCWD, "/run/netns", visit_file);
	if (r == 0)
		r = for_each(&walk, AT_FDCWD, "/run/docker/netns", visit_file);
	free(walk.seen);
	fd_close(walk.home);
	return r;
}
