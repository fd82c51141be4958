/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket a call names, and moving it from one stack to another.
 *
 * Where a socket lives is read from the socket (SO_NETNS_COOKIE), never remembered: a
 * descriptor that was duplicated, inherited, kept over exec or received from another
 * process is as well known as one we just made.
 *
 * Moving replaces the file under a descriptor. It is needed when the stack guessed at
 * socket() was not the right one, or when the stack is AF_UNIX. What the program had
 * set up on the old file goes along: options (carry.c), file flags, a wildcard or
 * explicit binding, every other number of the same process that names the same socket,
 * and the registrations in every epoll instance of that process (carry_epoll.c). What
 * does not: copies in other processes, multicast memberships (the kernel does not tell
 * them), data already sent or received on a datagram socket.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "intercept/notify/engine.h"
#include "intercept/notify/kernel.h"
#include "stack/stack.h"

#define FDINFO_MAX (1024 * 1024)

static int get_int(int fd, int level, int option, int *ret)
{
	socklen_t size = sizeof(*ret);

	return getsockopt(fd, level, option, ret, &size) < 0 ? -errno : 0;
}

static enum policy_proto proto_of(int protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_MPTCP:
		return POLICY_TCP;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return POLICY_UDP;
	default:
		return POLICY_OTHER;
	}
}

static enum place place_of(const struct notify *notify, uint64_t netns)
{
	const struct notify_config *config = &notify->config;
	size_t n = config->endpoint_stacks ? policy_n_endpoints(config->policy) : 0;

	if (netns == config->own->cookie)
		return PLACE_OWN;
	if (netns == config->host->cookie)
		return PLACE_HOST;
	for (size_t i = 0; i < n; i++)
		if (config->endpoint_stacks[i] &&
		    config->endpoint_stacks[i]->cookie == netns)
			return PLACE_HOST;
	return PLACE_OTHER;
}

int subject_open(const struct call *call, uint64_t number, struct subject *ret)
{
	struct subject subject = { .number = (int)(uint32_t)number, .fd = -1 };
	_cleanup_fd_ int fd = -1;
	int r;

	if (subject.number < 0)
		return -EBADF;
	fd = target_get_fd(call, subject.number);
	if (fd < 0)
		return fd;
	r = get_int(fd, SOL_SOCKET, SO_DOMAIN, &subject.domain);
	if (r < 0)
		return r;
	if (subject.domain == AF_INET || subject.domain == AF_INET6) {
		r = get_int(fd, SOL_SOCKET, SO_PROTOCOL, &subject.protocol);
		if (r == 0)
			r = stack_cookie_of(fd, &subject.netns);
		if (r < 0)
			return r;
		subject.proto = proto_of(subject.protocol);
		subject.place = place_of(call->notify, subject.netns);
	}
	subject.fd = fd_steal(&fd);
	*ret = subject;
	return 0;
}

static struct known *known_of(const struct call *call, uint64_t cookie)
{
	return &call->worker->known[cookie % KNOWN_SIZE];
}

void subject_remember(const struct call *call, int fd, int domain, uint64_t netns)
{
	struct subject subject = { .fd = fd };
	uint64_t cookie = subject_cookie(&subject);

	if (cookie)
		*known_of(call, cookie) = (struct known){ cookie, netns, domain };
}

int subject_open_known(const struct call *call, uint64_t number, struct subject *ret)
{
	struct subject subject = { .number = (int)(uint32_t)number, .fd = -1 };
	const struct known *known;

	if (subject.number < 0)
		return -EBADF;
	subject.fd = target_get_fd(call, subject.number);
	if (subject.fd < 0)
		return subject.fd;
	subject.cookie = subject_cookie(&subject);
	known = known_of(call, subject.cookie);
	if (!subject.cookie || known->cookie != subject.cookie) {
		fd_close(subject.fd);
		return subject_open(call, number, ret);
	}
	subject.domain = known->domain;
	subject.protocol = IPPROTO_TCP;
	subject.proto = POLICY_TCP;
	subject.netns = known->netns;
	subject.place = place_of(call->notify, subject.netns);
	*ret = subject;
	return 0;
}

