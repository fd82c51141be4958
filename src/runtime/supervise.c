/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	runtime (becomes runc)		supervisor
 *	  fork ------------------------>  waits at the door
 *	  exec				  |
 *	  ... reads config.json		  |
 *	  ... first process, filter	  |
 *	  connects, sends state, fd --->  puts config.json back; stacks, engine
 *					  answers
 *	runc exec: the same -------------> one more guest
 *	runc start, delete, ...		  (not heard of)
 *					  the last listener hangs up: ends
 *
 * It lives in the namespaces of whoever called the runtime: the host's, which is where
 * sockets lead and where container processes have the numbers it knows them by. It is a
 * child of nobody who cares, in a session of its own, with none of the descriptors of the
 * runtime: a pipe of the container that stayed open here would keep its reader waiting.
 *
 *	the runtime ends, and nobody came	no container: ends
 *	the last of the container ends		ends, and removes its socket
 *	somebody kills it			calls get ENOSYS; the next runtime command
 *						removes its socket
 *
 * Of the memory that the start takes, and serving in bursts, a supervisor that waits
 * gives back what it can (base/memory.h).
 *
 * Until the first guest comes it is as privileged as the runtime: a helper has to enter
 * the container's namespaces. Then it gives up what it can.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "intercept/notify/filter.h"
#include "intercept/notify/notify.h"
#include "policy/policy.h"
#include "run/census.h"
#include "run/control.h"
#include "run/grafts.h"
#include "run/notify.h"
#include "run/settle.h"
#include "run/shortcut.h"
#include "run/stacks.h"
#include "runtime/arrival.h"
#include "runtime/bundle.h"
#include "runtime/docker.h"
#include "runtime/door.h"
#include "runtime/guest.h"
#include "runtime/kit.h"
#include "runtime/outside.h"
#include "runtime/pen.h"
#include "runtime/ports.h"
#include "runtime/settings.h"
#include "runtime/supervise.h"
#include "stack/stack.h"

#define VISITORS_MAX 256

struct visitor {
	struct supervisor *self;
	struct event_source on_ready;
	struct arrival arrival;
	int fd;    /* -1: gone */
	int early; /* a listener that came before the first process's; -1: none */
};

struct supervisor {
	struct supervise with;
	struct event_loop loop;
	struct event_source on_door, on_runtime;
	struct visitor visitors[VISITORS_MAX];
	struct guests guests;
	struct stacks stacks;
	struct sock_filter *gate;
	struct ports *ports;      /* NULL: none that Docker publishes */
	struct run_notify engine; /* not started: nobody has come yet */
	struct control *control;
	pid_t first; /* the container's first process */
	uint64_t started_ns;
	struct timespec since; /* the same, by the clock of files */
	int runtime;           /* pidfd; -1: it has ended */
	bool is_back;          /* config.json was put back */
	bool is_over;
};

/* --- what the engine and `graft ps` ask --- */

static struct supervisor *supervisor_of(void *context)
{
	return container_of((struct run_notify *)context, struct supervisor, engine);
}

static enum notify_hold held(void *context, const struct endpoint *endpoint)
{
	const struct supervisor *self = supervisor_of(context);
	int r = self->with.has_kit ? kit_let_go(self->with.docker, endpoint) : 0;

	/* The bind will say so. */
	if (r < 0)
		log_warning("RootlessKit keeps the port of '%s': %s", endpoint->name,
			    strerror(-r));
	switch (ports_ask(self->ports, endpoint)) {
	case PORTS_OTHER:
		break;
	case PORTS_HELD:
		return NOTIFY_HOLD_YES;
	case PORTS_NONE:
		return NOTIFY_HOLD_NOBODY;
	}
	return NOTIFY_HOLD_NONE;
}

static int serves(void *context, const struct endpoint *endpoint, int socket)
{
	return ports_serve(supervisor_of(context)->ports, endpoint, socket);
}

static int reach(void *context, const struct endpoint *endpoint, union address *address)
{
	return ports_where(supervisor_of(context)->ports, endpoint, address);
}

