/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	paths, lock ─> registry from the journal ─> sockets from the store ─> ready ─>
 *turns
 *
 * One process, no threads. A lock in the state directory, which goes with the process
 * however that ends, keeps a second graftd away. Signals arrive as messages: SIGTERM and
 * SIGINT end in good order, SIGHUP reloads.
 *
 * The state directory has the journal, the page, the lock and the holder's socket. What
 * lives in it and in the store is all that a graftd finds when it starts.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/change.h"
#include "broker/client.h"
#include "broker/control.h"
#include "broker/daemon.h"
#include "broker/graftd.h"
#include "broker/journal.h"
#include "broker/keep.h"
#include "broker/notify.h"
#include "broker/page.h"
#include "broker/quota.h"
#include "broker/registry.h"
#include "broker/server.h"
#include "broker/store.h"
#include "stack/stack.h"

struct daemon {
	struct graftd graftd;
	const struct daemon_options *options;
	struct event_source signals;
	struct control control;
	struct notify notify;
	int signal_fd;
	int lock;
	uint64_t started_ns;
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char state[PATH_MAX];
};

static int fail(const char *what, const char *detail, int r)
{
	log_error("%s%s%s: %s", what, detail ? " " : "", detail ? detail : "",
		  strerror(-r));
	return r;
}

static int fill_path(char *path, size_t size, const char *start, const char *rest)
{
	int n = snprintf(path, size, "%s%s", start, rest);

	return n < 0 || n >= (int)size ? -ENAMETOOLONG : 0;
}

static int find_paths(struct daemon *daemon)
{
	const struct daemon_options *options = daemon->options;
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char *slash;
	int r;

	if (options->socket)
		r = fill_path(daemon->socket, sizeof(daemon->socket),
			      strchr(options->socket, '/') ? "" : "./", options->socket);
	else if (getuid() == 0)
		r = fill_path(daemon->socket, sizeof(daemon->socket), BROKER_SOCKET, "");
	else if (runtime)
		r = fill_path(daemon->socket, sizeof(daemon->socket), runtime,
			      "/graft/graftd.sock");
	else
		r = -ENOENT;
	if (r < 0)
		return fail("where to listen: no --socket", NULL, r);
	if (options->state)
		return fill_path(daemon->state, sizeof(daemon->state), options->state,
				 "");
	r = fill_path(daemon->state, sizeof(daemon->state), daemon->socket, "");
	slash = strrchr(daemon->state, '/');
	if (slash && slash > daemon->state)
		*slash = '\0';
	else
		strcpy(daemon->state, slash ? "/" : ".");
	return r;
}

