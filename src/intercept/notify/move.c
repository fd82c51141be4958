/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moving a socket from one stack to another: replacing the file under a descriptor.
 *
 * It is needed when the stack guessed at socket() was not the right one, or when the
 * stack is AF_UNIX. What the program had set up on the old file goes along: options
 * (carry.c), file flags, a binding as far as the rules allow it, every other number of
 * the same process that names the same socket, and the registrations in every epoll
 * instance of that process (carry_epoll.c). What does not: copies in other processes,
 * multicast memberships (the kernel does not tell them), data already sent or received
 * on a datagram socket.
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

/*
 * Gives the new socket the old one's local address. In the program's own stack that is
 * as much of it as there is. Anywhere else an address must come from a rule for it, else
 * moving would be a way round the rules on bind; without one, any port will do.
 */
static void carry_binding(struct call *call, const struct subject *old, int new,
			  const struct stack *stack)
{
	struct policy_verdict verdict;
	union address local;
	socklen_t size;

	if (subject_local(old, &local, &size) == 0)
		return;
	if (stack == call->notify->config.own) {
		if (bind(new, &local.any, size) == 0)
			return;
	} else {
		judge(call, old, POLICY_BIND, &local, &verdict);
		if (verdict.target != POLICY_OWN && verdict.target != POLICY_DENY &&
		    !is_named(&verdict) &&
		    verdict.address.ss_family == local.any.sa_family &&
		    subject_stack(call->notify, &verdict) == stack &&
		    bind(new, (const struct sockaddr *)&verdict.address,
			 verdict.address_len) == 0)
			return;
	}
	/* A TCP socket gets its port when it connects. */
	if (old->proto == POLICY_TCP)
		return;
	address_set_port(&local, 0);
	address_set_wildcard(&local);
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

	if (ioctl(call_listener(call), SECCOMP_IOCTL_NOTIF_ADDFD, &give) < 0)
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
		found[n++] = (struct sibling){ (int)strtol(entry->d_name, NULL, 10),
					       is_epoll, -1 };
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
	/* The table outlives pthread_join() by a moment, and its copies would keep the
	 * program's sockets open. */
	close_range(3, ~0U, 0);
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
	if (n < 0 || !siblings)
		return n < 0 ? n : -EBADF;
	if (!call_is_live(call))
		return -ENOENT;
	r = install(call, new, subject->number);
	if (r < 0)
		return r;
	for (int i = 0; i < n; i++)
		if (!siblings[i].is_epoll && siblings[i].number != subject->number)
			install(call, new, siblings[i].number);
	call->moving =
		(struct moving){ steal_pointer(siblings), n, fd_steal(&subject->fd) };
	return 0;
}

void subject_move_finish(struct call *call, const struct subject *subject)
{
	struct moving *moving = &call->moving;

	if (!moving->siblings)
		return;
	move_all_registrations(&(struct registrations){
		call, moving->siblings, moving->n_siblings, moving->old, subject->fd });
	fd_close(moving->old);
	free(moving->siblings);
	*moving = (struct moving){ 0 };
}

int subject_replace(struct call *call, struct subject *subject, int new)
{
	uint64_t netns;
	int r = stack_cookie_of(new, &netns);

	if (r < 0)
		return r;
	carry_flags(subject->fd, new);
	r = replace(call, subject, new);
	if (r < 0)
		return r;
	atomic_fetch_add_explicit(&call->notify->n_swaps, 1, memory_order_relaxed);
	subject->fd = new;
	subject->cookie = 0;
	subject->netns = netns;
	subject->place = subject_place(call->notify, netns);
	return 0;
}

int subject_move(struct call *call, struct subject *subject, struct stack *stack,
		 bool to_unix)
{
	int protocol =
		subject->protocol == IPPROTO_MPTCP ? IPPROTO_TCP : subject->protocol;
	_cleanup_fd_ int new = -1;
	socklen_t size;
	int type, r;

	size = sizeof(type);
	if (getsockopt(subject->fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return -errno;
	new = to_unix ? stack_socket(stack, AF_UNIX, type, 0)
		      : stack_socket(stack, subject->domain, type, protocol);
	if (new < 0)
		return new;
	carry_options(subject->fd, new);
	if (!to_unix)
		carry_binding(call, subject, new, stack);
	r = subject_replace(call, subject, new);
	if (r == 0)
		fd_steal(&new);
	return r;
}
