/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "ctl/probe.h"

#define CHILD_SECONDS 30 /* loading BPF programs takes a slow machine a while */

void probe_say(struct probe_result *ret, enum probe_level level, const char *advice,
	       const char *fact, ...)
{
	va_list args;

	ret->level = level;
	ret->advice = advice;
	va_start(args, fact);
	vsnprintf(ret->fact, sizeof(ret->fact), fact, args);
	va_end(args);
}

int probe_in_child(int (*body)(void))
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		alarm(CHILD_SECONDS);
		_exit(-body());
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status))
		return -WEXITSTATUS(status);
	return WTERMSIG(status) == SIGALRM ? -ETIMEDOUT : -ECHILD;
}

static int write_text(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = fd_write_all(fd, text, strlen(text));
	return n < 0 ? (int)n : 0;
}

/* Everything for root, oneself for others. */
static int write_map(const char *path, unsigned int id)
{
	char map[64];

	if (id == 0 && write_text(path, "0 0 4294967295") == 0)
		return 0;
	snprintf(map, sizeof(map), "%u %u 1", id, id);
	return write_text(path, map);
}

int probe_enter_userns(void)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	int r;

	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	r = write_map("/proc/self/uid_map", uid);
	if (r < 0)
		return r;
	if (uid != 0)
		write_text("/proc/self/setgroups", "deny");
	r = write_map("/proc/self/gid_map", gid);
	if (r < 0 && write_text("/proc/self/setgroups", "deny") == 0)
		r = write_map("/proc/self/gid_map", gid);
	return r;
}

int probe_enter_netns(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	_cleanup_fd_ int fd = -1;
	int r = probe_enter_userns();

	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return -errno;
	return 0;
}
