/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets made ahead of need, by kind: one queue for each {op, name, family, type,
 * protocol}. Taking one is a recvmsg() and wakes nobody; the queue is shared with forked
 * children.
 *
 * The first socket of a kind that could be asked for by itself is not worth a queue,
 * which has the broker make a good many at once: many a program never wants a second. A
 * queue that is empty is waited for by who has no other way, and not for long. One that
 * the broker refused is asked for again after a while, for rules change.
 *
 *	FREE -> BUSY -> READY		key and slot of an entry never change then
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/preload/broker.h"
#include "intercept/preload/own.h"
#include "stack/stack.h"

#define SUPPLIES     (OWN_MAX - OWN_SUPPLIES)
#define WANTED_FIRST 1  /* this many go without */
#define REFUSED_SKIP 64 /* and this many after a refusal */
#define LOOK_EVERY   16 /* takes: is the descriptor still ours? */
#define PATIENCE_MS  20

enum { FREE, BUSY, READY };

static struct entry {
	atomic_int state;
	atomic_int skip;  /* times to go without asking for a supply */
	atomic_int hurry; /* times to go without waiting for more */
	atomic_uint n_taken;
	_Atomic uint64_t netns;
	struct wire_ask key; /* without address and flags */
} entries[SUPPLIES];

static bool is_same(const struct wire_ask *a, const struct wire_ask *b)
{
	return a->op == b->op && a->family == b->family && a->type == b->type &&
	       a->protocol == b->protocol && !strcmp(a->name, b->name);
}

static void fill_key(struct entry *entry, const struct wire_ask *ask)
{
	entry->key = *ask;
	entry->key.flags = 0;
	memset(&entry->key.address, 0, sizeof(entry->key.address));
	atomic_store(&entry->skip, WANTED_FIRST);
	atomic_store_explicit(&entry->state, READY, memory_order_release);
}

/* Return: the entry for sockets like @ask's, or NULL when there is no room. */
static struct entry *entry_of(const struct wire_ask *ask)
{
	for (size_t i = 0; i < SUPPLIES; i++) {
		struct entry *entry = &entries[i];
		int state = atomic_load_explicit(&entry->state, memory_order_acquire);

		if (state == READY && is_same(&entry->key, ask))
			return entry;
		if (state == FREE &&
		    atomic_compare_exchange_strong(&entry->state, &state, BUSY)) {
			fill_key(entry, ask);
			return entry;
		}
	}
	return NULL;
}

static unsigned int slot_of(const struct entry *entry)
{
	return OWN_SUPPLIES + (unsigned int)(entry - entries);
}

/* Return: the descriptor to take from, or -errno. */
static int open_supply(struct entry *entry, bool at_once)
{
	int pair[2], r, skip = atomic_load(&entry->skip);

	if (skip > (at_once ? WANTED_FIRST : 0)) {
		atomic_store(&entry->skip, skip - 1);
		return -EAGAIN;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	r = channel_ask_supply(&entry->key, pair[1]);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		atomic_store(&entry->skip, REFUSED_SKIP);
		return r;
	}
	return own_put(slot_of(entry), pair[0]);
}

/* Return: a socket; -EAGAIN: there is none now; -ECONNRESET: nobody sends any more. */
static int take(int from, int flags)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr head = { .msg_iov = &iov,
			       .msg_iovlen = 1,
			       .msg_control = &control,
			       .msg_controllen = sizeof(control) };
	ssize_t n;
	int fd;

	n = recvmsg(from, &head,
		    MSG_DONTWAIT | (flags & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n <= 0)
		return -ECONNRESET;
	/* Without a free number the socket is lost, and the program hears of it when it
	 * makes its own. */
	if (head.msg_controllen < CMSG_LEN(sizeof(int)) ||
	    control.head.cmsg_type != SCM_RIGHTS)
		return -EAGAIN;
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	return fd;
}

/* The broker is at it, or in trouble: then it is left alone for a while. */
static bool wait_for_more(struct entry *entry, int from)
{
	struct pollfd waits = { .fd = from, .events = POLLIN };

	if (atomic_load(&entry->hurry) > 0) {
		atomic_fetch_sub(&entry->hurry, 1);
		return false;
	}
	if (poll(&waits, 1, PATIENCE_MS) > 0)
		return true;
	atomic_store(&entry->hurry, REFUSED_SKIP);
	return false;
}

static int take_from(struct entry *entry, int flags, bool at_once)
{
	bool look = atomic_fetch_add_explicit(&entry->n_taken, 1, memory_order_relaxed) %
			    LOOK_EVERY ==
		    0;
	int from = look ? own_get(slot_of(entry)) : own_guess(slot_of(entry)), fd;

	if (from < 0)
		from = open_supply(entry, at_once);
	if (from < 0)
		return -EAGAIN;
	fd = take(from, flags);
	if (fd == -EAGAIN && at_once && wait_for_more(entry, from))
		fd = take(from, flags);
	if (fd != -ECONNRESET)
		return fd;
	own_drop(slot_of(entry), from);
	from = open_supply(entry, at_once);
	return from < 0 ? -EAGAIN : take(from, flags);
}

static int learn_netns(struct entry *entry, int fd, uint64_t *ret_netns)
{
	uint64_t netns = atomic_load_explicit(&entry->netns, memory_order_relaxed);

	if (!netns) {
		if (stack_cookie_of(fd, &netns) < 0)
			return -EAGAIN;
		atomic_store(&entry->netns, netns);
	}
	*ret_netns = netns;
	return 0;
}

int supply_take(const struct wire_ask *ask, int flags, bool at_once, uint64_t *ret_netns)
{
	struct entry *entry = entry_of(ask);
	_cleanup_fd_ int fd = -1;
	int on = 1;

	if (!entry)
		return -EAGAIN;
	fd = take_from(entry, flags, at_once);
	if (fd < 0)
		return -EAGAIN;
	if (learn_netns(entry, fd, ret_netns) < 0)
		return -EAGAIN;
	if (flags & SOCK_NONBLOCK && ioctl(fd, FIONBIO, &on) < 0)
		return -EAGAIN;
	return fd_steal(&fd);
}
