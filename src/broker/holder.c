/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * Where systemd does not keep them, the held sockets and the control socket are kept by
 * this process: graftd's grandchild, in a session of its own, without a capability, with
 * nothing open but what it was given and the listener. It knows names and descriptors,
 * and nothing of what they are.
 *
 *	graftd ──put, drop──> holder		while graftd lives
 *	graftd ──give──> holder ──put* done──>	when the next one starts
 *	graftd ──end──> holder			in good order: it ends, too
 *
 * What was sent before graftd was killed is still read: the kernel keeps it. Only one
 * graftd is served at a time; its lock sees to that there is one. The socket is in a
 * directory, and of a mode, that only graftd's user can use.
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "broker/holder.h"

struct kept {
	struct kept *next;
	int fd;
	char name[HOLDER_NAME_MAX];
};

static void drop(struct kept **list, const char *name)
{
	for (struct kept **at = list; *at; at = &(*at)->next) {
		struct kept *kept = *at;

		if (strcmp(kept->name, name) == 0) {
			*at = kept->next;
			fd_close(kept->fd);
			free(kept);
			return;
		}
	}
}

static void put(struct kept **list, const char *name, int fd)
{
	struct kept *kept = calloc(1, sizeof(*kept));

	drop(list, name);
	if (!kept) {
		fd_close(fd);
		return;
	}
	memcpy(kept->name, name, sizeof(kept->name));
	kept->fd = fd;
	kept->next = *list;
	*list = kept;
}

static int give(int via, const struct kept *list)
{
	struct holder_message message = { .magic = HOLDER_MAGIC, .op = HOLDER_PUT };
	int r = 0;

	for (; list && r == 0; list = list->next) {
		memcpy(message.name, list->name, sizeof(message.name));
		r = fd_send(via, &message, sizeof(message), &list->fd, 1);
	}
	message.op = HOLDER_DONE;
	return r < 0 ? r : fd_send(via, &message, sizeof(message), NULL, 0);
}

/* Return: whether to go on with this connection. */
static bool serve(int via, struct kept **list)
{
	struct holder_message message;
	int fd = -1;
	size_t n_fds = 0;
	ssize_t n = fd_receive(via, &message, sizeof(message), &fd, 1, &n_fds);

	if (n != sizeof(message) || message.magic != HOLDER_MAGIC) {
		fd_close(fd);
		return false;
	}
	message.name[HOLDER_NAME_MAX - 1] = '\0';
	if (message.op == HOLDER_PUT && fd >= 0) {
		put(list, message.name, fd);
		return true;
	}
	fd_close(fd);
	switch (message.op) {
	case HOLDER_DROP:
		drop(list, message.name);
		return true;
	case HOLDER_GIVE:
		return give(via, *list) == 0;
	case HOLDER_END:
		_exit(0);
	default:
		return false;
	}
}

static _Noreturn void run(int listener)
{
	struct kept *list = NULL;

	for (;;) {
		_cleanup_fd_ int via = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (via < 0 && errno != EINTR && errno != ECONNABORTED)
			_exit(1);
		while (via >= 0 && serve(via, &list))
			continue;
	}
}

/* Nothing but @listener stays open, as descriptor 3. */
static void shed(int listener)
{
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	dup3(listener, 3, O_CLOEXEC);
	close_range(4, ~0u, 0);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	capng_clear(CAPNG_SELECT_CAPS);
	capng_apply(CAPNG_SELECT_CAPS);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0);
}

static _Noreturn void child(int listener)
{
	static const char name[] = "graft-holder";
	pid_t pid;

	setsid();
	pid = fork();
	if (pid)
		_exit(pid < 0);
	if (chdir("/") < 0)
		_exit(1);
	prctl(PR_SET_NAME, name);
	shed(listener);
	run(3);
}

int holder_start(int listener)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(listener);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EAGAIN;
}
