/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lock is the process's (F_SETLK), not inherited, and goes with it however it ends: so
 * whoever has it may take away what another graftd has left. The state directory must be such that nobody else can put
 * anything into it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/client.h"
#include "broker/daemon.h"
#include "broker/home.h"

#ifndef SIOCUNIXFILE
#	define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0)
#endif

#define BACKLOG 4096

static int fail(const char *what, const char *detail, int r)
{
	log_error("%s %s: %s", what, detail, strerror(-r));
	return r;
}

static int join(char *path, size_t size, const char *start, const char *rest)
{
	int n = snprintf(path, size, "%s%s", start, rest);

	return n < 0 || n >= (int)size ? fail("too long:", start, -ENAMETOOLONG) : 0;
}

static int find_socket(struct home *home, const char *given)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (given)
		return join(home->socket, sizeof(home->socket), given, "");
	if (getuid() == 0)
		return join(home->socket, sizeof(home->socket), BROKER_SOCKET, "");
	if (runtime)
		return join(home->socket, sizeof(home->socket), runtime,
			    "/graft/graftd.sock");
	log_error(
		"where to listen? XDG_RUNTIME_DIR is not set, and there is no --socket");
	return -ENOENT;
}

static int find_state(struct home *home, const char *given)
{
	int r = join(home->state, sizeof(home->state), given ? given : home->socket, "");
	char *slash = strrchr(home->state, '/');

	if (r < 0 || given)
		return r;
	if (slash && slash > home->state)
		*slash = '\0';
	else
		return join(home->state, sizeof(home->state), slash ? "/" : ".", "");
	return 0;
}

/* Those above it are there, or it is somebody else's matter. */
static int open_state(struct home *home)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat st;

	if (mkdir(home->state, 0755) < 0 && errno != EEXIST)
		return fail("cannot make", home->state, -errno);
	home->directory = open(home->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (home->directory < 0 || fstat(home->directory, &st) < 0)
		return fail("cannot open", home->state, -errno);
	if (st.st_uid != geteuid() || st.st_mode & 022)
		return fail("others may write to", home->state, -EPERM);
	home->lock = openat(home->directory, "lock",
			    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (home->lock < 0)
		return fail("cannot make a lock in", home->state, -errno);
	if (fcntl(home->lock, F_SETLK, &lock) == 0)
		return 0;
	if (errno == EACCES || errno == EAGAIN)
		log_error("another graftd keeps its state in %s", home->state);
	else
		return fail("cannot lock", home->state, -errno);
	return -EBUSY;
}

int home_open(struct home *ret, const struct daemon_options *options)
{
	int r;

	*ret = (struct home){ .directory = -1, .lock = -1 };
	r = find_socket(ret, options->socket);
	if (r == 0)
		r = find_state(ret, options->state);
	return r < 0 ? r : open_state(ret);
}

void home_close(struct home *home)
{
	home->directory = fd_close(home->directory);
	home->lock = fd_close(home->lock);
}

bool home_is_control(const struct home *home, int fd)
{
	struct sockaddr_un address;
	socklen_t len = sizeof(address);
	struct stat at_path, bound;
	_cleanup_fd_ int inode = -1;

	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0 ||
	    address.sun_family != AF_UNIX || stat(home->socket, &at_path) < 0)
		return false;
	/* Which takes a privilege; without it the name has to do. */
	inode = ioctl(fd, SIOCUNIXFILE);
	if (inode < 0)
		return strncmp(address.sun_path, home->socket,
			       sizeof(address.sun_path)) == 0;
	return fstat(inode, &bound) == 0 && bound.st_ino == at_path.st_ino &&
	       bound.st_dev == at_path.st_dev;
}

static int set_mode(const struct home *home, const char *name)
{
	const struct group *group = name ? getgrnam(name) : NULL;

	if (!name)
		return chmod(home->socket, getuid() == 0 ? 0666 : 0600) < 0 ? -errno : 0;
	if (!group)
		return fail("no group", name, -ENOENT);
	if (chown(home->socket, (uid_t)-1, group->gr_gid) < 0 ||
	    chmod(home->socket, 0660) < 0)
		return -errno;
	return 0;
}

int home_listen(const struct home *home, const char *group)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd =
		socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int r;

	if (fd < 0)
		return fail("cannot listen at", home->socket, -errno);
	memcpy(address.sun_path, home->socket, sizeof(address.sun_path));
	unlink(home->socket);
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (r == 0)
		r = set_mode(home, group);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	return r < 0 ? fail("cannot listen at", home->socket, r) : fd_steal(&fd);
}
