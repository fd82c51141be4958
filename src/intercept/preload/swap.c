/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replacing the socket under a descriptor.
 *
 * What the program had set up on the old one goes along: options, file flags, every other
 * number of this process that names it, and the registrations in every epoll instance of
 * this process. What does not: copies in other processes, multicast memberships (the
 * kernel does not tell them), data already sent or received on a datagram socket.
 *
 * Usually there is nothing to look for, because the record of the socket (known.h) says
 * so. Otherwise /proc tells; where it is not mounted, only the number that the call names
 * is served.
 *
 * An epoll instance keys a registration by the open file and the number it was added by.
 * So registrations are read and deleted while the old socket is still under its number,
 * and made again when the new one is there and on its way:
 *
 *	DEL (old)  dup3(new, number)  connect() or bind()  ADD (new)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/number.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/hijack.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/unix_options.h"
#include "stack/carry.h"

#define FD_DIR    "/proc/thread-self/fd"
#define LINE_SIZE 256
#define COPIES    64

/* The descriptors of this process that have to do with a socket. */
struct related {
	unsigned int n_copies, n_epolls;
	int copies[COPIES]; /* other numbers of the socket */
	int epolls[COPIES]; /* epoll instances, of whatever */
};

struct linux_dirent64 {
	uint64_t inode;
	int64_t offset;
	unsigned short size;
	unsigned char type;
	char name[];
};

static void relate(struct related *related, int dir, const char *name,
		   const char *socket_link, int number)
{
	char link[64];
	ssize_t size = readlinkat(dir, name, link, sizeof(link) - 1);
	int fd = (int)strtol(name, NULL, 10);

	if (size <= 0)
		return;
	link[size] = '\0';
	if (!strcmp(link, "anon_inode:[eventpoll]")) {
		if (related->n_epolls < COPIES)
			related->epolls[related->n_epolls++] = fd;
	} else if (fd != number && !strcmp(link, socket_link)) {
		if (related->n_copies < COPIES)
			related->copies[related->n_copies++] = fd;
	}
}

/* Not with opendir(), which allocates memory. */
static void find_related(int number, ino_t inode, struct related *related)
{
	int dir = open(FD_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct linux_dirent64) char buffer[2048];
	char socket_link[40];
	ssize_t n;

	if (dir < 0)
		return;
	snprintf(socket_link, sizeof(socket_link), "socket:[%lu]", (unsigned long)inode);
	while ((n = syscall(SYS_getdents64, dir, buffer, sizeof(buffer))) > 0)
		for (ssize_t at = 0; at < n;) {
			struct linux_dirent64 *entry = (void *)(buffer + at);

			if (entry->name[0] != '.')
				relate(related, dir, entry->name, socket_link, number);
			at += entry->size;
		}
	close(dir);
}

/* "tfd:        5 events:       19 data: 7f00deadbeef  pos:0 ino:1a2b sdev:8" */
static bool take_registration(const char *line, ino_t inode, int *ret_number,
			      struct epoll_event *ret)
{
	uint64_t number, events, data, position, there;

	if (!number_skip_word(&line, "tfd:") || !number_take(&line, 10, &number) ||
	    !number_skip_word(&line, "events:") || !number_take(&line, 16, &events) ||
	    !number_skip_word(&line, "data:") || !number_take(&line, 16, &data) ||
	    !number_skip_word(&line, "pos:") || !number_take(&line, 10, &position) ||
	    !number_skip_word(&line, "ino:") || !number_take(&line, 16, &there) ||
	    there != inode)
		return false;
	*ret_number = (int)number;
	ret->events = (uint32_t)events;
	ret->data.u64 = data;
	return true;
}

static void take_line(const char *line, int epoll, ino_t inode, struct moving *moving)
{
	struct epoll_event event;
	int number;

	if (strncmp(line, "tfd:", 4) != 0 || moving->n == MOVES_MAX ||
	    !take_registration(line, inode, &number, &event))
		return;
	if (epoll_ctl(epoll, EPOLL_CTL_DEL, number, &event) < 0)
		return;
	moving->moves[moving->n].epoll = epoll;
	moving->moves[moving->n].number = number;
	moving->moves[moving->n++].event = event;
}

/* Goes through the instance's fdinfo, a line at a time. */
static void unregister(int epoll, ino_t inode, struct moving *moving)
{
	char path[64], text[4096 + 1];
	size_t size = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", epoll);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	while ((n = read(fd, text + size, sizeof(text) - 1 - size)) > 0) {
		char *line = text, *end;

		size += (size_t)n;
		text[size] = '\0';
		for (; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			take_line(line, epoll, inode, moving);
		}
		size -= (size_t)(line - text);
		memmove(text, line, size);
	}
	close(fd);
}