struct stack *subject_stack(const struct notify *notify,
			    const struct policy_verdict *verdict)
{
	const struct notify_config *config = &notify->config;

	switch (verdict->target) {
	case POLICY_OWN:
	case POLICY_DENY:
		return config->own;
	case POLICY_HOST:
		return config->host;
	case POLICY_ENDPOINT:
	case POLICY_FROM:
		if (config->endpoint_stacks &&
		    config->endpoint_stacks[verdict->endpoint->index])
			return config->endpoint_stacks[verdict->endpoint->index];
		return config->host;
	}
	return config->own;
}

bool subject_is_in(const struct subject *subject, const struct stack *stack)
{
	return subject->netns == stack->cookie;
}

bool subject_is_v6only(const struct subject *subject)
{
	int on = 0;

	return subject->domain == AF_INET6 &&
	       get_int(subject->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on) == 0 && on;
}

uint64_t subject_cookie(const struct subject *subject)
{
	uint64_t cookie = subject->cookie;
	socklen_t size = sizeof(cookie);

	if (cookie)
		return cookie;
	if (getsockopt(subject->fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0)
		return 0;
	return cookie;
}

uint16_t subject_local(const struct subject *subject, union address *ret_address,
		       socklen_t *ret_size)
{
	*ret_size = sizeof(ret_address->storage);
	if (getsockname(subject->fd, &ret_address->any, ret_size) < 0)
		return 0;
	if (ret_address->any.sa_family == AF_INET)
		return ntohs(ret_address->v4.sin_port);
	if (ret_address->any.sa_family == AF_INET6)
		return ntohs(ret_address->v6.sin6_port);
	return 0;
}

/* Gives the new socket the old one's local address, or as much of it as the new stack
 * has. */
static void carry_binding(const struct subject *old, int new)
{
	union address local;
	socklen_t size;

	if (subject_local(old, &local, &size) == 0)
		return;
	if (bind(new, &local.any, size) == 0)
		return;
	if (local.any.sa_family == AF_INET)
		local.v4.sin_port = 0;
	else
		local.v6.sin6_port = 0;
	if (bind(new, &local.any, size) == 0)
		return;
	if (local.any.sa_family == AF_INET)
		local.v4.sin_addr.s_addr = htonl(INADDR_ANY);
	else
		local.v6.sin6_addr = in6addr_any;
	if (bind(new, &local.any, size) < 0)
		log_limited(LOG_LEVEL_INFO, "the local address did not move along: %m");
}

static bool has_cloexec(pid_t pid, int number)
{
	char path[64], text[512];
	_cleanup_fd_ int fd = -1;
	const char *flags;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, number);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = fd_read_all(fd, text, sizeof(text) - 1);
	if (n < 0)
		return false;
	text[n] = '\0';
	flags = strstr(text, "flags:");
	return flags && strtoul(flags + strlen("flags:"), NULL, 8) & O_CLOEXEC;
}

static int install(const struct call *call, int fd, int number)
{
	struct seccomp_notif_addfd give = {
		.id = call->id,
		.flags = SECCOMP_ADDFD_FLAG_SETFD,
		.srcfd = (uint32_t)fd,
		.newfd = (uint32_t)number,
		.newfd_flags = has_cloexec(call->pid, number) ? O_CLOEXEC : 0,
	};

	if (ioctl(call->notify->config.listener, SECCOMP_IOCTL_NOTIF_ADDFD, &give) < 0)
		return -errno;
	return 0;
}

static char *read_fdinfo(pid_t pid, int number)
{
	char path[64], *text = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	size_t size = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, number);
	file = fopen(path, "re");
	if (!file)
		return NULL;
	n = getdelim(&text, &size, '\0', file);
	if (n < 0 || n > FDINFO_MAX) {
		free(text);
		return NULL;
	}
	return text;
}

/* One number of the calling process: another name of the old socket, or an epoll
 * instance that may watch it. */
struct sibling {
	int number;
	bool is_epoll;
	int epoll; /* our reference to the instance, while registrations move */
};

