/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why a user namespace even for root: a root program that keeps its powers over the
 * host's namespaces could enter them by setns() or reconfigure the host through a
 * grafted socket. In a user namespace of its own, with every id mapped to itself, it can
 * still become another user, change owners and open files as before, but has no power
 * over any network namespace other than its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "run/namespaces.h"

#define MAP_MAX 4096

int namespaces_enter(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ? -errno : 0;
}

static int write_file(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t size = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -errno;
	/* Maps must come in one write. */
	n = write(fd, text, size);
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EIO;
}

static int write_proc(pid_t child, const char *name, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", child, name);
	return write_file(path, text);
}

/* Our own map with each range on itself: what is mapped here stays mapped there. */
static int identity_map(const char *own, char *text, size_t size)
{
	_cleanup_fclose_ FILE *file = fopen(own, "re");
	unsigned int inside, outside, count;
	size_t used = 0;

	if (!file)
		return -errno;
	text[0] = '\0';
	while (fscanf(file, "%u %u %u", &inside, &outside, &count) == 3) {
		int n = snprintf(text + used, size - used, "%u %u %u\n", inside, inside,
				 count);

		if (n < 0 || (size_t)n >= size - used)
			return -E2BIG;
		used += (size_t)n;
	}
	return used ? 0 : -EINVAL;
}

static int map_all(pid_t child)
{
	char text[MAP_MAX];
	int r;

	r = identity_map("/proc/self/gid_map", text, sizeof(text));
	if (r == 0)
		r = write_proc(child, "gid_map", text);
	if (r == 0)
		r = identity_map("/proc/self/uid_map", text, sizeof(text));
	if (r == 0)
		r = write_proc(child, "uid_map", text);
	return r;
}

static int map_self(pid_t child)
{
	char text[64];
	int r;

	r = write_proc(child, "setgroups", "deny");
	if (r < 0 && r != -ENOENT)
		return r;
	snprintf(text, sizeof(text), "%u %u 1\n", getegid(), getegid());
	r = write_proc(child, "gid_map", text);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%u %u 1\n", geteuid(), geteuid());
	return write_proc(child, "uid_map", text);
}

int namespaces_map(pid_t child, bool *ret_is_whole)
{
	int r;

	*ret_is_whole = geteuid() == 0;
	if (*ret_is_whole) {
		r = map_all(child);
		if (r != -EPERM)
			return r;
		*ret_is_whole = false;
	}
	return map_self(child);
}

static int raise_loopback(void)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo" };

	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return -errno;
	request.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

int namespaces_furnish(bool is_whole)
{
	char text[64];
	int r;

	r = raise_loopback();
	if (r < 0 || is_whole)
		return r;
	/* Comfort: a kernel that has not got them gives what it gives. */
	write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0\n");
	snprintf(text, sizeof(text), "%u %u\n", getegid(), getegid());
	write_file("/proc/sys/net/ipv4/ping_group_range", text);
	return 0;
}
