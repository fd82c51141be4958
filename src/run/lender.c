/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who has a lent socket has the host's network as our user has it, so who asks is looked
 * at (process_open_peer()):
 *
 *	a process of our own user	as root of a user namespace that he made, too
 *	in our PID namespace		an engine's supervisors are, its containers are
 *					not, even if they are shown the socket
 *
 * A connection is a supervisor's for as long as its container lives. Nothing waits for a
 * client: it asks, takes what it gets, and asks again, or is closed. What is made are the
 * sockets that a supervisor has a use for, and no others.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "broker/path.h"
#include "run/lender.h"
#include "run/settle.h"
#include "stack/kernel/lend.h"

#define BORROWERS_MAX 1024
#define DESCRIPTORS   16 /* for all else */
#define BACKLOG       128

struct lender;

struct borrower {
	struct event_source on_ready;
	struct lender *lender;
	int fd; /* -1: a free slot */
};

struct lender {
	struct event_loop loop;
	struct event_source on_door, on_signal, on_end;
	struct borrower borrowers[BORROWERS_MAX];
	size_t n_places; /* that descriptors suffice for */
	int door;
	bool is_over;
};

/* --- where --- */

int lender_path(char *path, size_t size)
{
	const char *directory = getenv("XDG_RUNTIME_DIR");

	if (!directory || *directory != '/')
		return -ENOENT;
	return snprintf(path, size, "%s/graft/host.sock", directory) >= (int)size
		       ? -ENAMETOOLONG
		       : 0;
}

static int make_directory(const char *path)
{
	_cleanup_free_ char *directory = strdup(path);

	if (!directory)
		return -ENOMEM;
	*strrchr(directory, '/') = '\0';
	return mkdir(directory, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int lender_open(const char *path)
{
	_cleanup_fd_ int fd = -1;
	int r = make_directory(path);

	if (r < 0)
		return r;
	fd = path_socket(path);
	if (fd < 0)
		return fd;
	return listen(fd, BACKLOG) < 0 ? -errno : fd_steal(&fd);
}

/* --- borrowers --- */

static void end(struct borrower *borrower)
{
	event_loop_del(&borrower->lender->loop, borrower->fd, &borrower->on_ready);
	borrower->fd = fd_close(borrower->fd);
}

/* Return: 0 or -errno. */
static int check(const struct lend_request *request)
{
	switch (request->family) {
	case AF_INET:
	case AF_INET6:
	case AF_UNIX:
		return 0;
	case AF_NETLINK:
		return request->protocol == NETLINK_SOCK_DIAG ? 0 : -EPROTONOSUPPORT;
	default:
		return -EAFNOSUPPORT;
	}
}

static void on_ready(struct event_source *source, uint32_t events)
{
	struct borrower *borrower = container_of(source, struct borrower, on_ready);
	struct lend_request request;
	int r = lend_take(borrower->fd, &request);

	(void)events;
	if (r == -EAGAIN)
		return;
	if (r > 0)
		r = lend_give(borrower->fd, &request, check(&request)) < 0 ? -EIO : 1;
	if (r <= 0)
		end(borrower);
}

static bool is_welcome(int fd)
{
	_cleanup_fd_ int process = -1;
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
	    peer.uid != getuid() || peer.pid <= 0)
		return false;
	process = process_open_peer(fd, &peer);
	/* It lives still, so the number was its own all the time. */
	return process >= 0 && process_shares(peer.pid, "pid") == 1 &&
	       process_of(process) == peer.pid;
}

static void on_door(struct event_source *source, uint32_t events)
{
	struct lender *lender = container_of(source, struct lender, on_door);
	_cleanup_fd_ int fd =
		accept4(lender->door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct borrower *borrower = NULL;

	(void)events;
	for (size_t i = 0; i < lender->n_places && !borrower; i++)
		if (lender->borrowers[i].fd < 0)
			borrower = &lender->borrowers[i];
	if (fd < 0)
		return;
	if (!borrower || !is_welcome(fd)) {
		log_limited(LOG_LEVEL_WARNING, "a client was turned away: %s",
			    borrower ? "another user's, or a container's" : "too many");
		return;
	}
	if (event_loop_add(&lender->loop, fd, EPOLLIN, &borrower->on_ready) == 0)
		borrower->fd = fd_steal(&fd);
}

/* --- life --- */

static void on_signal(struct event_source *source, uint32_t events)
{
	(void)events;
	container_of(source, struct lender, on_signal)->is_over = true;
}

static void on_end(struct event_source *source, uint32_t events)
{
	(void)events;
	container_of(source, struct lender, on_end)->is_over = true;
}

static int open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static size_t count_places(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur >= BORROWERS_MAX + DESCRIPTORS)
		return BORROWERS_MAX;
	return limit.rlim_cur > DESCRIPTORS ? limit.rlim_cur - DESCRIPTORS : 1;
}

static int watch(struct lender *lender, int signals, int until)
{
	int r = event_loop_init(&lender->loop);

	for (size_t i = 0; i < BORROWERS_MAX; i++)
		lender->borrowers[i] = (struct borrower){ .on_ready.ready = on_ready,
							  .lender = lender,
							  .fd = -1 };
	lender->on_door.ready = on_door;
	lender->on_signal.ready = on_signal;
	lender->on_end.ready = on_end;
	if (r == 0)
		r = event_loop_add(&lender->loop, lender->door, EPOLLIN,
				   &lender->on_door);
	if (r == 0)
		r = event_loop_add(&lender->loop, signals, EPOLLIN, &lender->on_signal);
	if (r == 0 && until >= 0)
		r = event_loop_add(&lender->loop, until, EPOLLIN, &lender->on_end);
	return r;
}

int lender_serve(int fd, const char *path, int until)
{
	static struct lender lender;
	_cleanup_fd_ int door = fd, signals = open_signals();
	int r = signals < 0 ? signals : 0;

	lender.door = door;
	settle_process();
	settle_privileges(false, false);
	lender.n_places = count_places();
	if (r == 0)
		r = watch(&lender, signals, until);
	while (r >= 0 && !lender.is_over)
		r = event_loop_run_resting(&lender.loop);
	if (path_leads_to(path, door))
		unlink(path);
	return r < 0 ? r : 0;
}
