/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between bind() and listen() a socket refuses connections like one that is left over, so
 * both makers and sweepers hold a lock on the directory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "runtime/complain.h"
#include "runtime/door.h"

#define BACKLOG 64
#define ID_MAX  24 /* of the id; longer ones are hexadecimal anyway */

static int make_path(const char *directory)
{
	char path[4096];
	int r;

	if (snprintf(path, sizeof(path), "%s", directory) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		r = mkdir(path, 0755);
		*at = '/';
		if (r < 0 && errno != EEXIST)
			return -errno;
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

/* Nobody else may put a socket there, or connect to one. */
static int open_directory(const char *directory)
{
	_cleanup_fd_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || st.st_mode & 077)
		return -EACCES;
	return fd_steal(&fd);
}

static int address_of(const char *directory, const char *name, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/%s", directory, name) >=
			       (int)sizeof(ret->sun_path)
		       ? -ENAMETOOLONG
		       : 0;
}

static bool is_left_over(const char *directory, const char *name)
{
	_cleanup_fd_ int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;

	return fd >= 0 && address_of(directory, name, &address) == 0 &&
	       connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
	       errno == ECONNREFUSED;
}

static bool is_name(const char *name, const char *id)
{
	char prefix[ID_MAX + 2];

	snprintf(prefix, sizeof(prefix), "%.*s.", ID_MAX, id);
	return !strncmp(name, prefix, strlen(prefix));
}

/* Removes the dead. *ret_dead: there were some. Return: whether @id, which may be NULL,
 * is among the living. */
static bool sweep(const char *directory, int locked, const char *id, bool *ret_dead)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	bool lives = false;

	*ret_dead = false;
	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_SOCK)
			continue;
		if (is_left_over(directory, entry->d_name))
			*ret_dead |= unlinkat(locked, entry->d_name, 0) == 0;
		else
			lives |= id && is_name(entry->d_name, id);
	}
	if (dir)
		closedir(dir);
	return lives;
}

static int open_locked(const char *directory)
{
	_cleanup_fd_ int fd = open_directory(directory);

	if (fd >= 0 && flock(fd, LOCK_EX) < 0)
		return -errno;
	return fd < 0 ? fd : fd_steal(&fd);
}

static int listen_there(struct door *door, const char *directory, const char *id)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	char name[ID_MAX + 16];
	int r;

	if (fd < 0)
		return -errno;
	snprintf(name, sizeof(name), "%.*s.%d", ID_MAX, id, (int)getpid());
	r = address_of(directory, name, &address);
	if (r < 0)
		return r;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	memcpy(door->path, address.sun_path, sizeof(door->path));
	if (listen(fd, BACKLOG) < 0) {
		r = -errno;
		unlink(door->path);
		return r;
	}
	door->fd = fd_steal(&fd);
	return 0;
}

int door_open(struct door *ret, const char *directory, const char *id)
{
	_cleanup_fd_ int locked = -1;
	int r = make_path(directory);
	bool has_dead;

	if (r == 0)
		r = locked = open_locked(directory);
	if (r >= 0) {
		sweep(directory, locked, NULL, &has_dead);
		r = listen_there(ret, directory, id);
	}
	if (r < 0)
		complain("cannot listen in %s: %s", directory, strerror(-r));
	return r < 0 ? r : 0;
}

void door_close(struct door *door)
{
	if (door->fd < 0)
		return;
	unlink(door->path);
	door->fd = fd_close(door->fd);
}

bool door_sweep(const char *directory)
{
	_cleanup_fd_ int locked = open_locked(directory);
	bool has_dead = false;

	if (locked >= 0)
		sweep(directory, locked, NULL, &has_dead);
	return has_dead;
}

bool door_is_open(const char *directory, const char *id)
{
	_cleanup_fd_ int locked = open_locked(directory);
	bool has_dead;

	return locked >= 0 && sweep(directory, locked, id, &has_dead);
}
