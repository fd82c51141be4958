/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * What must outlive graftd is kept by a process that has no reason to fail: no file is
 * read, nothing a client of graftd says arrives here, no capability is left.
 *
 * A message that graftd has sent is in our queue and is ours, whatever becomes of graftd
 * afterwards; the end of the connection is seen behind the last of them. The newest
 * graftd counts: when another one connects, what the one before has sent is taken, and
 * its connection closed. The lock in the state directory sees to it that there is no
 * reason for two.
 *
 * Only a process of our own user is talked to; the mode of the socket keeps others away
 * before that.
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/fd.h"
#include "broker/holder.h"

/* For a graftd that takes nothing of what it asked for. */
#define SEND_SECONDS 5

struct kept {
	int fd;
	char name[STORE_NAME_MAX + 1];
};

struct holder {
	int listener, state, graftd;
	struct stat inode; /* HOLDER_SOCKET, as long as it is ours */
	struct kept *kept;
	size_t n, room;
	bool is_over;
};

static void hang_up(struct holder *holder)
{
	holder->graftd = fd_close(holder->graftd);
}

/* Without waiting: who is not there to hear it does not need it. */
static void refuse(struct holder *holder, const char *name)
{
	char message[HOLDER_MESSAGE_MAX + 1];
	int n = snprintf(message, sizeof(message), "%c%s", HOLDER_REFUSED, name);

	fd_send_now(holder->graftd, message, (size_t)n, NULL, 0);
}

static struct kept *find(struct holder *holder, const char *name)
{
	for (size_t i = 0; i < holder->n; i++)
		if (!strcmp(holder->kept[i].name, name))
			return &holder->kept[i];
	return NULL;
}

static struct kept *make_room(struct holder *holder)
{
	size_t room = holder->room ? 2 * holder->room : 16;
	struct kept *kept;

	if (holder->n == STORE_MAX)
		return NULL;
	if (holder->n == holder->room) {
		kept = reallocarray(holder->kept, room, sizeof(*kept));
		if (!kept)
			return NULL;
		holder->kept = kept;
		holder->room = room;
	}
	kept = &holder->kept[holder->n++];
	*kept = (struct kept){ .fd = -1 };
	return kept;
}

/* Takes @fd over. */
static void put(struct holder *holder, const char *name, int fd)
{
	struct kept *kept = find(holder, name);

	if (!kept)
		kept = make_room(holder);
	if (!kept) {
		refuse(holder, name);
		fd_close(fd);
		return;
	}
	fd_close(kept->fd);
	kept->fd = fd;
	snprintf(kept->name, sizeof(kept->name), "%s", name);
}

static void remove_name(struct holder *holder, const char *name)
{
	struct kept *kept = find(holder, name);

	if (!kept)
		return;
	fd_close(kept->fd);
	*kept = holder->kept[--holder->n];
}

/* As an ordinary user we may have only so many descriptors on their way. */
static int send_patiently(struct holder *holder, const struct kept *kept)
{
	char message[HOLDER_MESSAGE_MAX + 1];
	int n = snprintf(message, sizeof(message), "%c%s", HOLDER_HELD, kept->name);
	int r = -ETOOMANYREFS;

	for (int i = 0; i < SEND_SECONDS * 1000; i++) {
		r = fd_send(holder->graftd, message, (size_t)n, &kept->fd, 1);
		if (r != -ETOOMANYREFS)
			break;
		poll(NULL, 0, 1);
	}
	return r;
}

static void tell(struct holder *holder)
{
	char told[16];
	int n = snprintf(told, sizeof(told), "%c%d", HOLDER_TOLD, (int)getpid()), r = 0;

	for (size_t i = 0; i < holder->n && r == 0; i++)
		r = send_patiently(holder, &holder->kept[i]);
	if (r == 0)
		r = fd_send(holder->graftd, told, (size_t)n, NULL, 0);
	if (r < 0)
		hang_up(holder);
}

