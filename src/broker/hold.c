/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A server that ends in good order often calls shutdown() on its listener, to wake the
 * threads that wait in accept(). That works on the socket, not on one descriptor of it,
 * so the kept one stops listening too, and must be made to listen again: but only when
 * the server is gone, or has closed it a while ago, for its threads must find it shut
 * down, and a server may pause so. What waited in its queue is lost; the kernel resets
 * it.
 *
 *	listening --shutdown()--> shut --(its user is gone)--> listening
 *
 * The kernel tells of it by EPOLLHUP, and so it does at first of a socket that was never
 * made to listen; that one counts as shut, too. EPOLLRDHUP with it means another thing:
 * the socket was connected, or is an AF_UNIX listener, which cannot be revived. Those
 * stay as they are, and grant_again() asks for a new one.
 *
 * A port that the kernel picked (bind to port 0) is given back by shutdown(), though
 * getsockname() goes on telling it. Then the socket is bound to it again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/address.h"
#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/number.h"
#include "broker/grant.h"
#include "broker/hold.h"

#define NS_PER_MS       1000000ull
#define UNDERWAY_NS     (100 * NS_PER_MS)
#define CLOSED_NS       (50 * NS_PER_MS) /* until its threads have noticed */
#define RECHECK_MIN_NS  NS_PER_MS
#define RECHECK_MAX_NS  (256 * NS_PER_MS)
#define DESCRIPTORS_MAX 65536
#define BACKLOG         4096 /* as net.core.somaxconn; the next server sets its own */
#define STAT_START      22   /* field of /proc/PID/stat, counted from 1 */

struct hold {
	struct event_loop *loop;
	struct event_source source;
	struct event_timer timer; /* in the loop while is_shut */
	int socket;
	ino_t inode;
	uint64_t cookie;
	union address local;
	socklen_t local_size;
	struct hold_user user;
	int number;        /* of its descriptor when last seen, or -1 */
	uint64_t given_ns; /* last */
	uint64_t shut_ns, recheck_ns;
	bool is_shut;
};

/* --- processes --- */

static int open_process(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Return: 0 when there is no such process. */
static uint64_t start_of(int process)
{
	_cleanup_fd_ int fd = openat(process, "stat", O_RDONLY | O_CLOEXEC);
	char text[1024];
	const char *at;
	uint64_t start = 0;
	ssize_t n;

	n = fd < 0 ? -1 : fd_read_all(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strrchr(text, ')'); /* the name before it may hold anything */
	for (int field = 2; at && field < STAT_START; field++)
		at = strchr(at + 1, ' ');
	return at && number_take(&at, 10, &start) ? start : 0;
}

static bool is_socket(int table, const char *name, ino_t inode)
{
	char link[64], want[64];
	ssize_t n = readlinkat(table, name, link, sizeof(link) - 1);

	if (n < 0)
		return false;
	link[n] = '\0';
	snprintf(want, sizeof(want), "socket:[%lu]", (unsigned long)inode);
	return !strcmp(link, want);
}

static bool is_at_number(const struct hold *hold, int table)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", hold->number);
	return hold->number >= 0 && is_socket(table, name, hold->inode);
}

/* Takes @table over. */
static bool scan(struct hold *hold, int table)
{
	struct dirent *entry;
	bool found = false;
	DIR *dir = fdopendir(table);
	int n = 0;

	if (!dir) {
		fd_close(table);
		return false;
	}
	while (!found && (entry = readdir(dir))) {
		found = is_socket(table, entry->d_name, hold->inode) ||
			++n > DESCRIPTORS_MAX;
		if (found)
			hold->number = (int)strtol(entry->d_name, NULL, 10);
	}
	closedir(dir);
	return found;
}

static bool has_socket(struct hold *hold, int process)
{
	int table = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Not for us to see, or not now: better held than shared. */
	if (table < 0)
		return errno != ENOENT && errno != ESRCH;
	if (is_at_number(hold, table)) {
		fd_close(table);
		return true;
	}
	return scan(hold, table);
}

/* Return: a descriptor of the process, or -errno (-ENOENT, -ESRCH: it is gone). */
static int open_user(const struct hold *hold)
{
	_cleanup_fd_ int process = -1;

	if (!hold->user.pid)
		return -ESRCH;
	process = open_process(hold->user.pid);
	if (process < 0)
		return -errno;
	return start_of(process) == hold->user.start ? fd_steal(&process) : -ESRCH;
}

bool hold_is_taken(struct hold *hold, pid_t asker)
{
	_cleanup_fd_ int process = open_user(hold);

	if (process < 0)
		return process != -ENOENT && process != -ESRCH;
	if (has_socket(hold, process))
		return true;
	return asker != hold->user.pid && event_now_ns() - hold->given_ns < UNDERWAY_NS;
}

void hold_note(struct hold *hold, pid_t pid)
{
	_cleanup_fd_ int process = pid > 0 ? open_process(pid) : -1;

	hold->user = (struct hold_user){ 0 };
	hold->number = -1;
	hold->given_ns = event_now_ns();
	if (process >= 0)
		hold->user = (struct hold_user){ pid, start_of(process) };
	if (!hold->user.start)
		hold->user.pid = 0;
}

struct hold_user hold_get_user(const struct hold *hold)
{
	return hold->user;
}

void hold_set_user(struct hold *hold, const struct hold_user *user)
{
	hold->user = *user;
	hold->number = -1;
}

/* --- a listener that was shut down --- */

static bool listens(int socket)
{
	int on = 0;
	socklen_t size = sizeof(on);

	return getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &on, &size) == 0 && on;
}

