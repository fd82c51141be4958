/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * Under systemd (NOTIFY_SOCKET is set) the service manager keeps descriptors by name and
 * gives them to the next process of the service, together with those of a socket unit. A
 * listening socket that was shut down polls as hung up, which systemd takes for the end
 * of it: so it is told not to look (FDPOLL).
 *
 * Else a holder is looked for at "holder" in the state directory, and one is started when
 * there is none. Should it end while graftd lives, a new one is started and filled.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "broker/holder.h"
#include "broker/store.h"

#define SOCKET_NAME "holder"
#define PATIENCE_S  2
#define PAUSE_NS    1000000000ull

struct store {
	struct event_source source;
	struct event_timer timer; /* to start a holder */
	struct event_loop *loop;
	const struct store_ops *ops;
	void *context;
	int state;
	uint64_t attached_ns;
	int via; /* to the holder; -1: systemd keeps */
	bool is_systemd;
};

/* A path that fits into an address however long that of the directory is. */
static void make_address(const struct store *store, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/" SOCKET_NAME,
		 store->state);
}

static bool is_ours(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       peer.uid == geteuid();
}

static int connect_holder(const struct store *store)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un address;

	make_address(store, &address);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return is_ours(fd) ? fd_steal(&fd) : -EPERM;
}

static int start_holder(const struct store *store)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	mode_t mask;
	int r;

	make_address(store, &address);
	if (fd < 0)
		return -errno;
	unlinkat(store->state, SOCKET_NAME, 0);
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
			    listen(fd, 4) < 0
		    ? -errno
		    : 0;
	umask(mask);
	return r < 0 ? r : holder_start(fd);
}

static int send_op(struct store *store, enum holder_op op, const char *name, int fd)
{
	struct holder_message message = { .magic = HOLDER_MAGIC, .op = op };

	if (snprintf(message.name, sizeof(message.name), "%s", name) >=
	    (int)sizeof(message.name))
		return -ENAMETOOLONG;
	return fd_send(store->via, &message, sizeof(message), &fd, fd >= 0);
}

static int take_all(struct store *store)
{
	int r = send_op(store, HOLDER_GIVE, "", -1);

	while (r == 0) {
		struct holder_message message;
		size_t n_fds = 0;
		int fd = -1;
		ssize_t n =
			fd_receive(store->via, &message, sizeof(message), &fd, 1, &n_fds);

		if (n != sizeof(message) || message.magic != HOLDER_MAGIC) {
			fd_close(fd);
			return n < 0 ? (int)n : -EPROTO;
		}
		message.name[sizeof(message.name) - 1] = '\0';
		if (message.op == HOLDER_DONE)
			return 0;
		if (fd >= 0)
			store->ops->found(store->context, message.name, fd);
	}
	return r;
}

static int attach(struct store *store)
{
	int r = connect_holder(store);

	if (r == -ENOENT || r == -ECONNREFUSED) {
		r = start_holder(store);
		if (r == 0)
			r = connect_holder(store);
	}
	if (r < 0)
		return r;
	store->via = r;
	store->attached_ns = event_now_ns();
	r = take_all(store);
	if (r == 0)
		r = event_loop_add(store->loop, store->via, EPOLLRDHUP, &store->source);
	if (r < 0)
		store->via = fd_close(store->via);
	return r;
}

static void detach(struct store *store)
{
	if (store->via < 0)
		return;
	event_loop_del(store->loop, store->via, &store->source);
	store->via = fd_close(store->via);
}

static void start_again(struct event_timer *timer, uint64_t now_ns)
{
	struct store *store = container_of(timer, struct store, timer);
	int r = attach(store);

	if (r == 0) {
		store->ops->lost(store->context);
		return;
	}
	log_limited(LOG_LEVEL_ERROR, "cannot start a process to keep our sockets: %s",
		    strerror(-r));
	store->timer.deadline_ns = now_ns + PAUSE_NS;
}

/* One that ends as soon as it was started is not started again at once. */
static void holder_gone(struct event_source *source, uint32_t events)
{
	struct store *store = container_of(source, struct store, source);

	log_warning("the process that keeps our sockets is gone: starting another");
	detach(store);
	store->timer.deadline_ns = store->attached_ns + PAUSE_NS;
}

/* Those of a socket unit and of the store alike. */
static int take_systemd(struct store *store)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);

	for (int i = 0; i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		fcntl(fd, F_SETFD, FD_CLOEXEC);
		store->ops->found(store->context, names[i], fd);
		free(names[i]);
	}
	free(names);
	return n < 0 ? n : 0;
}

int store_new(struct store **ret, struct event_loop *loop, int state,
	      const struct store_ops *ops, void *context)
{
	struct store *store = calloc(1, sizeof(*store));
	int r;

	if (!store)
		return -ENOMEM;
	store->source.ready = holder_gone;
	store->timer.expired = start_again;
	store->timer.deadline_ns = EVENT_NEVER;
	store->loop = loop;
	store->ops = ops;
	store->context = context;
	store->state = state;
	store->via = -1;
	store->is_systemd = getenv("NOTIFY_SOCKET") != NULL;
	r = take_systemd(store);
	if (r == 0 && !store->is_systemd)
		r = attach(store);
	if (r < 0) {
		free(store);
		return r;
	}
	event_loop_add_timer(loop, &store->timer);
	*ret = store;
	return 0;
}

struct store *store_free(struct store *store, bool keep)
{
	if (!store)
		return NULL;
	if (!keep && store->via >= 0) {
		send_op(store, HOLDER_END, "", -1);
		unlinkat(store->state, SOCKET_NAME, 0);
	}
	detach(store);
	event_loop_del_timer(store->loop, &store->timer);
	free(store);
	return NULL;
}

int store_put(struct store *store, const char *name, int fd)
{
	char state[HOLDER_NAME_MAX + 64];
	int r;

	if (store->via >= 0)
		return send_op(store, HOLDER_PUT, name, fd);
	if (!store->is_systemd)
		return -ENOTCONN;
	snprintf(state, sizeof(state), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	r = sd_pid_notify_with_fds(0, 0, state, &fd, 1);
	return r > 0 ? 0 : r < 0 ? r : -ENOTCONN;
}

void store_drop(struct store *store, const char *name)
{
	if (store->via >= 0)
		send_op(store, HOLDER_DROP, name, -1);
	else if (store->is_systemd)
		sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}