/* @name: NUL-terminated. Return: whether it was a message. */
static bool act(struct holder *holder, char op, const char *name, int *fd)
{
	switch (op) {
	case HOLDER_PUT:
		if (*fd < 0 || !*name)
			return false;
		put(holder, name, fd_steal(fd));
		return true;
	case HOLDER_REMOVE:
		remove_name(holder, name);
		return true;
	case HOLDER_TAKE:
		tell(holder);
		return true;
	case HOLDER_END:
		holder->is_over = true;
		return true;
	default:
		return false;
	}
}

/* Return: whether there may be more. */
static bool take_message(struct holder *holder)
{
	char message[HOLDER_MESSAGE_MAX + 1];
	_cleanup_fd_ int fd = -1;
	ssize_t n = fd_receive(holder->graftd, message, HOLDER_MESSAGE_MAX, &fd, 1, NULL);

	if (n == -EAGAIN)
		return false;
	if (n < 0)
		fd = -1;
	if (n == -EMSGSIZE) { /* no room for the descriptor */
		refuse(holder, "");
		return true;
	}
	if (n <= 0) {
		hang_up(holder);
		return false;
	}
	message[n] = '\0';
	if (!act(holder, message[0], message + 1, &fd))
		hang_up(holder);
	return holder->graftd >= 0 && !holder->is_over;
}

static void take_messages(struct holder *holder)
{
	struct pollfd poll_fd = { .fd = holder->graftd, .events = POLLIN };

	while (poll(&poll_fd, 1, 0) == 1 && take_message(holder))
		continue;
}

static bool is_of_our_user(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       peer.uid == geteuid();
}

static void welcome(struct holder *holder)
{
	const struct timeval limit = { .tv_sec = SEND_SECONDS };
	_cleanup_fd_ int fd = accept4(holder->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 || !is_of_our_user(fd))
		return;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (holder->graftd >= 0)
		take_messages(holder);
	hang_up(holder);
	holder->graftd = fd_steal(&fd);
}

/* Return: 1 to go on, 0: it is time to end, or -errno. */
static int turn(struct holder *holder, int patience_ms)
{
	struct pollfd fds[] = {
		{ .fd = holder->listener, .events = POLLIN },
		{ .fd = holder->graftd, .events = POLLIN },
	};
	int n = poll(fds, ARRAY_SIZE(fds), holder->graftd < 0 ? patience_ms : -1);

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	if (n == 0)
		return 0;
	if (fds[1].revents) {
		take_messages(holder);
		if (holder->graftd < 0 && !holder->n && !fds[0].revents)
			return 0;
	}
	if (fds[0].revents && !holder->is_over)
		welcome(holder);
	return !holder->is_over;
}

/* A path that another holder has by now is left alone. */
static void take_path_away(const struct holder *holder)
{
	struct stat st;

	if (fstatat(holder->state, HOLDER_SOCKET, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_ino == holder->inode.st_ino && st.st_dev == holder->inode.st_dev)
		unlinkat(holder->state, HOLDER_SOCKET, 0);
}

int holder_run(int listener, int state, int patience_ms)
{
	struct holder holder = { .listener = listener, .state = state, .graftd = -1 };
	int r = 1;

	if (fstatat(state, HOLDER_SOCKET, &holder.inode, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	while (r > 0)
		r = turn(&holder, patience_ms);
	take_path_away(&holder);
	for (size_t i = 0; i < holder.n; i++)
		fd_close(holder.kept[i].fd);
	free(holder.kept);
	fd_close(listener);
	fd_close(state);
	return r;
}

int holder_main(void)
{
	struct rlimit limit;

	prctl(PR_SET_NAME, HOLDER_PROCESS_NAME);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0);
	capng_clear(CAPNG_SELECT_BOTH);
	capng_apply(CAPNG_SELECT_BOTH);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	return holder_run(HOLDER_FD_LISTENER, HOLDER_FD_STATE, HOLDER_PATIENCE_MS) < 0
		       ? EXIT_FAILURE
		       : EXIT_SUCCESS;
}
