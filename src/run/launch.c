/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The dance between the supervisor and the child that becomes the program:
 *
 *	child					supervisor
 *	unshare(user, net)
 *	ENTERED ------------------------------>	writes the id maps
 *	<------------------------------------ go
 *	lo up, resolver's addresses, sockets
 *	drops capabilities, no_new_privs,
 *	fence, filter
 *	READY {numbers of descriptors} ------->	takes them with pidfd_getfd
 *	<------------------------------------ go	(the engine is answering now)
 *	exec ... or FAILED {errno} ----------->	end of file: it runs
 *
 * From the moment the filter is on, the child may make no trapped call until the engine
 * answers: it uses read() and write() alone, and hands descriptors over by letting them
 * be taken. If the supervisor dies the child reads an end of file and ends.
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "intercept/notify/fence.h"
#include "intercept/notify/filter.h"
#include "run/broker.h"
#include "run/launch.h"
#include "run/namespaces.h"
#include "run/preload.h"
#include "run/scope.h"

enum step {
	STEP_ENTERED,
	STEP_READY,
	STEP_FAILED,
};

struct report {
	enum step step;
	int error;            /* FAILED: positive errno */
	char what[48];        /* FAILED: what could not be done */
	int listener, fenced; /* READY: numbers in the child, -1 for none */
	int broker;
	int dns[DNS_SERVERS_MAX][2];
};

struct go {
	bool is_whole; /* all ids are mapped */
};

/* --- the child --- */

static _Noreturn void child_fail(int channel, int error, const char *what)
{
	struct report report = { .step = STEP_FAILED, .error = error };

	strncat(report.what, what, sizeof(report.what) - 1);
	fd_write_all(channel, &report, sizeof(report));
	_exit(EXIT_FAILURE);
}

static struct go child_wait(int channel)
{
	struct go go;

	if (fd_read_all(channel, &go, sizeof(go)) != sizeof(go))
		_exit(EXIT_FAILURE);
	return go;
}