static void put(int new, int number)
{
	int flags = fcntl(number, F_GETFD);

	known_forget(number);
	if (flags >= 0)
		dup3(new, number, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
}

/* Every other number and every registration of the old socket. */
static void put_elsewhere(const struct subject *subject, int new, struct moving *moving)
{
	struct related related = { 0 };
	struct stat st;

	if (fstat(subject->number, &st) < 0)
		return;
	find_related(subject->number, st.st_ino, &related);
	for (unsigned int i = 0; i < related.n_epolls; i++)
		unregister(related.epolls[i], st.st_ino, moving);
	for (unsigned int i = 0; i < related.n_copies; i++)
		if (related.copies[i] != new)
			put(new, related.copies[i]);
}

static bool may_have_options(const struct subject *subject)
{
	const struct known *known = &subject->known;

	return !subject->is_known || known->marks & KNOWN_OPTION || known->n_options;
}

static void carry(const struct subject *subject, int from, int new)
{
	const struct known *known = &subject->known;

	if (!subject->is_known || known->marks & KNOWN_OPTION) {
		carry_options(from, new);
		return;
	}
	for (int i = 0; i < known->n_options; i++)
		if (!carry_one(known->options[i].level, known->options[i].name, from,
			       new)) {
			carry_options(from, new);
			return;
		}
}

void swap_carry(const struct subject *subject, int new)
{
	carry_flags_to_new(subject->number, new);
	carry(subject, subject->number, new);
}

static void remember(struct subject *subject, uint64_t netns, bool is_unix)
{
	struct known known = { 0 };

	if (subject->is_known)
		known = subject->known;
	else
		known.marks = KNOWN_COPIED | KNOWN_WATCHED | KNOWN_OPTION;
	if (is_unix)
		subject->protocol = 0;
	else if (subject->is_unix || subject->protocol == IPPROTO_MPTCP)
		subject->protocol = kernel_option(subject->number, SO_PROTOCOL, 0);
	known.cookie = kernel_cookie(subject->number, SO_COOKIE);
	known.netns = netns;
	known.domain = is_unix ? AF_UNIX : subject->domain;
	known.type = subject->type;
	known.protocol = subject->protocol;
	known_add(subject->number, &known);
	subject->known = known;
	subject->is_known = true;
	subject->cookie = known.cookie;
	subject->is_unix = is_unix;
	subject->netns = netns;
	subject->place = subject_place(netns);
}

void swap_remember(struct subject *subject, int domain, uint64_t netns)
{
	/* Another one than before where the program named an endpoint. */
	if (domain != AF_UNIX)
		subject->domain = domain;
	remember(subject, netns, domain == AF_UNIX);
}

/* What other threads set on the old socket while the broker was at it. */
static void carry_late(struct subject *subject, int old)
{
	struct known now;

	if (!known_find(subject->number, subject->cookie, &now) ||
	    now.changes == subject->known.changes)
		return;
	subject->known = now;
	carry_flags(old, subject->number);
	carry(subject, old, subject->number);
}

int swap(struct subject *subject, int new, int domain, uint64_t netns,
	 enum swap_carries carries, struct moving *moving)
{
	const unsigned int spread = KNOWN_COPIED | KNOWN_WATCHED;
	bool is_unix = domain == AF_UNIX;
	int flags = fcntl(subject->number, F_GETFD);
	uint64_t cookie = subject->cookie;
	int old = -1;

	if (flags < 0) {
		close(new);
		return -EBADF;
	}
	if (carries == SWAP_OPTIONS)
		swap_carry(subject, new);
	if (is_unix && !subject->is_unix && may_have_options(subject))
		unix_options_carry(subject->number, new);
	if (!subject->is_known || subject->known.marks & spread)
		put_elsewhere(subject, new, moving);
	if (carries == SWAP_NOTHING && subject->is_known)
		old = fcntl(subject->number, F_DUPFD_CLOEXEC, 0);
	if (dup3(new, subject->number, flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0) {
		flags = -errno;
		fd_close(old);
		close(new);
		return flags;
	}
	close(new);
	if (old >= 0)
		carry_late(subject, old);
	fd_close(old);
	swap_remember(subject, domain, netns);
	graft_follows(subject->number, cookie, subject->cookie);
	return 0;
}

void swap_finish(struct moving *moving)
{
	for (unsigned int i = 0; i < moving->n; i++)
		epoll_ctl(moving->moves[i].epoll, EPOLL_CTL_ADD, moving->moves[i].number,
			  &moving->moves[i].event);
	moving->n = 0;
}
