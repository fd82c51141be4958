/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "run/scope.h"

#define PREFIX  "graft-run-"
#define NAMES   1000
#define SOCKETS "sockets"

int scope_mount(char *path, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *entry, buffer;
	char text[4096];
	int r = -ENODEV;

	if (!mounts)
		return -errno;
	while (r < 0 && (entry = getmntent_r(mounts, &buffer, text, sizeof(text))))
		if (!strcmp(entry->mnt_type, "cgroup2"))
			r = (size_t)snprintf(path, size, "%s", entry->mnt_dir) < size
				    ? 0
				    : -ENAMETOOLONG;
	endmntent(mounts);
	return r;
}

/* Return: a descriptor, or -errno. */
static int open_id(int top, uint64_t id)
{
	struct {
		struct file_handle handle;
		uint64_t id;
	} file = { .handle.handle_bytes = sizeof(id) };
	int fd, mount;

	/* Of the right type, to be filled in. */
	if (name_to_handle_at(top, "", &file.handle, &mount, AT_EMPTY_PATH) < 0)
		return -errno;
	memcpy(file.handle.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(top, &file.handle, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int scope_path(uint64_t id, char *path, size_t size)
{
	_cleanup_fd_ int top = -1, cgroup = -1;
	char link[32], mount[4096], full[8192];
	size_t skip;
	ssize_t n;
	int r = scope_mount(mount, sizeof(mount));

	if (r < 0)
		return r;
	top = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return -errno;
	cgroup = open_id(top, id);
	if (cgroup < 0)
		return cgroup;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", cgroup);
	n = readlink(link, full, sizeof(full) - 1);
	if (n < 0)
		return -errno;
	full[n] = '\0';
	skip = strlen(mount);
	if (strncmp(full, mount, skip) != 0)
		skip = 0;
	r = snprintf(path, size, "%s", full[skip] ? full + skip : "/");
	return (size_t)r < size ? 0 : -ENAMETOOLONG;
}

/* Our own cgroup: the line "0::PATH". */
static int own_path(char *path, size_t size)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[4096];
	int r = -ENODEV;

	if (!file)
		return -errno;
	while (r < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, "0::/", 4)) {
			line[strcspn(line, "\n")] = '\0';
			r = (size_t)snprintf(path, size, "%s", line + 4) < size
				    ? 0
				    : -ENAMETOOLONG;
		}
	fclose(file);
	return r;
}

/* Return: a descriptor of the cgroup the caller is in, or -errno. */
static int open_own(void)
{
	char mount[4096], path[4096] = "";
	_cleanup_fd_ int top = -1;
	int fd, r = scope_mount(mount, sizeof(mount));

	if (r == 0)
		r = own_path(path, sizeof(path));
	if (r < 0)
		return r;
	top = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return -errno;
	fd = openat(top, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A run that was killed could not remove its own. Those that go on have a lock. */
static void remove_left(int parent)
{
	int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!directory) {
		fd_close(fd);
		return;
	}
	while ((entry = readdir(directory))) {
		_cleanup_fd_ int cgroup = -1;

		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0)
			continue;
		cgroup = openat(parent, entry->d_name,
				O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (cgroup < 0 || flock(cgroup, LOCK_EX | LOCK_NB) < 0)
			continue;
		unlinkat(cgroup, SOCKETS, AT_REMOVEDIR);
		unlinkat(parent, entry->d_name, AT_REMOVEDIR);
	}
	closedir(directory);
}

bool scope_is_live(int cgroup, const char *name)
{
	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return false;
	if (flock(cgroup, LOCK_EX | LOCK_NB) < 0)
		return true;
	flock(cgroup, LOCK_UN);
	return false;
}

void scope_sweep(void)
{
	_cleanup_fd_ int parent = open_own();

	if (parent >= 0)
		remove_left(parent);
}

/* Return: 0; -EAGAIN: somebody took it for one that was left, before it was locked. */
static int make_named(struct scope *scope)
{
	struct stat named, opened;

	if (mkdirat(scope->parent, scope->name, 0755) < 0)
		return -errno;
	scope->cgroup = openat(scope->parent, scope->name,
			       O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (scope->cgroup >= 0 && flock(scope->cgroup, LOCK_SH | LOCK_NB) == 0 &&
	    fstatat(scope->parent, scope->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    fstat(scope->cgroup, &opened) == 0 && named.st_ino == opened.st_ino)
		return 0;
	scope->cgroup = fd_close(scope->cgroup);
	return -EAGAIN;
}

/* Runs in other pid namespaces may have the same number. */
static int make(struct scope *scope, pid_t run)
{
	int r = -EEXIST;

	for (int i = 0; i < NAMES && (r == -EEXIST || r == -EAGAIN); i++) {
		if (i == 0)
			snprintf(scope->name, sizeof(scope->name), PREFIX "%d", run);
		else
			snprintf(scope->name, sizeof(scope->name), PREFIX "%d-%d", run,
				 i);
		r = make_named(scope);
	}
	return r;
}

int scope_new(struct scope *ret, pid_t run)
{
	struct scope scope = { .cgroup = -1, .sockets = -1, .parent = open_own() };
	int r = scope.parent < 0 ? scope.parent : 0;

	if (r < 0) {
		log_error("the cgroup engine finds no cgroup v2: %s", strerror(-r));
		return r;
	}
	remove_left(scope.parent);
	r = make(&scope, run);
	if (r < 0) {
		log_error("cannot make the cgroup %s: %s", scope.name, strerror(-r));
		fd_close(scope.parent);
		return r;
	}
	*ret = scope;
	return 0;
}

static int write_at(int cgroup, const char *name, const char *text)
{
	_cleanup_fd_ int fd = openat(cgroup, name, O_WRONLY | O_CLOEXEC);
	ssize_t size = (ssize_t)strlen(text);

	if (fd < 0)
		return -errno;
	return write(fd, text, (size_t)size) == size ? 0 : -errno;
}

int scope_add_sockets(struct scope *scope)
{
	int r = 0;

	if (mkdirat(scope->cgroup, SOCKETS, 0755) < 0)
		return -errno;
	scope->sockets =
		openat(scope->cgroup, SOCKETS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (scope->sockets < 0)
		r = -errno;
	return r < 0 ? r : write_at(scope->sockets, "cgroup.type", "threaded");
}

int scope_join_sockets(const struct scope *scope)
{
	return write_at(scope->sockets, "cgroup.threads", "0");
}

void scope_remove(struct scope *scope)
{
	if (scope->sockets >= 0) {
		/* A process can be in its own way. */
		scope_join(scope->parent);
		scope->sockets = fd_close(scope->sockets);
		unlinkat(scope->cgroup, SOCKETS, AT_REMOVEDIR);
	}
	scope->cgroup = fd_close(scope->cgroup);
	if (scope->parent >= 0 && *scope->name &&
	    unlinkat(scope->parent, scope->name, AT_REMOVEDIR) < 0 && errno == EBUSY &&
	    scope_join(scope->parent) == 0)
		unlinkat(scope->parent, scope->name, AT_REMOVEDIR);
	scope->parent = fd_close(scope->parent);
}

int scope_join(int cgroup)
{
	return write_at(cgroup, "cgroup.procs", "0");
}
