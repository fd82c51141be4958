/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A server that ends leaves its socket's inode behind, and bind() then fails for ever.
 *
 * Whether anybody is behind an inode is asked with a socket of another type: connect()
 * of a datagram socket says ECONNREFUSED only where there is no socket at all, and
 * EPROTOTYPE before it touches a stream socket, listening or not. So the question is
 * neither seen by a server nor fooled by one that is between bind() and listen().
 *
 * Taking a dead inode away must not take a live one that was put in its place between
 * question and removal. So it is renamed first, which is atomic, asked again, and then
 * removed, or else put back. The rename also
 * waits (for the directory's lock) until a bind() in progress there is complete. The name
 * it gets is nobody else's, so several brokers may do this at once; one that is killed in
 * between leaves a dead inode under that name.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "broker/path.h"

#ifndef SIOCUNIXFILE
#	define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0)
#endif

#define TRIES 3

struct place {
	int directory;
	char name[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char aside[40];
};

static void place_close(struct place *place)
{
	place->directory = fd_close(place->directory);
}

static int place_open(const struct sockaddr_un *address, struct place *ret)
{
	char path[sizeof(address->sun_path) + 1] = { 0 };
	uint64_t number;
	char *slash;

	memcpy(path, address->sun_path, sizeof(address->sun_path));
	slash = strrchr(path, '/');
	if (!slash || !slash[1])
		return -EINVAL;
	snprintf(ret->name, sizeof(ret->name), "%s", slash + 1);
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EAGAIN;
	snprintf(ret->aside, sizeof(ret->aside), ".graft-%016" PRIx64, number);
	slash[slash == path] = '\0';
	ret->directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return ret->directory < 0 ? -errno : 0;
}

static int ask(int inode)
{
	_cleanup_fd_ int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (probe < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", inode);
	return connect(probe, (const struct sockaddr *)&address, sizeof(address)) < 0
		       ? -errno
		       : 0;
}

/* Return: 0 when @name is a socket that nobody has; -EADDRINUSE when it is anything else;
 * -errno. */
static int ask_name(int directory, const char *name)
{
	_cleanup_fd_ int inode = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (inode < 0 || fstat(inode, &st) < 0)
		return -errno;
	return S_ISSOCK(st.st_mode) && ask(inode) == -ECONNREFUSED ? 0 : -EADDRINUSE;
}

static int move(const struct place *place, const char *from, const char *to)
{
	return renameat2(place->directory, from, place->directory, to, RENAME_NOREPLACE) <
			       0
		       ? -errno
		       : 0;
}

/* Return: 0 when the name may be free now, or -errno. */
static int clear_away(const struct place *place)
{
	int r = ask_name(place->directory, place->name);

	if (r == 0)
		r = move(place, place->name, place->aside);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (ask_name(place->directory, place->aside) == 0)
		return unlinkat(place->directory, place->aside, 0) < 0 ? -errno : 0;
	/* Whoever has the name by now took it as we did. */
	if (move(place, place->aside, place->name) == -EEXIST)
		unlinkat(place->directory, place->aside, 0);
	return -EADDRINUSE;
}

int path_bind(int fd, const struct sockaddr_un *address, socklen_t len)
{
	_cleanup_(place_close) struct place place = { .directory = -1 };
	int r;

	for (int i = 0; i < TRIES; i++) {
		if (bind(fd, (const struct sockaddr *)address, len) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return -errno;
		r = place.directory < 0 ? place_open(address, &place) : 0;
		if (r == 0)
			r = clear_away(&place);
		if (r < 0)
			return r;
	}
	return -EADDRINUSE;
}

int path_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd =
		socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int r;

	if (fd < 0)
		return -errno;
	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >=
	    (int)sizeof(address.sun_path))
		return -ENAMETOOLONG;
	mask = umask(0177);
	r = path_bind(fd, &address, sizeof(address));
	umask(mask);
	return r < 0 ? r : fd_steal(&fd);
}

int path_give(int fd, uid_t uid, gid_t gid)
{
	_cleanup_fd_ int inode = ioctl(fd, SIOCUNIXFILE);

	if (inode < 0 || fchownat(inode, "", uid, gid, AT_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

bool path_leads_to(const char *path, int fd)
{
	_cleanup_fd_ int inode = -1;
	struct stat there, ours;

	if (stat(path, &there) < 0 || !S_ISSOCK(there.st_mode))
		return false;
	inode = ioctl(fd, SIOCUNIXFILE);
	if (inode < 0)
		return errno == EPERM;
	return fstat(inode, &ours) == 0 && there.st_ino == ours.st_ino &&
	       there.st_dev == ours.st_dev;
}

int path_open(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}
