/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process of graft-holder, as graftd starts and ends it.
 *
 * The holder is this very program under another name, executed anew so that nothing of
 * graftd's memory and descriptors goes with it, in a session of its own. What binds the
 * socket and connects to it before the holder runs is graftd, so nobody waits for a
 * process to start.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"
#include "broker/holder.h"
#include "broker/store_process.h"

#define SPARE_DESCRIPTOR 10 /* the first number that means nothing to the holder */

/* Through the descriptor: the directory's path may be longer than an address. */
static struct sockaddr_un address_in(int state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path),
		 "/proc/self/fd/%d/" HOLDER_SOCKET, state);
	return address;
}

static int open_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* Returns only if it fails; both numbers are out of the way of what they become. */
static void become_holder(int listener, int state)
{
	char *const argv[] = { (char *)HOLDER_PROCESS_NAME, NULL };
	char *const environment[] = { NULL };
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* Again, so that the next graftd is told this process as its peer's. */
	listen(listener, 4);
	setsid();
	(void)!chdir("/");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	if (dup2(listener, HOLDER_FD_LISTENER) < 0 || dup2(state, HOLDER_FD_STATE) < 0)
		return;
	syscall(SYS_close_range, HOLDER_FD_STATE + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	execve("/proc/self/exe", argv, environment);
}

/* Of a holder that another graftd started we know the number alone: what it said, or the
 * kernel, who knows who listened last. */
static void kill_other(pid_t pid, int via)
{
	struct pollfd poll_fd = { .fd = via };
	_cleanup_fd_ int process = process_open(pid);
	_cleanup_fd_ int comm = -1;
	char path[32], name[32] = "";

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	comm = open(path, O_RDONLY | O_CLOEXEC);
	if (process < 0 || comm < 0 || read(comm, name, sizeof(name) - 1) < 0 ||
	    strcmp(name, HOLDER_PROCESS_NAME "\n") != 0)
		return;
	/* Its connection is there still: so is it. */
	if (via >= 0 && poll(&poll_fd, 1, 0) == 0)
		syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
}

int store_process_listen(int state)
{
	struct sockaddr_un address = address_in(state);
	_cleanup_fd_ int fd = open_socket();
	mode_t mask;
	int r;

	if (fd < 0)
		return fd_steal(&fd);
	unlinkat(state, HOLDER_SOCKET, 0);
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (r < 0 || listen(fd, 4) < 0)
		return -errno;
	return fd_steal(&fd);
}

int store_process_connect(int state)
{
	const struct timeval limit = { .tv_sec = STORE_PATIENCE_MS / 1000,
				       .tv_usec = STORE_PATIENCE_MS % 1000 * 1000 };
	struct sockaddr_un address = address_in(state);
	_cleanup_fd_ int fd = open_socket();

	if (fd < 0)
		return fd_steal(&fd);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return fd_steal(&fd);
}

pid_t store_process_start(int listener, int state)
{
	_cleanup_fd_ int high_listener =
		fcntl(listener, F_DUPFD_CLOEXEC, SPARE_DESCRIPTOR);
	_cleanup_fd_ int high_state = fcntl(state, F_DUPFD_CLOEXEC, SPARE_DESCRIPTOR);
	pid_t pid;

	if (high_listener < 0 || high_state < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		become_holder(high_listener, high_state);
		_exit(127);
	}
	return pid;
}

void store_process_end(pid_t pid, int via)
{
	switch (waitpid(pid, NULL, WNOHANG)) {
	case 0:
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		break;
	case -1: /* no child of ours */
		kill_other(pid, via);
		break;
	}
}