static const struct notify_ops notify_ops = {
	.grafted = run_notify_grafted,
	.held = held,
	.serves = serves,
	.reach = reach,
	.ask = run_notify_ask,
	.generation = run_notify_generation,
};

static void describe(void *context, struct run_info *ret)
{
	struct supervisor *self = context;
	const struct docker *docker = self->with.docker;

	*ret = (struct run_info){
		.pid = getpid(),
		.supervisor = getpid(),
		.program = self->first,
		.uid = getuid(),
		.name = docker->name ? docker->name : self->with.id,
		.image = docker->image,
		.command = self->with.command,
		.engine = "notify",
		.policy = self->with.summary,
		.started_ns = self->started_ns,
	};
	run_notify_count(&self->engine, ret);
}

static int walk_grafts(void *context, control_emit *emit, void *emit_context)
{
	struct supervisor *self = context;
	struct census census = {
		.root = getpid(),
		.program = self->first,
		.host_cookie = self->stacks.host->cookie,
		.grafts = self->engine.grafts,
		.rule_text = run_notify_rule_text,
		.context = &self->engine,
	};

	return census_walk(&census, emit, emit_context);
}

static const struct control_ops control_ops = {
	.run = describe,
	.grafts = walk_grafts,
};

/* --- the engine --- */

static int start_engine(struct supervisor *self, pid_t pid)
{
	struct notify_config config = {
		.host = self->stacks.host,
		.own = self->stacks.own,
		.endpoint_stacks = self->stacks.by_endpoint,
		.others = self->stacks.others,
		.n_others = self->stacks.n_others,
		.names_of_policy = true,
		.ops = &notify_ops,
	};
	struct stat st;
	char path[40];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	if (stat(path, &st) < 0)
		return -errno;
	config.own_dev = st.st_dev;
	config.own_ino = st.st_ino;
	r = filter_compile(self->with.traps, &self->gate, &config.n_gate);
	config.gate = self->gate;
	return r < 0 ? r : run_notify_start(&self->engine, &config);
}

/* Without them the container's ports are as they would be without us. */
static void open_ports(struct supervisor *self, pid_t pid)
{
	const struct ports_config config = {
		.docker = self->with.docker,
		.policy = self->with.policy,
		.first = pid,
		.since = self->since,
		.cgroup = pen_cgroup(),
		.served = pen_served(),
		.loop = &self->loop,
	};
	int r = ports_new(&self->ports, &config);

	if (r < 0)
		log_warning("published ports stay Docker's: %s", strerror(-r));
}

/* With the first guest. */
static int begin(struct supervisor *self, pid_t pid)
{
	struct policy_reach reach;
	bool has_shortcut;
	int r;

	if (!pid)
		return -ESRCH;
	policy_get_reach(self->with.policy, &reach);
	r = stacks_new(&self->stacks, self->with.policy, pid, true);
	if (r == 0)
		r = outside_find(&self->stacks.host);
	if (r < 0)
		return r;
	has_shortcut = run_shortcut_is_on(self->with.policy);
	r = geteuid() == 0 ? pen_enter(reach.has_unix, has_shortcut) : -EPERM;
	if (r < 0)
		log_info("sockets are named by whoever has them: %s", strerror(-r));
	if (r < 0 && has_shortcut)
		log_warning("'shortcut on' goes without: it takes root and cgroup v2");
	if (self->with.has_ports)
		open_ports(self, pid);
	else if (self->with.docker->n_ports && !self->with.has_kit && outside_is_inside())
		log_warning("published ports stay RootlessKit's");
	settle_privileges(reach.has_unix || pen_cgroup() >= 0, self->ports);
	self->first = pid;
	self->engine.policy = self->with.policy;
	self->engine.loop = &self->loop;
	self->engine.grafts = grafts_new();
	r = self->engine.grafts ? start_engine(self, pid) : -ENOMEM;
	if (r < 0)
		return r;
	r = control_new(&self->control, &self->loop, self->stacks.host, getpid(),
			&control_ops, self);
	/* A container works without it. */
	if (r < 0)
		log_warning("`graft ps` will not see this container: %s", strerror(-r));
	return 0;
}

