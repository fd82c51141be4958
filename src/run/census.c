/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	/proc/PID/stat of all ──> who belongs to the run ──> their /proc/PID/fd
 *	──> sockets, copied with pidfd_getfd() ──> those of the host's stack ──> report
 *
 * The network namespace cookie of a socket says in which stack it lives, so grafts are
 * found by asking the kernel, whoever passed them to whom. What the engine noted is a
 * graft wherever it lives: in an endpoint's namespace, or on a UNIX path. Unnoted sockets
 * of other families than AF_INET and AF_INET6 were inherited. A connection that was
 * accepted is not in the engine's table: it shows the rule of the listener with its local
 * port.
 *
 * A copy lives for a few microseconds, in which closing the program's last descriptor
 * does not close the socket yet. A process that exits meanwhile is left out; one whose
 * number was given to another is recognised by its start time.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "base/process.h"
#include "run/census.h"
#include "run/grafts.h"
#include "uapi/linux/graft.h"

#ifndef SO_NETNS_COOKIE
#	define SO_NETNS_COOKIE 71
#endif
#ifndef SYS_pidfd_getfd
#	define SYS_pidfd_getfd 438
#endif

enum membership {
	UNKNOWN,
	MEMBER,
	STRANGER,
};

struct process {
	pid_t pid, parent;
	unsigned long long start;
	enum membership is;
};

struct processes {
	struct process *items;
	size_t n, capacity;
};

struct entry {
	struct graft_info info;
	uint32_t rule;
	bool noted;
};

struct entries {
	struct entry *items;
	size_t n, capacity;
};

static void processes_release(struct processes *list)
{
	free(list->items);
}

static void entries_release(struct entries *list)
{
	free(list->items);
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* Makes room for one more in an array of @size bytes an item. */
static int grow(void **items, size_t n, size_t *capacity, size_t size)
{
	size_t wanted = *capacity ? *capacity * 2 : 64;
	void *bigger;

	if (n < *capacity)
		return 0;
	bigger = realloc(*items, wanted * size);
	if (!bigger)
		return -ENOMEM;
	*items = bigger;
	*capacity = wanted;
	return 0;
}

/* Fields 4 (parent) and 22 (start time); the name before them may hold anything. */
static int read_stat(pid_t pid, struct process *ret)
{
	char path[64], text[1024];
	_cleanup_fd_ int fd = -1;
	char *at, *word, *rest = NULL;
	int field;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = fd_read_all(fd, text, sizeof(text) - 1);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	at = strrchr(text, ')');
	word = at ? strtok_r(at + 1, " ", &rest) : NULL;
	for (field = 3; word && field < 22; field++) {
		if (field == 4)
			ret->parent = (pid_t)strtol(word, NULL, 10);
		word = strtok_r(NULL, " ", &rest);
	}
	if (!word)
		return -ESRCH;
	ret->start = strtoull(word, NULL, 10);
	ret->pid = pid;
	ret->is = UNKNOWN;
	return 0;
}

/* Return: the number @name is, or -1. */
static int as_number(const char *name)
{
	char *end;
	long value;

	if (!isdigit((unsigned char)name[0]))
		return -1;
	errno = 0;
	value = strtol(name, &end, 10);
	return *end || errno || value > 0x7fffffff ? -1 : (int)value;
}

static int by_pid(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static int list_processes(struct processes *list)
{
	_cleanup_(closedirp) DIR *dir = opendir("/proc");
	const struct dirent *item;

	if (!dir)
		return -errno;
	while ((item = readdir(dir))) {
		int pid = as_number(item->d_name);

		if (pid <= 0)
			continue;
		if (grow((void **)&list->items, list->n, &list->capacity,
			 sizeof(*list->items)) < 0)
			return -ENOMEM;
		if (read_stat(pid, &list->items[list->n]) == 0)
			list->n++;
	}
	if (list->n)
		qsort(list->items, list->n, sizeof(*list->items), by_pid);
	return 0;
}

static struct process *find_process(const struct processes *list, pid_t pid)
{
	struct process key = { .pid = pid };

	return list->n ? bsearch(&key, list->items, list->n, sizeof(key), by_pid) : NULL;
}

/* Follows the parents up to @root or the top and remembers the answer all the way. The
 * steps are limited as the list is no snapshot and might hold a circle. */
static void settle(const struct processes *list, struct process *process, pid_t root)
{
	enum membership is = UNKNOWN;
	struct process *at = process;

	for (size_t steps = 0; at && is == UNKNOWN && steps <= list->n; steps++) {
		if (at->is != UNKNOWN)
			is = at->is;
		else if (at->parent == root)
			is = MEMBER;
		else
			at = find_process(list, at->parent);
	}
	if (is == UNKNOWN)
		is = STRANGER;
	for (at = process; at && at->is == UNKNOWN;) {
		at->is = is;
		at = at->parent == root ? NULL : find_process(list, at->parent);
	}
}

static int netns_of(pid_t pid, struct stat *ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return stat(path, ret) < 0 ? -errno : 0;
}

static void mark_members(const struct census *census, const struct processes *list)
{
	struct stat run, other;
	bool by_netns = census->program > 0 && netns_of(census->program, &run) == 0;

	for (size_t i = 0; i < list->n; i++) {
		struct process *process = &list->items[i];

		if (process->pid == census->root)
			process->is = STRANGER;
		settle(list, process, census->root);
	}
	for (size_t i = 0; i < list->n && by_netns; i++) {
		struct process *process = &list->items[i];

		if (process->is == STRANGER && process->pid != census->root &&
		    netns_of(process->pid, &other) == 0 && other.st_ino == run.st_ino &&
		    other.st_dev == run.st_dev)
			process->is = MEMBER;
	}
}

static int get_int(int fd, int option)
{
	socklen_t len = sizeof(int);
	int value = 0;

	getsockopt(fd, SOL_SOCKET, option, &value, &len);
	return value;
}

static uint64_t get_u64(int fd, int option)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t value = 0;

	getsockopt(fd, SOL_SOCKET, option, &value, &len);
	return value;
}

int census_netns_cookie(int fd, uint64_t *ret_cookie)
{
	_cleanup_fd_ int own = -1;
	socklen_t len = sizeof(*ret_cookie);

	if (fd < 0) {
		own = fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
	}
	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret_cookie, &len) < 0 ? -errno
										 : 0;
}