/* Looks through the numbers of the calling process. Return: count, or -errno. */
static int find_siblings(const struct call *call, ino_t inode, struct sibling **ret)
{
	struct sibling *found = NULL;
	size_t n = 0, capacity = 0;
	struct dirent *entry;
	char path[64], name[40];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", call->pid);
	snprintf(name, sizeof(name), "socket:[%lu]", (unsigned long)inode);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		char link[64];
		ssize_t size =
			readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		bool is_epoll;

		if (size <= 0)
			continue;
		link[size] = '\0';
		is_epoll = !strcmp(link, "anon_inode:[eventpoll]");
		if (!is_epoll && strcmp(link, name) != 0)
			continue;
		if (n == capacity) {
			struct sibling *more;

			capacity = capacity ? 2 * capacity : 16;
			more = realloc(found, capacity * sizeof(*more));
			if (!more) {
				closedir(dir);
				free(found);
				return -ENOMEM;
			}
			found = more;
		}
		found[n++] = (struct sibling){ atoi(entry->d_name), is_epoll, -1 };
	}
	closedir(dir);
	*ret = found;
	return (int)n;
}

struct registrations {
	const struct call *call;
	struct sibling *siblings;
	int n, old, new;
};

/* Repeats in one epoll instance of the program what it has for the old socket. */
static void move_registrations(const struct registrations *r,
			       const struct sibling *instance)
{
	_cleanup_free_ char *info = read_fdinfo(r->call->pid, instance->number);

	if (!info || !strstr(info, "tfd:"))
		return;
	for (int i = 0; i < r->n; i++)
		if (!r->siblings[i].is_epoll)
			carry_epoll(instance->epoll, info, r->siblings[i].number, r->old,
				    r->new);
}

/* carry_epoll() puts descriptors under numbers of the program's choosing: not in the
 * table that the other threads use. */
static void *move_apart(void *context)
{
	const struct registrations *r = context;

	if (unshare(CLONE_FILES) < 0) {
		log_limited(LOG_LEVEL_WARNING, "epoll registrations stay behind: %m");
		return NULL;
	}
	for (int i = 0; i < r->n; i++)
		if (r->siblings[i].epoll >= 0)
			move_registrations(r, &r->siblings[i]);
	return NULL;
}

static void move_all_registrations(struct registrations *r)
{
	bool any = false;
	pthread_t thread;

	for (int i = 0; i < r->n; i++)
		if (r->siblings[i].is_epoll) {
			r->siblings[i].epoll =
				target_get_fd(r->call, r->siblings[i].number);
			any |= r->siblings[i].epoll >= 0;
		}
	if (any && pthread_create(&thread, NULL, move_apart, r) == 0)
		pthread_join(thread, NULL);
	else if (any)
		log_limited(LOG_LEVEL_WARNING, "epoll registrations stay behind");
	for (int i = 0; i < r->n; i++)
		fd_close(r->siblings[i].epoll);
}

static int replace(struct call *call, struct subject *subject, int new)
{
	_cleanup_free_ struct sibling *siblings = NULL;
	struct stat st;
	int n, r;

	if (fstat(subject->fd, &st) < 0)
		return -errno;
	n = find_siblings(call, st.st_ino, &siblings);
	if (n < 0)
		return n;
	if (!call_is_live(call))
		return -ENOENT;
	r = install(call, new, subject->number);
	if (r < 0)
		return r;
	for (int i = 0; i < n; i++)
		if (!siblings[i].is_epoll && siblings[i].number != subject->number)
			install(call, new, siblings[i].number);
	move_all_registrations(
		&(struct registrations){ call, siblings, n, subject->fd, new });
	return 0;
}

int subject_move(struct call *call, struct subject *subject, struct stack *stack,
		 bool to_unix)
{
	int protocol =
		subject->protocol == IPPROTO_MPTCP ? IPPROTO_TCP : subject->protocol;
	_cleanup_fd_ int new = -1;
	int type, r;

	r = get_int(subject->fd, SOL_SOCKET, SO_TYPE, &type);
	if (r < 0)
		return r;
	new = to_unix ? stack_socket(stack, AF_UNIX, type, 0)
		      : stack_socket(stack, subject->domain, type, protocol);
	if (new < 0)
		return new;
	carry_options(subject->fd, new);
	carry_flags(subject->fd, new);
	if (!to_unix)
		carry_binding(subject, new);
	r = replace(call, subject, new);
	if (r < 0)
		return r;
	atomic_fetch_add_explicit(&call->notify->n_swaps, 1, memory_order_relaxed);
	fd_close(subject->fd);
	subject->fd = fd_steal(&new);
	subject->cookie = 0;
	subject->netns = stack->cookie;
	subject->place = place_of(call->notify, subject->netns);
	return 0;
}
