/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why a user namespace even for root: a root program that keeps its powers over the
 * host's namespaces could enter them by setns() or reconfigure the host through a
 * grafted socket. In a user namespace of its own, with every id mapped to itself, it can
 * still become another user, change owners and open files as before, but has no power
 * over any network namespace other than its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/number.h"
#include "run/loopback.h"
#include "run/namespaces.h"

#define MAP_MAX     4096
#define PING_GROUPS "/proc/sys/net/ipv4/ping_group_range"

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
	_cleanup_fd_ int fd = open(own, O_RDONLY | O_CLOEXEC);
	uint64_t inside, outside, count;
	char theirs[MAP_MAX];
	const char *at = theirs;
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = fd_read_all(fd, theirs, sizeof(theirs) - 1);
	if (n < 0)
		return (int)n;
	theirs[n] = '\0';
	text[0] = '\0';
	while (number_take(&at, 10, &inside) && number_take(&at, 10, &outside) &&
	       number_take(&at, 10, &count)) {
		int written = snprintf(text + used, size - used,
				       "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", inside,
				       inside, count);

		if (written < 0 || (size_t)written >= size - used)
			return -E2BIG;
		used += (size_t)written;
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

/*
 * Name look-ups ask the interfaces which families are worth asking for (AI_ADDRCONFIG)
 * and count only addresses outside loopback. Where the host has a family, the program's
 * namespace gets an address of it that no packet ever bears: RFC 7600's IPv4 dummy, and
 * one of our own random IPv6 prefix (RFC 4193).
 */
static void add_placeholders(const struct namespaces_wish *wish)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	inet_pton(AF_INET, "192.0.0.8", &v4.sin_addr);
	inet_pton(AF_INET6, "fdc9:1f3e:82d4::8", &v6.sin6_addr);
	if (wish->has_v4)
		loopback_add((const struct sockaddr *)&v4);
	if (wish->has_v6)
		loopback_add((const struct sockaddr *)&v6);
}

static void read_ping(struct namespaces_wish *wish)
{
	_cleanup_fd_ int fd = open(PING_GROUPS, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_all(fd, wish->ping, sizeof(wish->ping) - 1);

	wish->ping[n < 0 ? 0 : n] = '\0';
}

void namespaces_look(struct namespaces_wish *ret)
{
	struct ifaddrs *list;

	*ret = (struct namespaces_wish){ 0 };
	read_ping(ret);
	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *at = list; at; at = at->ifa_next) {
		if (!at->ifa_addr || at->ifa_flags & IFF_LOOPBACK)
			continue;
		ret->has_v4 |= at->ifa_addr->sa_family == AF_INET;
		ret->has_v6 |= at->ifa_addr->sa_family == AF_INET6;
	}
	freeifaddrs(list);
}

int namespaces_furnish(const struct namespaces_wish *wish, bool is_whole)
{
	char text[64];
	int r;

	r = loopback_up();
	if (r < 0)
		return r;
	add_placeholders(wish);
	/* Comfort: a kernel that has not got them gives what it gives. */
	if (is_whole) {
		write_file(PING_GROUPS, wish->ping);
		return 0;
	}
	write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0\n");
	snprintf(text, sizeof(text), "%u %u\n", getegid(), getegid());
	write_file(PING_GROUPS, text);
	return 0;
}
