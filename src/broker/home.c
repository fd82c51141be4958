/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lock goes with the process however that ends, so whoever has it may take away what
 * another graftd has left. The state directory must be such that nobody else can put
 * anything into it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/client.h"
#include "broker/daemon.h"
#include "broker/home.h"
#include "broker/path.h"

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
		return join(home->socket, sizeof(home->socket),
			    strchr(given, '/') ? "" : "./", given);
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

/* Of fcntl(2)'s kind, which a child that we fork does not have, too: the holder could
 * still be about to be executed when we are killed. */
static int take_lock(const struct home *home)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(home->lock, F_SETLK, &lock) == 0)
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return fail("cannot lock", home->state, -errno);
	if (fcntl(home->lock, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		lock.l_pid = 0;
	log_error("graftd already runs (pid %d), with its state in %s", (int)lock.l_pid,
		  home->state);
	return -EBUSY;
}

/* Those above it are there, or it is somebody else's matter. */
static int open_state(struct home *home)
{
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
	return take_lock(home);
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

/* What clients find at our path? */
static bool is_control(const struct home *home, int fd)
{
	struct sockaddr_un address = { 0 };
	socklen_t len = sizeof(address) - 1;

	return sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, NULL, 0) > 0 &&
	       getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
	       !strcmp(address.sun_path, home->socket) && path_leads_to(home->socket, fd);
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

int home_listen(const struct home *home, int last, const char *group)
{
	_cleanup_fd_ int fd = last;
	int r;

	if (!is_control(home, fd)) {
		fd_close(fd);
		/* What a dead graftd left gives way; one that lives, with other
		 * state, does not. */
		fd = path_socket(home->socket);
	}
	r = fd < 0 ? fd : set_mode(home, group);
	/* Also of the last one's: clients are told who listened last. */
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	return r < 0 ? fail("cannot listen at", home->socket, r) : fd_steal(&fd);
}
