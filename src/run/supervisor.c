/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor of one run: stays in the namespaces `graft run` was called in, answers
 * the program's calls, and gives the run its life-cycle.
 *
 *	front process killed	-> every process of the run is killed, then we end
 *	program ended		-> its status goes to the front process, which ends; we
 *				   stay while anybody of the run is left to serve
 *	nobody left		-> the listener hangs up, we end
 *	we are killed		-> the kernel answers ENOSYS; sockets live on
 *
 * Threads: this one runs an event loop (signals, front, DNS, control socket, ticks); the
 * notify engine has its own. Before the first of those is started, the helpers of
 * namespace stacks are forked and everything we can do without is given up:
 * capabilities (as root: all but those named in settle.c), being dumped or
 * traced, and new privileges.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "intercept/cgroup/cgroup.h"
#include "intercept/notify/filter.h"
#include "intercept/notify/notify.h"
#include "policy/policy.h"
#include "run/broker.h"
#include "run/census.h"
#include "run/control.h"
#include "run/dns.h"
#include "run/grafts.h"
#include "run/judged.h"
#include "run/launch.h"
#include "run/module.h"
#include "run/notify.h"
#include "run/run.h"
#include "run/settle.h"
#include "run/shortcut.h"
#include "run/stacks.h"
#include "run/tree.h"
#include "stack/stack.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_MAX  (64 * 1024)

struct supervisor {
	struct run *run;
	struct launch launch;
	/* cgroup -1 but with RUN_CGROUP, where the kernel judges, or for a shortcut. */
	struct scope scope;
	struct cgroup_programs *judge; /* where the kernel judges the notify engine's */
	struct stacks stacks;
	struct event_loop loop;
	struct event_source on_front, on_signal, on_listener;
	struct run_notify engine;
	struct run_broker *broker;
	struct run_module *module; /* NULL but with RUN_AF_GRAFT */
	struct dns *dns;
	struct control *control;
	uint64_t started_ns;
	int front, signals;
	bool has_exited;  /* the program's status was reported */
	bool is_deserted; /* nobody with the filter is left */
	bool is_over;     /* the front process was killed, and everybody else */
};

static void report(const struct supervisor *self, enum run_event event, int value, int fd)
{
	struct run_report message = { event, value };

	if (self->front >= 0)
		fd_send(self->front, &message, sizeof(message), &fd, fd >= 0);
}

static _Noreturn void fail(struct supervisor *self)
{
	report(self, RUN_FAILED, 0, -1);
	tree_kill();
	scope_remove(&self->scope);
	_exit(EXIT_FAILURE);
}

/* --- events --- */

static void go_quiet(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* Nobody is there to read, and a pipe kept open would keep its reader waiting. */
	if (null >= 0)
		dup2(null, STDERR_FILENO);
	fd_close(null);
}

static void on_front(struct event_source *source, uint32_t events)
{
	struct supervisor *self = container_of(source, struct supervisor, on_front);

	(void)events;
	event_loop_del(&self->loop, self->front, &self->on_front);
	self->front = fd_close(self->front);
	go_quiet();
	if (self->has_exited)
		return;
	tree_kill();
	self->is_over = true;
}

/*
 * Waits for the end of everybody else who has the filter. Only after the program's own:
 * until then somebody has it, and each look of epoll at the listener costs every call a
 * little. Hang-up alone is asked for; the calls are the workers'.
 */
static void watch_listener(struct supervisor *self)
{
	if (self->launch.listener >= 0 &&
	    event_loop_add(&self->loop, self->launch.listener, 0, &self->on_listener) < 0)
		self->is_deserted = true;
}

static void on_signal(struct event_source *source, uint32_t events)
{
	struct supervisor *self = container_of(source, struct supervisor, on_signal);
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	(void)events;
	while (read(self->signals, &info, sizeof(info)) == sizeof(info))
		continue;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == self->launch.pid && !self->has_exited) {
			self->has_exited = true;
			report(self, RUN_EXITED, status, -1);
			watch_listener(self);
		}
	/* Without a filter there is no listener to tell that all are gone. */
	if (pid < 0 && errno == ECHILD && !self->engine.notify)
		self->is_deserted = true;
}

static void on_listener(struct event_source *source, uint32_t events)
{
	struct supervisor *self = container_of(source, struct supervisor, on_listener);

	if (!(events & EPOLLHUP))
		return;
	self->is_deserted = true;
	event_loop_del(&self->loop, self->launch.listener, &self->on_listener);
}

/* --- what others ask --- */

static int join_judged(void *context)
{
	const struct supervisor *self = container_of(context, struct supervisor, engine);

	return scope_join_sockets(&self->scope);
}

static bool is_own(void *context, int socket)
{
	const struct supervisor *self = container_of(context, struct supervisor, engine);

	return cgroup_is_own(self->judge, socket);
}