const char *census_tcp_state(unsigned int state)
{
	static const char *const names[] = {
		"-",          "established", "syn-sent",     "syn-received", "fin-wait-1",
		"fin-wait-2", "time-wait",   "closed",       "close-wait",   "last-ack",
		"listen",     "closing",     "syn-received",
	};

	return state < ARRAY_SIZE(names) ? names[state] : "-";
}

static const char *tcp_state(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	return census_tcp_state(info.tcpi_state);
}

static const char *state_of(int fd, const struct graft_info *info)
{
	if (info->protocol == IPPROTO_TCP)
		return tcp_state(fd);
	if (info->type == SOCK_STREAM && get_int(fd, SO_ACCEPTCONN))
		return "listen";
	return info->peer_len ? "connected" : "open";
}

static bool is_of_module(int fd)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT, &value, &len) == 0;
}

/* One that the engine did not note. */
static bool is_elsewhere(const struct census *census, int fd, int family, uint64_t netns)
{
	bool is_inet = family == AF_INET || family == AF_INET6;

	if (census->own_cookie)
		return netns != census->own_cookie && (is_inet || is_of_module(fd));
	return netns == census->host_cookie && is_inet;
}

/* Fills @ret from a copy of the socket. Return: whether it is a graft. */
static bool examine(const struct census *census, int fd, struct entry *ret)
{
	struct graft_info *info = &ret->info;
	struct graft_note note;
	uint64_t netns;

	if (census_netns_cookie(fd, &netns) < 0)
		return false;
	info->cookie = get_u64(fd, SO_COOKIE);
	info->family = get_int(fd, SO_DOMAIN);
	ret->noted = census->grafts && grafts_find(census->grafts, info->cookie, &note);
	if (!ret->noted && !is_elsewhere(census, fd, info->family, netns))
		return false;
	ret->rule = ret->noted ? note.rule : GRAFTS_NO_RULE;
	info->since_ns = ret->noted ? note.since_ns : 0;
	info->type = get_int(fd, SO_TYPE);
	info->protocol = get_int(fd, SO_PROTOCOL);
	info->local_len = sizeof(info->local);
	if (getsockname(fd, (struct sockaddr *)&info->local, &info->local_len) < 0)
		info->local_len = 0;
	info->peer_len = sizeof(info->peer);
	if (getpeername(fd, (struct sockaddr *)&info->peer, &info->peer_len) < 0)
		info->peer_len = 0;
	info->state = state_of(fd, info);
	return true;
}

