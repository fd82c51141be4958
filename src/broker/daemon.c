/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	home, lock ─> store ─> registry, held sockets ─> configuration ─> control socket
 *	─> ready ─> turns ─> end
 *
 * One process, no threads. A turn is: wait, act on what came, write the journal, answer.
 * Signals arrive as messages: SIGTERM and SIGINT end in good order, SIGHUP reloads.
 *
 * A graftd that is killed leaves its journal in the state directory, and its descriptors
 * in the store, the control socket among them: clients that come before the next one is
 * there wait in its backlog.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/change.h"
#include "broker/conf.h"
#include "broker/daemon.h"
#include "broker/departed.h"
#include "broker/exporter.h"
#include "broker/graftd.h"
#include "broker/home.h"
#include "broker/journal.h"
#include "broker/metrics.h"
#include "broker/notify.h"
#include "broker/page.h"
#include "broker/places.h"
#include "broker/privileges.h"
#include "broker/quota.h"
#include "broker/registry.h"
#include "broker/reload.h"
#include "broker/restore.h"
#include "broker/server.h"
#include "broker/store.h"
#include "broker/use.h"
#include "stack/stack.h"
#include "wire/places.h"

#define CONF_PATH "/etc/graft/graftd.conf"

struct daemon {
	struct graftd graftd;
	const struct daemon_options *options;
	struct home home;
	struct restore_kept kept;
	struct event_source signals;
	struct notify notify;
	int signal_fd;
	uint64_t started_ns;
	int control;   /* as it was found, until it is served */
	bool is_given; /* it, by whoever started us, who looks after its path */
};

static int fail(const char *what, int r)
{
	log_error("%s: %s", what, strerror(-r));
	return r;
}

/* --- signals ---------------------------------------------------------------------- */

