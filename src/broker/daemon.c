/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	paths, lock ─> registry from the journal ─> control socket ─> ready ─> turns
 *
 * One process, no threads. A lock in the state directory, which goes with the process
 * however that ends, keeps a second graftd away. Signals arrive as messages: SIGTERM and
 * SIGINT end in good order, SIGHUP reloads.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/change.h"
#include "broker/client.h"
#include "broker/conf.h"
#include "broker/daemon.h"
#include "broker/graftd.h"
#include "broker/journal.h"
#include "broker/page.h"
#include "broker/quota.h"
#include "broker/registry.h"
#include "broker/reload.h"
#include "broker/server.h"
#include "stack/stack.h"

#define BACKLOG 4096

struct daemon {
	struct graftd graftd;
	const struct daemon_options *options;
	struct event_source signals;
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
		r = fill_path(daemon->socket, sizeof(daemon->socket), options->socket,
			      "");
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
	daemon->lock =
		openat(fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (daemon->lock < 0)
		return fail("cannot make a lock in", daemon->state, -errno);
	if (flock(daemon->lock, LOCK_EX | LOCK_NB) < 0)
		return fail("another graftd keeps", daemon->state, -errno);
	return 0;
}

static int set_mode(struct daemon *daemon)
{
	const char *name = daemon->options->group;
	const struct group *group = name ? getgrnam(name) : NULL;

	if (!name)
		return chmod(daemon->socket, getuid() == 0 ? 0666 : 0600) < 0 ? -errno
									      : 0;
	if (!group)
		return fail("no group", name, -ENOENT);
	if (chown(daemon->socket, (uid_t)-1, group->gr_gid) < 0 ||
	    chmod(daemon->socket, 0660) < 0)
		return -errno;
	return 0;
}

/* What is left of a graftd that was killed gives way; the lock says that it is dead. */
static int make_socket(struct daemon *daemon)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd =
		socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int r;

	if (fd < 0)
		return -errno;
	memcpy(address.sun_path, daemon->socket, sizeof(address.sun_path));
	unlink(daemon->socket);
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (r == 0)
		r = set_mode(daemon);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0)
		return fail("cannot listen at", daemon->socket, r);
	return fd_steal(&fd);
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

#define CONFIG_PATH "/etc/graft/graftd.conf"

/* A first configuration that is wrong is no reason to leave those that need us alone, as
 * long as there are endpoints to serve. */
static int first_config(struct daemon *daemon)
{
	struct graftd *graftd = &daemon->graftd;
	const char *path = daemon->options->config;
	char text[256] = "";
	int r;

	graftd->config_path = path ? path : CONFIG_PATH;
	graftd->config_is_optional = !path;
	r = reload(graftd, text, sizeof(text));
	if (r == 0 || !registry_n(graftd->registry))
		return r;
	log_warning("going on with the endpoints of before");
	return conf_parse(&graftd->config, "", "", 0, NULL, NULL);
}

static int begin(struct daemon *daemon)
{
	struct graftd *graftd = &daemon->graftd;
	int r = event_loop_init(&graftd->loop), fd;

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
	r = first_config(daemon);
	if (r < 0)
		return r;
	fd = make_socket(daemon);
	r = fd < 0 ? fd : server_new(&graftd->server, graftd, fd);
	if (r < 0)
		fd_close(fd);
	return r;
}

static void say_ready(struct daemon *daemon)
{
	double ms = (double)(event_now_ns() - daemon->started_ns) / 1e6;

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
		if (graftd->wants_reload) {
			char text[256];

			graftd->wants_reload = false;
			reload(graftd, text, sizeof(text));
		}
		server_settle(graftd->server);
	}
	return 0;
}

static void finish(struct daemon *daemon)
{
	struct graftd *graftd = &daemon->graftd;

	if (graftd->server)
		unlink(daemon->socket);
	server_free(graftd->server);
	journal_free(graftd->journal);
	page_free(graftd->page);
	stack_free(graftd->host);
	registry_free(graftd->registry);
	quota_free(graftd->quota);
	conf_free(graftd->config);
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
		.graftd = { .state = -1, .loop = { .epoll_fd = -1 } },
	};
	enum log_level level = LOG_LEVEL_WARNING + options->verbose;
	int r;

	log_init(STDERR_FILENO, level > LOG_LEVEL_DEBUG ? LOG_LEVEL_DEBUG : level,
		 "graftd");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0);
	raise_limits();
	r = begin(&daemon);
	if (r == 0) {
		say_ready(&daemon);
		r = turns(&daemon);
	}
	finish(&daemon);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