static const struct notify_ops notify_ops = {
	.join = join_judged,
	.is_own = is_own,
	.grafted = run_notify_grafted,
	.ask = run_notify_ask,
	.generation = run_notify_generation,
};

static void count(const struct supervisor *self, struct run_info *ret)
{
	if (self->engine.notify) {
		run_notify_count(&self->engine, ret);
	} else if (self->module) {
		run_module_count(self->module, ret);
	} else if (self->broker) {
		struct run_broker_counters counters;

		run_broker_get_counters(self->broker, &counters);
		ret->n_traps = counters.n_asks;
		ret->n_grafts = counters.n_grants;
		ret->n_swaps = counters.n_swaps;
		ret->n_refused = counters.n_refused;
	}
}

static void describe_run(void *context, struct run_info *ret)
{
	struct supervisor *self = context;

	*ret = (struct run_info){
		.pid = self->run->front,
		.supervisor = getpid(),
		.program = self->launch.pid,
		.uid = getuid(),
		.name = self->run->name,
		.command = self->run->argv[0],
		.engine = self->engine.notify       ? "notify"
			  : self->scope.cgroup >= 0 ? "cgroup"
			  : self->module            ? "af_graft"
			  : self->broker            ? "preload"
						    : "none",
		.policy = self->run->summary,
		.started_ns = self->started_ns,
	};
	count(self, ret);
}

static int walk_grafts(void *context, control_emit *emit, void *emit_context)
{
	struct supervisor *self = context;
	/* Whose namespace is the run's own; the cgroup engine leaves it the caller's. */
	bool has_own = self->engine.notify || self->module || self->broker;
	struct census census = {
		.root = getpid(),
		.program = self->has_exited || !has_own ? 0 : self->launch.pid,
		.host_cookie = self->stacks.host->cookie,
		.own_cookie = self->module ? self->stacks.own->cookie : 0,
		.grafts = self->engine.grafts,
		.rule_text = run_notify_rule_text,
		.context = &self->engine,
	};

	return census_walk(&census, emit, emit_context);
}

static const struct control_ops control_ops = {
	.run = describe_run,
	.grafts = walk_grafts,
};

/* --- setting up --- */

static size_t read_resolv(const struct run *run, struct dns_server *servers)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int fd = -1;
	ssize_t n;

	if (!run->has_dns || run->engine == RUN_CGROUP)
		return 0;
	fd = open(RESOLV_CONF, O_RDONLY | O_CLOEXEC);
	text = fd < 0 ? NULL : malloc(RESOLV_MAX);
	if (!text)
		return 0;
	n = fd_read_all(fd, text, RESOLV_MAX);
	return n < 0 ? 0 : dns_parse_resolv(text, (size_t)n, servers);
}

static int start_engine(struct supervisor *self)
{
	struct notify_config config = {
		.is_judged = self->judge != NULL,
		.host = self->stacks.host,
		.own = self->stacks.own,
		.endpoint_stacks = self->stacks.by_endpoint,
		.others = self->stacks.others,
		.n_others = self->stacks.n_others,
		.own_dev = self->launch.netns_dev,
		.own_ino = self->launch.netns_ino,
		.ops = &notify_ops,
	};
	int r = run_notify_start(&self->engine, &config);

	if (r == 0)
		r = notify_listen(self->engine.notify,
				  fcntl(self->launch.listener, F_DUPFD_CLOEXEC, 3), NULL);
	if (r < 0)
		log_error("cannot start the engine: %s", strerror(-r));
	return r;
}

static int start_broker(struct supervisor *self)
{
	struct run_broker_config config = {
		.loop = &self->loop,
		.policy = self->run->policy,
		.stacks = &self->stacks,
		.grafts = self->engine.grafts,
		.gives_policy_only = self->module != NULL,
	};
	int r = run_broker_new(&self->broker, &config, self->launch.broker);

	if (r < 0)
		log_error("cannot start the broker: %s", strerror(-r));
	else
		self->launch.broker = -1;
	return r;
}

static int start_services(struct supervisor *self, const struct dns_server *servers,
			  size_t n_servers)
{
	int r = control_new(&self->control, &self->loop, self->stacks.host,
			    self->run->front, &control_ops, self);

	/* A run works without them. */
	if (r < 0)
		log_warning("`graft ps` will not see this run: %s", strerror(-r));
	if (!n_servers)
		return 0;
	r = dns_new(&self->dns, servers, self->launch.dns, n_servers);
	memset(self->launch.dns, -1, sizeof(self->launch.dns));
	if (r == 0)
		r = dns_attach(self->dns, &self->loop);
	if (r < 0)
		log_warning("names will not resolve: %s", strerror(-r));
	return 0;
}

static int watch(struct supervisor *self)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	self->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (self->signals < 0)
		return -errno;
	self->on_front.ready = on_front;
	self->on_signal.ready = on_signal;
	self->on_listener.ready = on_listener;
	r = event_loop_add(&self->loop, self->front, EPOLLIN, &self->on_front);
	if (r == 0)
		r = event_loop_add(&self->loop, self->signals, EPOLLIN, &self->on_signal);
	return r;
}