static void signal_ready(struct event_source *source, uint32_t events)
{
	struct daemon *daemon = container_of(source, struct daemon, signals);
	struct signalfd_siginfo info;

	while (read(daemon->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			daemon->graftd.wants_reload = true;
		else
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

/* --- start ------------------------------------------------------------------------ */

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

/* What needs nothing of the past. */
static int make_parts(struct daemon *daemon)
{
	struct graftd *graftd = &daemon->graftd;
	int r = event_loop_init(&graftd->loop);

	if (r == 0)
		r = take_signals(daemon);
	if (r == 0)
		r = self_read(&graftd->self);
	if (r == 0)
		r = read_boot(graftd->boot, sizeof(graftd->boot));
	if (r == 0)
		r = stack_host_new(&graftd->host);
	graftd->registry = registry_new();
	graftd->quota = quota_new();
	graftd->metrics = metrics_new();
	graftd->places = places_new(PLACES_PINS);
	if (!graftd->registry || !graftd->quota || !graftd->metrics || !graftd->places)
		r = -ENOMEM;
	return r < 0 ? fail("cannot start", r) : 0;
}

static void found(void *context, const char *name, int fd)
{
	struct daemon *daemon = context;

	restore_found(&daemon->kept, name, fd);
}

static void put_control(struct daemon *daemon)
{
	struct graftd *graftd = &daemon->graftd;
	int r = 0;

	/* What a socket unit made stays with systemd anyway. */
	if (!daemon->is_given || !store_is_systemd(graftd->store))
		r = store_put(graftd->store, STORE_CONTROL, server_fd(graftd->server));
	if (r < 0)
		log_warning("clients will not wait for a graftd that was killed: %s",
			    strerror(-r));
}

static void lost(void *context)
{
	struct daemon *daemon = context;

	put_control(daemon);
	use_store_all(&daemon->graftd);
}

/* The store comes first: to start a holder is to fork. */
static int take_past(struct daemon *daemon)
{
	static const struct store_ops ops = { found, lost };
	struct graftd *graftd = &daemon->graftd;
	int r = store_new(&graftd->store, &graftd->loop, graftd->state, &ops, daemon);

	if (r < 0)
		return fail("cannot keep sockets beyond our end", r);
	r = page_new(&graftd->page, graftd->state);
	if (r == 0)
		r = restore_registry(graftd);
	return r < 0 ? fail("cannot read the state", r) : 0;
}

/* A configuration that is wrong is no reason to leave those alone that need the endpoints
 * there are. */
static int read_conf(struct daemon *daemon)
{
	struct graftd *graftd = &daemon->graftd;
	const char *path = daemon->options->config;
	char text[256] = "";
	int r;

	graftd->config_path = path ? path : CONF_PATH;
	graftd->config_is_optional = !path;
	r = reload(graftd, text, sizeof(text));
	if (r == 0 || !registry_n(graftd->registry))
		return r;
	log_warning("going on with the endpoints of before");
	return conf_parse(&graftd->config, "", "", 0, NULL, NULL);
}

static int open_control(struct daemon *daemon)
{
	struct graftd *graftd = &daemon->graftd;
	int fd = fd_steal(&daemon->control), r;

	if (!daemon->is_given) {
		fd = home_listen(&daemon->home, fd, daemon->options->group);
		if (fd < 0)
			return fd;
	}
	r = server_new(&graftd->server, graftd, fd);
	if (r < 0) {
		fd_close(fd);
		return fail("cannot start", r);
	}
	put_control(daemon);
	return 0;
}

static int begin(struct daemon *daemon)
{
	struct graftd *graftd = &daemon->graftd;
	int r = home_open(&daemon->home, daemon->options);

	if (r < 0)
		return r;
	graftd->state = daemon->home.directory;
	r = make_parts(daemon);
	if (r == 0)
		r = take_past(daemon);
	if (r < 0)
		return r;
	daemon->control = restore_given(&daemon->kept);
	daemon->is_given = daemon->control >= 0;
	if (!daemon->is_given)
		daemon->control = restore_control(&daemon->kept);
	restore_held(graftd, &daemon->kept);
	r = departed_begin(graftd);
	if (r < 0)
		log_warning("the end of namespaces will go unnoticed: %s", strerror(-r));
	r = read_conf(daemon);
	if (r == 0)
		places_sync(graftd);
	if (r == 0)
		r = open_control(daemon);
	return r;
}

static void say_ready(struct daemon *daemon)
{
	double ms = (double)(event_now_ns() - daemon->started_ns) / 1e6;
	size_t n = registry_n(daemon->graftd.registry);

	notify_init(&daemon->notify, &daemon->graftd.loop, daemon->graftd.registry);
	notify_ready(n);
	if (!daemon->options->foreground)
		return;
	printf("graftd: ready on %s, %zu endpoints, restored in %.1f ms\n",
	       daemon->home.socket, n, ms);
	fflush(stdout);
}

/* --- turns ------------------------------------------------------------------------ */

static void reload_now(struct graftd *graftd)
{
	char text[256] = "";

	graftd->wants_reload = false;
	reload_ready(graftd, text, sizeof(text));
}

static int turns(struct daemon *daemon)
{
	struct graftd *graftd = &daemon->graftd;

	while (!graftd->wants_end) {
		int r = event_loop_run_once(&graftd->loop, -1);

		if (r < 0)
			return fail("cannot wait", r);
		if (graftd->wants_reload)
			reload_now(graftd);
		server_settle(graftd->server);
	}
	notify_stopping();
	notify_deinit(&daemon->notify);
	return 0;
}

static void release_uses(struct graftd *graftd)
{
	struct entry *entry;
	uint32_t cursor = 0;

	/* For the programs they stay where they are. */
	graftd->places = places_free(graftd->places);
	while (graftd->registry && (entry = registry_next(graftd->registry, &cursor)))
		change_take_out(graftd, entry);
}

/* In good order nothing but the journal is left behind; else a next one finds it all. */
static void finish(struct daemon *daemon, bool in_good_order)
{
	struct graftd *graftd = &daemon->graftd;

	if (graftd->server && !daemon->is_given && in_good_order)
		unlink(daemon->home.socket);
	exporter_free(graftd->exporter);
	server_free(graftd->server);
	graftd->store = store_free(graftd->store, !in_good_order);
	departed_end(graftd);
	release_uses(graftd);
	restore_held(graftd, &daemon->kept);
	journal_free(graftd->journal);
	page_free(graftd->page);
	stack_free(graftd->host);
	registry_free(graftd->registry);
	quota_free(graftd->quota);
	metrics_free(graftd->metrics);
	conf_free(graftd->config);
	fd_close(daemon->signal_fd);
	fd_close(daemon->control);
	event_loop_deinit(&graftd->loop);
	home_close(&daemon->home);
}

int daemon_run(const struct daemon_options *options)
{
	struct daemon daemon = {
		.options = options,
		.started_ns = event_now_ns(),
		.signal_fd = -1,
		.control = -1,
		.home = { .directory = -1, .lock = -1 },
		.graftd = { .state = -1, .loop = { .epoll_fd = -1 } },
	};
	enum log_level level = LOG_LEVEL_WARNING + options->verbose;
	int r;

	log_init(STDERR_FILENO, level > LOG_LEVEL_DEBUG ? LOG_LEVEL_DEBUG : level,
		 "graftd");
	raise_limits();
	r = privileges_shed();
	if (r < 0)
		log_warning("some privileges could not be given up");
	r = begin(&daemon);
	if (r == 0) {
		say_ready(&daemon);
		r = turns(&daemon);
	}
	finish(&daemon, r == 0);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