static void child_confine(int channel, const struct launch_request *request,
			  bool is_whole, struct report *report)
{
	_cleanup_free_ struct sock_filter *code = NULL;
	size_t n = 0;
	int r;

	/* Root of the new user namespace keeps what it can do there and only there. */
	if (!is_whole) {
		capng_clear(CAPNG_SELECT_BOTH);
		if (capng_apply(CAPNG_SELECT_BOTH) < 0)
			child_fail(channel, EPERM, "give up capabilities");
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		child_fail(channel, errno, "set no_new_privs");
	if (!request->traps)
		return;
	r = fence_raise(request->is_judged);
	if (r < 0)
		child_fail(channel, -r, "raise the Landlock fence");
	report->fenced = r == 0;
	r = filter_compile(request->traps, &code, &n);
	if (r == 0)
		r = filter_install(code, n);
	if (r == -EBUSY)
		child_fail(channel, -r, "install the filter (inside another run?)");
	if (r < 0)
		child_fail(channel, -r, "install the seccomp filter");
	report->listener = r;
}

static void child_prepare_library(int channel, const struct launch_request *request,
				  struct report *report)
{
	char name[RUN_BROKER_NAME_SIZE];
	int r;

	preload_clear_environment();
	if (!request->library)
		return;
	report->broker = run_broker_listen(name);
	if (report->broker < 0)
		child_fail(channel, -report->broker, "listen for the library");
	r = preload_set_environment(request->library, name, request->has_module,
				    log_wants(LOG_LEVEL_INFO));
	if (r < 0)
		child_fail(channel, -r, "put the library into LD_PRELOAD");
}

/* Becomes the program when the supervisor says so. */
static _Noreturn void child_exec(int channel, const struct launch_request *request)
{
	/* They are the supervisor's now; CLOEXEC takes them from the program. */
	if (request->ignores_children)
		signal(SIGCHLD, SIG_IGN);
	sigprocmask(SIG_SETMASK, request->mask, NULL);
	execvp(request->argv[0], request->argv);
	child_fail(channel, errno, "exec");
}

/* In a cgroup, and nowhere else than its caller. */
static _Noreturn void child_in_place(int channel, const struct launch_request *request)
{
	struct report report = { .step = STEP_READY, .listener = -1, .broker = -1 };
	int r = scope_join(request->cgroup);

	memset(report.dns, -1, sizeof(report.dns));
	if (r < 0)
		child_fail(channel, -r, "move into the cgroup");
	fd_write_all(channel, &report, sizeof(report));
	child_wait(channel);
	child_exec(channel, request);
}

static _Noreturn void child_main(int channel, const struct launch_request *request)
{
	struct report report = { .step = STEP_ENTERED, .listener = -1, .broker = -1 };
	struct go go;
	int r;

	if (request->cgroup >= 0)
		child_in_place(channel, request);
	memset(report.dns, -1, sizeof(report.dns));
	r = namespaces_enter();
	if (r < 0)
		child_fail(channel, -r, "create namespaces (see graft doctor)");
	fd_write_all(channel, &report, sizeof(report));
	go = child_wait(channel);
	r = namespaces_furnish(&request->wish, go.is_whole);
	if (r < 0)
		child_fail(channel, -r, "bring loopback up");
	if (request->n_servers) {
		r = dns_open(request->servers, request->n_servers, report.dns);
		if (r < 0)
			log_info("names will not resolve by the resolver's addresses: %s",
				 strerror(-r));
	}
	child_prepare_library(channel, request, &report);
	child_confine(channel, request, go.is_whole, &report);
	report.step = STEP_READY;
	fd_write_all(channel, &report, sizeof(report));
	child_wait(channel);
	child_exec(channel, request);
}

/* --- the supervisor --- */

static int wait_for(const struct launch *launch, enum step step, struct report *ret)
{
	ssize_t n = fd_read_all(launch->channel, ret, sizeof(*ret));

	if (n < 0)
		return (int)n;
	if (n != sizeof(*ret))
		return -ECHILD;
	if (ret->step == STEP_FAILED) {
		ret->what[sizeof(ret->what) - 1] = '\0';
		log_error("cannot %s: %s", ret->what, strerror(ret->error));
		return -ret->error;
	}
	return ret->step == step ? 0 : -EPROTO;
}

static int take(const struct launch *launch, int number, int *ret)
{
	int fd;

	if (number < 0)
		return 0;
	fd = (int)syscall(SYS_pidfd_getfd, launch->pidfd, number, 0);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

static int take_all(struct launch *launch, const struct report *report)
{
	int r = take(launch, report->listener, &launch->listener);

	if (r == 0)
		r = take(launch, report->broker, &launch->broker);
	for (size_t i = 0; r == 0 && i < DNS_SERVERS_MAX; i++)
		for (size_t j = 0; r == 0 && j < 2; j++)
			r = take(launch, report->dns[i][j], &launch->dns[i][j]);
	if (r < 0)
		log_error("cannot take descriptors from the child: %s", strerror(-r));
	return r;
}

static int look_at_netns(struct launch *launch)
{
	struct stat st;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", launch->pid);
	if (stat(path, &st) < 0)
		return -errno;
	launch->netns_dev = st.st_dev;
	launch->netns_ino = st.st_ino;
	return 0;
}

/* Into the namespaces it made. */
static int accompany_inside(struct launch *launch)
{
	struct report report;
	struct go go = { 0 };
	int r;

	r = wait_for(launch, STEP_ENTERED, &report);
	if (r < 0)
		return r;
	r = namespaces_map(launch->pid, &go.is_whole);
	if (r < 0) {
		log_error("cannot map ids into the user namespace: %s", strerror(-r));
		return r;
	}
	return fd_write_all(launch->channel, &go, sizeof(go)) < 0 ? -EPIPE : 0;
}

static int accompany(struct launch *launch, const struct launch_request *request)
{
	struct report report;
	int r = request->cgroup >= 0 ? 0 : accompany_inside(launch);

	if (r == 0)
		r = wait_for(launch, STEP_READY, &report);
	if (r < 0)
		return r;
	launch->fenced = report.fenced;
	r = look_at_netns(launch);
	return r < 0 ? r : take_all(launch, &report);
}

int launch_prepare(struct launch *ret, const struct launch_request *request)
{
	struct launch launch = {
		.pid = -1, .pidfd = -1, .channel = -1, .listener = -1, .broker = -1
	};
	int pair[2], r;

	memset(launch.dns, -1, sizeof(launch.dns));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	launch.channel = pair[0];
	launch.pid = fork();
	if (launch.pid == 0) {
		fd_close(pair[0]);
		child_main(pair[1], request);
	}
	fd_close(pair[1]);
	r = launch.pid < 0 ? -errno : 0;
	if (r == 0) {
		launch.pidfd = process_open(launch.pid);
		r = launch.pidfd < 0 ? launch.pidfd : accompany(&launch, request);
	}
	if (r < 0) {
		launch_deinit(&launch);
		if (launch.pid > 0)
			waitpid(launch.pid, NULL, 0);
		return r;
	}
	*ret = launch;
	return 0;
}

int launch_go(struct launch *launch)
{
	struct go go = { 0 };
	struct report report;
	ssize_t n;

	if (fd_write_all(launch->channel, &go, sizeof(go)) < 0)
		return -EPIPE;
	n = fd_read_all(launch->channel, &report, sizeof(report));
	launch->channel = fd_close(launch->channel);
	if (n < 0)
		return (int)n;
	return n == sizeof(report) && report.step == STEP_FAILED ? report.error : 0;
}

void launch_deinit(struct launch *launch)
{
	launch->pidfd = fd_close(launch->pidfd);
	launch->channel = fd_close(launch->channel);
	launch->listener = fd_close(launch->listener);
	launch->broker = fd_close(launch->broker);
	for (size_t i = 0; i < DNS_SERVERS_MAX; i++)
		for (size_t j = 0; j < 2; j++)
			launch->dns[i][j] = fd_close(launch->dns[i][j]);
}