static void read_comm(pid_t pid, char *ret, size_t size)
{
	char path[64];
	_cleanup_fd_ int fd = -1;
	ssize_t n;

	ret[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = fd_read_all(fd, ret, size - 1);
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

static bool is_socket_link(int dir_fd, const char *name)
{
	static const char prefix[] = "socket:[";
	char link[sizeof(prefix)];
	ssize_t n = readlinkat(dir_fd, name, link, sizeof(link));

	return n >= (ssize_t)sizeof(prefix) - 1 &&
	       !memcmp(link, prefix, sizeof(prefix) - 1);
}

static int list_sockets(const struct census *census, const struct process *process,
			int pidfd, struct entries *list)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	const struct dirent *item;
	char path[64], program[16];

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)process->pid);
	dir = opendir(path);
	if (!dir)
		return 0; /* it is gone, or not ours to look into */
	read_comm(process->pid, program, sizeof(program));
	while ((item = readdir(dir)) && list->n < CENSUS_MAX) {
		int number = as_number(item->d_name);
		_cleanup_fd_ int fd = -1;
		struct entry *entry;

		if (number < 0 || !is_socket_link(dirfd(dir), item->d_name))
			continue;
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
		if (fd < 0)
			continue;
		if (grow((void **)&list->items, list->n, &list->capacity,
			 sizeof(*list->items)) < 0)
			return -ENOMEM;
		entry = &list->items[list->n];
		memset(entry, 0, sizeof(*entry));
		if (!examine(census, fd, entry))
			continue;
		entry->info.pid = process->pid;
		entry->info.fd = number;
		memcpy(entry->info.program, program, sizeof(program));
		list->n++;
	}
	return 0;
}

static int list_grafts(const struct census *census, const struct processes *processes,
		       struct entries *list)
{
	for (size_t i = 0; i < processes->n; i++) {
		const struct process *process = &processes->items[i];
		_cleanup_fd_ int pidfd = -1;
		struct process now;
		int r;

		if (process->is != MEMBER)
			continue;
		pidfd = process_open(process->pid);
		if (pidfd < 0 || read_stat(process->pid, &now) < 0 ||
		    now.start != process->start)
			continue;
		r = list_sockets(census, process, pidfd, list);
		if (r < 0)
			return r;
	}
	return 0;
}

static uint16_t local_port(const struct graft_info *info)
{
	if (info->local.ss_family == AF_INET)
		return ((const struct sockaddr_in *)&info->local)->sin_port;
	if (info->local.ss_family == AF_INET6)
		return ((const struct sockaddr_in6 *)&info->local)->sin6_port;
	return 0;
}

/* Lends the rules of noted TCP listeners to what was accepted from them. */
static int lend_rules(struct entries *list)
{
	_cleanup_free_ uint32_t *by_port = NULL;

	by_port = malloc((UINT16_MAX + 1) * sizeof(*by_port));
	if (!by_port)
		return -ENOMEM;
	memset(by_port, 0xff, (UINT16_MAX + 1) * sizeof(*by_port));
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].noted && !strcmp(list->items[i].info.state, "listen"))
			by_port[local_port(&list->items[i].info)] = list->items[i].rule;
	for (size_t i = 0; i < list->n; i++) {
		struct entry *entry = &list->items[i];

		if (!entry->noted && entry->info.protocol == IPPROTO_TCP &&
		    local_port(&entry->info))
			entry->rule = by_port[local_port(&entry->info)];
	}
	return 0;
}

static int report(const struct census *census, struct entries *list, control_emit *emit,
		  void *emit_context)
{
	char text[256];

	for (size_t i = 0; i < list->n; i++) {
		struct entry *entry = &list->items[i];
		int r;

		if (entry->rule != GRAFTS_NO_RULE && census->rule_text) {
			census->rule_text(census->context, entry->rule, text,
					  sizeof(text));
			entry->info.rule = text;
		} else if (entry->noted || census->own_cookie) {
			entry->info.rule = "-";
		} else {
			entry->info.rule = entry->info.protocol == IPPROTO_TCP &&
							   entry->info.peer_len
						   ? "accepted"
						   : "inherited";
		}
		r = emit(emit_context, &entry->info);
		if (r != 0)
			return r;
	}
	return 0;
}

int census_walk(const struct census *census, control_emit *emit, void *emit_context)
{
	_cleanup_(processes_release) struct processes processes = { 0 };
	_cleanup_(entries_release) struct entries list = { 0 };
	int r = list_processes(&processes);

	if (r < 0)
		return r;
	mark_members(census, &processes);
	r = list_grafts(census, &processes, &list);
	if (r == 0 && list.n)
		r = lend_rules(&list);
	return r < 0 ? r : report(census, &list, emit, emit_context);
}