/* The number of who has the lock is in it. */
static int lock_state(struct daemon *daemon)
{
	char text[16] = "";
	int n;

	daemon->lock = openat(daemon->graftd.state, "lock",
			      O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (daemon->lock < 0)
		return fail("cannot make a lock in", daemon->state, -errno);
	if (flock(daemon->lock, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return fail("cannot lock", daemon->state, -errno);
		fd_read_all(daemon->lock, text, sizeof(text) - 1);
		log_error("graftd already runs (pid %d) and keeps its state in %s",
			  atoi(text), daemon->state);
		return -EBUSY;
	}
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(daemon->lock, 0) < 0 ||
	    pwrite(daemon->lock, text, (size_t)n, 0) != n)
		return fail("cannot write the lock in", daemon->state, -errno);
	return 0;
}

/* Makes the directory, but not those above it. */
static int open_state(struct daemon *daemon)
{
	struct stat st;
	int fd;

	if (mkdir(daemon->state, 0755) < 0 && errno != EEXIST)
		return fail("cannot make", daemon->state, -errno);
	fd = open(daemon->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail("cannot open", daemon->state, -errno);
	daemon->graftd.state = fd;
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || st.st_mode & 022)
		return fail("others may write to", daemon->state, -EPERM);
	return lock_state(daemon);
}

static void signal_ready(struct event_source *source, uint32_t events)
{
	struct daemon *daemon = container_of(source, struct daemon, signals);
	struct signalfd_siginfo info;

	while (read(daemon->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			daemon->graftd.wants_reload = true;
		else if (info.ssi_signo != SIGCHLD)
			daemon->graftd.wants_end = true;
	}
}

static int take_signals(struct daemon *daemon)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	daemon->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (daemon->signal_fd < 0)
		return -errno;
	daemon->signals.ready = signal_ready;
	return event_loop_add(&daemon->graftd.loop, daemon->signal_fd, EPOLLIN,
			      &daemon->signals);
}

static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int read_boot(char *boot, size_t size)
{
	_cleanup_fd_ int fd =
		open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -errno : fd_read_all(fd, boot, size - 1);

	if (n < 0)
		return (int)n;
	boot[strcspn(boot, "\n")] = '\0';
	return 0;
}

/* What the last graftd left in the store. */
static struct store_item *take_item(void *context, const char *text, int fd)
{
	struct daemon *daemon = context;
	struct store_name name;

	if (store_parse_name(&name, text) < 0) {
		log_warning("the store has %s, which means nothing here", text);
		return NULL;
	}
	switch (name.kind) {
	case STORE_CONTROL:
		return daemon->control.item.fd < 0 ? &daemon->control.item : NULL;
	case STORE_HELD:
		return keep_restore(&daemon->graftd, &name, fd);
	}
	return NULL;
}

static int open_control(struct daemon *daemon)
{
	struct graftd *graftd = &daemon->graftd;
	int r, fd;

	daemon->control.path = daemon->socket;
	daemon->control.group = daemon->options->group;
	r = control_open(&daemon->control, graftd->store);
	if (r < 0)
		return r;
	/* The store has a copy of its own, and we one to give it again. */
	fd = fcntl(daemon->control.item.fd, F_DUPFD_CLOEXEC, 0);
	r = fd < 0 ? -errno : server_new(&graftd->server, graftd, fd);
	if (r < 0)
		fd_close(fd);
	return r;
}

static int begin(struct daemon *daemon)
{
	struct graftd *graftd = &daemon->graftd;
	int r = event_loop_init(&graftd->loop);

	if (r == 0)
		r = take_signals(daemon);
	if (r == 0)
		r = self_read(&graftd->self);
	if (r == 0)
		r = read_boot(graftd->boot, sizeof(graftd->boot));
	if (r < 0)
		return fail("cannot start", NULL, r);
	r = find_paths(daemon);
	if (r == 0)
		r = open_state(daemon);
	if (r < 0)
		return r;
	graftd->registry = registry_new();
	graftd->quota = quota_new();
	if (!graftd->registry || !graftd->quota)
		return fail("cannot start", NULL, -ENOMEM);
	r = stack_host_new(&graftd->host);
	if (r == 0)
		r = page_new(&graftd->page, graftd->state);
	if (r == 0)
		r = change_restore(graftd);
	if (r < 0)
		return fail("cannot read the state in", daemon->state, r);
	r = store_new(&graftd->store, &graftd->loop, graftd->state, take_item, daemon);
	if (r < 0)
		return fail("cannot keep anything for the next graftd", NULL, r);
	keep_settle(graftd);
	r = open_control(daemon);
	if (r == 0)
		notify_init(&daemon->notify, &graftd->loop);
	return r;
}

static void say_ready(struct daemon *daemon)
{
	double ms = (double)(event_now_ns() - daemon->started_ns) / 1e6;

	notify_ready(registry_n(daemon->graftd.registry));
	if (!daemon->options->foreground)
		return;
	printf("graftd: ready on %s, %zu endpoints, restored in %.1f ms\n",
	       daemon->socket, registry_n(daemon->graftd.registry), ms);
	fflush(stdout);
}

static int turns(struct daemon *daemon)
{
	struct graftd *graftd = &daemon->graftd;

	while (!graftd->wants_end) {
		int r = event_loop_run_once(&graftd->loop, -1);

		if (r < 0)
			return fail("cannot wait", NULL, r);
		server_settle(graftd->server);
	}
	return 0;
}

static void finish(struct daemon *daemon)
{
	struct graftd *graftd = &daemon->graftd;

	if (graftd->wants_end) {
		notify_stopping();
		control_end(&daemon->control, graftd->store);
		store_end(graftd->store);
	}
	notify_deinit(&daemon->notify);
	server_free(graftd->server);
	store_free(graftd->store);
	keep_free_all(graftd);
	fd_close(daemon->control.item.fd);
	journal_free(graftd->journal);
	page_free(graftd->page);
	stack_free(graftd->host);
	registry_free(graftd->registry);
	quota_free(graftd->quota);
	fd_close(daemon->signal_fd);
	event_loop_deinit(&graftd->loop);
	fd_close(graftd->state);
	fd_close(daemon->lock);
}

int daemon_run(const struct daemon_options *options)
{
	struct daemon daemon = {
		.options = options,
		.started_ns = event_now_ns(),
		.signal_fd = -1,
		.lock = -1,
		.control = { .item = { .fd = -1 } },
		.graftd = { .state = -1, .loop = { .epoll_fd = -1 } },
	};
	enum log_level level = LOG_LEVEL_WARNING + options->verbose;
	int r;

	log_init(STDERR_FILENO, level > LOG_LEVEL_DEBUG ? LOG_LEVEL_DEBUG : level,
		 "graftd");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0);
	raise_limits();
	link_init(&daemon.graftd.keeps);
	r = begin(&daemon);
	if (r == 0) {
		say_ready(&daemon);
		r = turns(&daemon);
	}
	finish(&daemon);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