/* After the helpers were forked, which stay where they are. */
static int join_scope(struct supervisor *self)
{
	int r = scope_join(self->scope.cgroup);

	if (r < 0)
		log_error("cannot move into the cgroup %s: %s", self->scope.name,
			  strerror(-r));
	return r;
}

/* The run goes on without, if it cannot be. A policy that the kernel judges brings it. */
static void add_shortcut(struct supervisor *self, bool is_judged)
{
	if (!run_shortcut_is_on(self->run->policy) || !process_is_real_root())
		return;
	if (is_judged)
		run_shortcut_check();
	else
		run_shortcut_new(&self->scope, self->run->front);
}

/* What is trapped, and which cgroup the program goes into. */
static int choose_judge(struct supervisor *self, const struct policy_reach *reach,
			struct launch_request *request)
{
	struct run *run = self->run;
	int r = 0;

	request->cgroup = -1;
	if (run->engine == RUN_CGROUP) {
		r = run_judged_new(&self->scope, run->front, run->policy);
		request->cgroup = self->scope.cgroup;
		return r;
	}
	request->traps = filter_plan(reach);
	if (run->engine == RUN_NOTIFY && request->traps)
		request->is_judged = run_judged_choose(&self->scope, &self->judge,
						       run->front, run->policy);
	if (request->is_judged)
		request->traps = filter_plan_judged(reach);
	if (run->engine == RUN_NOTIFY && request->traps)
		add_shortcut(self, request->is_judged);
	return 0;
}

static int set_up(struct supervisor *self)
{
	struct dns_server servers[DNS_SERVERS_MAX];
	struct launch_request request = {
		.argv = self->run->argv,
		.mask = &self->run->mask,
		.ignores_children = self->run->ignores_children,
		.servers = servers,
	};
	size_t n_servers = read_resolv(self->run, servers);
	struct policy_reach reach;
	bool is_supervised;
	int r;

	policy_get_reach(self->run->policy, &reach);
	r = choose_judge(self, &reach, &request);
	if (r < 0)
		return r;
	request.n_servers = request.is_judged ? 0 : n_servers;
	is_supervised = request.traps != 0;
	if (is_supervised && self->run->engine != RUN_NOTIFY) {
		request.traps = 0;
		request.library = self->run->library;
		request.has_module = self->run->engine == RUN_AF_GRAFT;
	}
	namespaces_look(&request.wish);
	r = launch_prepare(&self->launch, &request);
	if (r < 0)
		return r;
	settle_process();
	if (request.has_module)
		r = run_module_new(&self->module, &self->stacks, self->run->policy,
				   self->launch.pid);
	else
		r = stacks_new(&self->stacks, self->run->policy, self->launch.pid,
			       is_supervised);
	if (r == 0 && self->run->engine == RUN_NOTIFY && self->scope.cgroup >= 0)
		r = join_scope(self);
	if (r < 0)
		return r;
	settle_privileges(reach.has_unix || self->scope.cgroup >= 0, false);
	if (request.is_judged)
		run_judged_dns(&self->scope, servers, &n_servers, self->launch.dns);
	if (request.traps && !self->launch.fenced)
		log_info("this kernel has no Landlock network rules: see SECURITY.md");
	self->engine.policy = self->run->policy;
	self->engine.loop = &self->loop;
	self->engine.grafts = grafts_new();
	r = self->engine.grafts ? event_loop_init(&self->loop) : -ENOMEM;
	if (r == 0 && request.traps)
		r = start_engine(self);
	if (r == 0 && request.library)
		r = start_broker(self);
	if (r == 0)
		r = start_services(self, servers, n_servers);
	return r < 0 ? r : watch(self);
}

static void set_off(struct supervisor *self)
{
	int r = launch_go(&self->launch);

	if (r < 0)
		fail(self);
	if (r > 0) {
		report(self, RUN_EXEC_FAILED, r, -1);
		self->has_exited = true;
		watch_listener(self);
		return;
	}
	report(self, RUN_STARTED, self->launch.pid, self->launch.pidfd);
}

_Noreturn void supervisor_main(struct run *run, int front)
{
	static struct supervisor self;

	self.run = run;
	self.front = front;
	self.launch.listener = self.launch.broker = -1;
	self.scope = (struct scope){ .cgroup = -1, .sockets = -1, .parent = -1 };
	self.started_ns = event_now_ns();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_NAME, "graft-supervise");
	if (set_up(&self) < 0)
		fail(&self);
	set_off(&self);
	while (!self.is_over && !(self.has_exited && self.is_deserted))
		if (event_loop_run_resting(&self.loop) < 0)
			fail(&self);
	scope_remove(&self.scope);
	_exit(EXIT_SUCCESS);
}