static bool is_shut_down(const struct hold *hold)
{
	struct pollfd poll_fd = { .fd = hold->socket, .events = POLLRDHUP };

	return !listens(hold->socket) && poll(&poll_fd, 1, 0) == 1 &&
	       poll_fd.revents & POLLHUP && !(poll_fd.revents & POLLRDHUP);
}

/* EINVAL: it has its port still. */
static int listen_again(struct hold *hold)
{
	if (address_is_inet(&hold->local) &&
	    bind(hold->socket, &hold->local.any, hold->local_size) < 0 && errno != EINVAL)
		return -errno;
	return listen(hold->socket, BACKLOG) < 0 ? -errno : 0;
}

static void end_shut(struct hold *hold)
{
	if (hold->is_shut)
		event_loop_del_timer(hold->loop, &hold->timer);
	hold->is_shut = false;
}

/* Is nobody left who is to find it shut? */
static bool is_left(struct hold *hold, uint64_t now_ns)
{
	_cleanup_fd_ int process = open_user(hold);

	if (process < 0)
		return process == -ENOENT || process == -ESRCH;
	return now_ns - hold->shut_ns >= CLOSED_NS && !hold_is_taken(hold, 0);
}

static void revive(struct hold *hold)
{
	int r = is_shut_down(hold) ? listen_again(hold) : 0;

	end_shut(hold);
	if (r < 0)
		log_limited(LOG_LEVEL_WARNING, "a held socket does not listen again: %s",
			    strerror(-r));
}

static void recheck(struct event_timer *timer, uint64_t now_ns)
{
	struct hold *hold = container_of(timer, struct hold, timer);

	if (!is_shut_down(hold) || is_left(hold, now_ns)) {
		revive(hold);
		return;
	}
	timer->deadline_ns = now_ns + hold->recheck_ns;
	if (hold->recheck_ns < RECHECK_MAX_NS)
		hold->recheck_ns *= 2;
}

static void on_hang_up(struct event_source *source, uint32_t events)
{
	struct hold *hold = container_of(source, struct hold, source);

	if (hold->is_shut || !is_shut_down(hold))
		return;
	hold->is_shut = true;
	hold->shut_ns = event_now_ns();
	hold->recheck_ns = RECHECK_MIN_NS;
	hold->timer.deadline_ns = hold->shut_ns + RECHECK_MIN_NS;
	event_loop_add_timer(hold->loop, &hold->timer);
}

/* --- life --- */

static int describe(struct hold *hold, int socket)
{
	socklen_t size = sizeof(hold->cookie);
	struct stat st;

	hold->local_size = sizeof(hold->local);
	if (fstat(socket, &st) < 0 ||
	    getsockopt(socket, SOL_SOCKET, SO_COOKIE, &hold->cookie, &size) < 0 ||
	    getsockname(socket, &hold->local.any, &hold->local_size) < 0)
		return -errno;
	hold->inode = st.st_ino;
	return 0;
}

int hold_new(struct hold **ret, struct event_loop *loop, int socket)
{
	struct hold *hold = calloc(1, sizeof(*hold));
	int r;

	if (!hold)
		return -ENOMEM;
	hold->loop = loop;
	hold->source.ready = on_hang_up;
	hold->timer.expired = recheck;
	hold->number = -1;
	r = describe(hold, socket);
	if (r == 0)
		r = event_loop_add(loop, socket, EPOLLET, &hold->source);
	if (r < 0) {
		free(hold);
		return r;
	}
	hold->socket = socket;
	*ret = hold;
	return 0;
}

struct hold *hold_free(struct hold *hold)
{
	if (!hold)
		return NULL;
	end_shut(hold);
	event_loop_del(hold->loop, hold->socket, &hold->source);
	fd_close(hold->socket);
	free(hold);
	return NULL;
}

int hold_socket(const struct hold *hold)
{
	return hold->socket;
}

uint64_t hold_cookie(const struct hold *hold)
{
	return hold->cookie;
}

int hold_grant(struct hold *hold, const struct grant_request *request,
	       struct wire_grant *ret)
{
	int fd;

	if (hold->is_shut && is_left(hold, event_now_ns()))
		revive(hold);
	fd = grant_again(request, hold->socket, ret);
	if (fd >= 0)
		ret->flags |= WIRE_F_HELD;
	return fd;
}