/* --- arrivals --- */

static void put_back(struct supervisor *self)
{
	if (!self->is_back)
		bundle_put_back(self->with.bundle);
	self->is_back = true;
}

/* The listener is taken over. */
static void serve(struct supervisor *self, const struct arrived *arrived)
{
	_cleanup_fd_ int listener = arrived->listener;
	int r = 0;

	if (!self->engine.notify)
		r = begin(self, arrived->pid);
	if (r == 0)
		r = guests_add(&self->guests, self->engine.notify, arrived->pid,
			       fd_steal(&listener));
	/* The listener is closed: calls fail, and nothing is let through. */
	if (r < 0)
		log_error("cannot serve process %d: %s", (int)arrived->pid, strerror(-r));
}

/*
 * With no_new_privileges crun sets the first process's filter when the container is
 * started, and `start` does not wait for it. What is executed may be sooner, and crun
 * does not say who that is: its calls wait.
 */
static void welcome(struct supervisor *self, struct visitor *visitor,
		    const struct arrived *arrived)
{
	if (!self->engine.notify && !arrived->pid) {
		visitor->early = arrived->listener;
		return;
	}
	put_back(self);
	serve(self, arrived);
	for (size_t i = 0; i < VISITORS_MAX && self->engine.notify; i++) {
		struct arrived early = { .listener = self->visitors[i].early };

		self->visitors[i].early = -1;
		if (early.listener >= 0)
			serve(self, &early);
	}
}

static void visitor_end(struct visitor *visitor)
{
	event_loop_del(&visitor->self->loop, visitor->fd, &visitor->on_ready);
	visitor->fd = fd_close(visitor->fd);
	arrival_deinit(&visitor->arrival);
}

static void check_over(struct supervisor *self);

static void on_visitor(struct event_source *source, uint32_t events)
{
	struct visitor *visitor = container_of(source, struct visitor, on_ready);
	struct supervisor *self = visitor->self;
	struct arrived arrived;
	int r = arrival_read(&visitor->arrival, visitor->fd);

	(void)events;
	if (r == 0)
		return;
	/* Who looks whether somebody is here says nothing. */
	if (r > 0 && visitor->arrival.size) {
		r = arrival_parse(&visitor->arrival, self->with.metadata, &arrived);
		if (r == 0)
			welcome(self, visitor, &arrived);
	}
	if (r < 0)
		log_warning("a visitor was turned away: %s", strerror(-r));
	visitor_end(visitor);
	check_over(self);
}

/* Runtimes are where we are, and containers are not. Who has ended cannot be asked, and
 * may have been a runtime: what it says decides. */
static bool is_trusted(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       peer.uid == geteuid() && peer.pid > 0 &&
	       process_shares(peer.pid, "pid") != 0 &&
	       process_shares(peer.pid, "user") != 0;
}

static struct visitor *free_visitor(struct supervisor *self)
{
	for (size_t i = 0; i < VISITORS_MAX; i++)
		if (self->visitors[i].fd < 0 && self->visitors[i].early < 0)
			return &self->visitors[i];
	return NULL;
}

