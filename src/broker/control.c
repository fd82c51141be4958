/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/control.h"
#include "broker/path.h"

#define BACKLOG 4096

static int set_mode(const struct control *control)
{
	const struct group *group = control->group ? getgrnam(control->group) : NULL;

	if (!control->group)
		return chmod(control->path, getuid() == 0 ? 0666 : 0600) < 0 ? -errno : 0;
	if (!group) {
		log_error("no group %s", control->group);
		return -ENOENT;
	}
	if (chown(control->path, (uid_t)-1, group->gr_gid) < 0 ||
	    chmod(control->path, 0660) < 0)
		return -errno;
	return 0;
}

/* What is left of a graftd that was killed gives way; one that lives does not. */
static int make(const struct control *control)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd =
		socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int r;

	if (fd < 0)
		return -errno;
	strncpy(address.sun_path, control->path, sizeof(address.sun_path) - 1);
	mask = umask(0177);
	r = path_bind(fd, &address, sizeof(address));
	umask(mask);
	return r < 0 ? r : fd_steal(&fd);
}

static bool is_at(int fd, const char *path)
{
	struct sockaddr_un address = { 0 };
	socklen_t size = sizeof(address) - 1;

	return fd >= 0 && getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
	       !strcmp(address.sun_path, path) && path_leads_to(path, fd);
}

/* Also of one that listens already: its clients are told that it is ours. */
static int start_listening(const struct control *control, int fd)
{
	int r = control->is_given ? 0 : set_mode(control);

	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	return r;
}

static int put(struct control *control, struct store *store, int fd)
{
	const struct store_name name = { .kind = STORE_CONTROL };

	store_remove(store, &control->item);
	fd_close(control->item.fd);
	control->item.fd = fd;
	store_print_name(&name, control->item.name);
	return control->is_given && store_outlasts_end(store)
		       ? 0
		       : store_put(store, &control->item);
}

int control_open(struct control *control, struct store *store)
{
	int fd = store_steal_given(store), r;

	control->is_given = fd >= 0;
	if (fd < 0 && is_at(control->item.fd, control->path)) {
		r = start_listening(control, control->item.fd);
	} else {
		if (fd < 0)
			fd = make(control);
		r = fd < 0 ? fd : start_listening(control, fd);
		if (r == 0)
			r = put(control, store, fd);
		else
			fd_close(fd);
	}
	if (r < 0)
		log_error("cannot listen at %s: %s", control->path, strerror(-r));
	return r;
}

void control_end(struct control *control, const struct store *store)
{
	if (!control->is_given && !store_outlasts_end(store))
		unlink(control->path);
}
