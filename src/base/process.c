/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/number.h"
#include "base/process.h"

#ifndef PIDFD_THREAD /* 6.9 */
#	define PIDFD_THREAD O_EXCL
#endif
#ifndef SO_PEERPIDFD
#	define SO_PEERPIDFD 77
#endif

int process_open(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

int process_open_thread(pid_t thread)
{
	int fd = (int)syscall(SYS_pidfd_open, thread, PIDFD_THREAD);

	return fd < 0 ? -errno : fd;
}

int process_split_off(void)
{
	pid_t between = fork();
	int status;

	if (between < 0)
		return -errno;
	if (between == 0) {
		pid_t pid;

		setsid();
		pid = fork();
		if (pid == 0)
			return 1;
		_exit(pid < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
	}
	while (waitpid(between, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EAGAIN;
}

pid_t process_of(int pidfd)
{
	_cleanup_fd_ int info = -1;
	char path[40], text[512];
	const char *at;
	uint64_t pid = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	n = info < 0 ? -1 : fd_read_all(info, text, sizeof(text) - 1);
	if (n < 0)
		return 0;
	text[n] = '\0';
	at = strstr(text, "\nPid:");
	if (!at || !number_skip_word(&at, "Pid:") || !number_take(&at, 10, &pid))
		return 0; /* "-1": it has ended */
	return (pid_t)pid;
}

/* Before Linux 6.5: by number, if that process is of the user who connected. */
int process_open_peer(int socket, const struct ucred *peer)
{
	_cleanup_fd_ int fd = -1;
	socklen_t len = sizeof(fd);
	struct stat st;
	char path[32];

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0)
		return fd_steal(&fd);
	if (errno != ENOPROTOOPT)
		return -errno;
	fd = process_open(peer->pid);
	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/%d", (int)peer->pid);
	/* That of an undumpable process is root's. */
	if (stat(path, &st) < 0 || (st.st_uid != peer->uid && st.st_uid != 0))
		return -ESRCH;
	return fd_steal(&fd);
}

int process_shares(pid_t pid, const char *namespace)
{
	struct stat own, theirs;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", namespace);
	if (stat(path, &own) < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, namespace);
	if (stat(path, &theirs) < 0)
		return -errno;
	return own.st_dev == theirs.st_dev && own.st_ino == theirs.st_ino;
}

bool process_is_real_root(void)
{
	_cleanup_fclose_ FILE *map =
		geteuid() == 0 ? fopen("/proc/self/uid_map", "re") : NULL;
	unsigned long inside, outside;
	char line[64], *at;

	if (!map || !fgets(line, sizeof(line), map))
		return false;
	inside = strtoul(line, &at, 10);
	outside = strtoul(at, &at, 10);
	return !inside && !outside && strtoul(at, NULL, 10) == UINT32_MAX;
}

uid_t process_outer_uid(void)
{
	_cleanup_fclose_ FILE *map = fopen("/proc/self/uid_map", "re");
	const uid_t uid = getuid();
	char line[64];

	while (map && fgets(line, sizeof(line), map)) {
		char *at;
		unsigned long inside = strtoul(line, &at, 10);
		unsigned long outside = strtoul(at, &at, 10);

		if (uid >= inside && uid - inside < strtoul(at, NULL, 10))
			return (uid_t)(outside + (uid - inside));
	}
	return uid;
}