/* Return: whether somebody came. */
static bool open_door(struct supervisor *self)
{
	_cleanup_fd_ int fd =
		accept4(self->with.door->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct visitor *visitor = free_visitor(self);

	if (fd < 0)
		return false;
	if (!visitor || !is_trusted(fd)) {
		log_limited(LOG_LEVEL_WARNING, "a visitor was turned away: %s",
			    visitor ? "not of the runtime" : "too many");
		return true;
	}
	if (event_loop_add(&self->loop, fd, EPOLLIN, &visitor->on_ready) == 0)
		visitor->fd = fd_steal(&fd);
	return true;
}

static void on_door(struct event_source *source, uint32_t events)
{
	struct supervisor *self = container_of(source, struct supervisor, on_door);

	(void)events;
	open_door(self);
}

/* --- the end --- */

static bool has_visitors(const struct supervisor *self)
{
	for (size_t i = 0; i < VISITORS_MAX; i++)
		if (self->visitors[i].fd >= 0)
			return true;
	return false;
}

static void check_over(struct supervisor *self)
{
	if (self->guests.n || (!self->engine.notify && self->runtime >= 0))
		return;
	while (open_door(self))
		continue;
	self->is_over = !has_visitors(self);
}

static void on_runtime(struct event_source *source, uint32_t events)
{
	struct supervisor *self = container_of(source, struct supervisor, on_runtime);

	(void)events;
	event_loop_del(&self->loop, self->runtime, &self->on_runtime);
	self->runtime = fd_close(self->runtime);
	check_over(self);
}

static void on_left(struct guests *guests)
{
	check_over(container_of(guests, struct supervisor, guests));
}

/* --- the start --- */

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Closes everything but @fds, which are sorted then, and the standard ones. */
static void close_others(int *fds, size_t n)
{
	unsigned int next = STDERR_FILENO + 1;

	qsort(fds, n, sizeof(*fds), compare);
	for (size_t i = 0; i < n; i++) {
		if (fds[i] < (int)next)
			continue;
		if (fds[i] > (int)next)
			close_range(next, (unsigned int)fds[i] - 1, 0);
		next = (unsigned int)fds[i] + 1;
	}
	close_range(next, ~0U, 0);
}

/* Nobody reads what a container's supervisor writes but who asked for it. */
static void go_quiet(const struct settings *settings)
{
	int fd = -1;

	if (settings->log)
		fd = open(settings->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		dup2(fd, STDERR_FILENO);
	fd_close(fd);
	log_init(STDERR_FILENO, settings->is_verbose ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
		 "graft-runtime");
}

static int watch(struct supervisor *self)
{
	int r = event_loop_init(&self->loop);

	if (r < 0)
		return r;
	for (size_t i = 0; i < VISITORS_MAX; i++)
		self->visitors[i] = (struct visitor){
			.self = self, .on_ready.ready = on_visitor, .fd = -1, .early = -1
		};
	guests_init(&self->guests, &self->loop, on_left);
	self->on_door.ready = on_door;
	self->on_runtime.ready = on_runtime;
	r = fcntl(self->with.door->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	if (r == 0)
		r = event_loop_add(&self->loop, self->with.door->fd, EPOLLIN,
				   &self->on_door);
	return r < 0 ? r
		     : event_loop_add(&self->loop, self->runtime, EPOLLIN,
				      &self->on_runtime);
}

static _Noreturn void supervisor_main(const struct supervise *supervise, int runtime)
{
	int kept[] = { supervise->door->fd, supervise->bundle->directory,
		       supervise->docker->directory, runtime };
	static struct supervisor self;
	int r;

	self.with = *supervise;
	self.runtime = runtime;
	self.started_ns = event_now_ns();
	clock_gettime(CLOCK_REALTIME_COARSE, &self.since);
	prctl(PR_SET_NAME, "graft-container");
	close_others(kept, ARRAY_SIZE(kept));
	settle_process();
	go_quiet(supervise->settings);
	outside_find_graftd();
	r = watch(&self);
	while (r >= 0 && !self.is_over)
		r = event_loop_run_resting(&self.loop);
	if (r < 0)
		log_error("the supervisor of container %s ends: %s", supervise->id,
			  strerror(-r));
	ports_free(self.ports);
	door_close(supervise->door);
	put_back(&self);
	pen_leave();
	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

int supervise_start(const struct supervise *supervise)
{
	_cleanup_fd_ int runtime = process_open(getpid());
	int r;

	if (runtime < 0)
		return runtime;
	/* What reading config.json took is nothing to be copied. */
	malloc_trim(0);
	r = process_split_off();
	if (r > 0)
		supervisor_main(supervise, runtime);
	return r;
}
