/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each of some scenarios again and again, the first time with the first allocation or
 * copy of the kernel in it failing, then the second, and so on until none is left:
 *
 *	fault_calls [--family N] [SCENARIO...]
 *	fault_calls --load FILE
 *	fault_calls --list
 *
 * What the scenario makes of it is its own business; the kernel, which watches itself,
 * is the judge. Without a fault it has to succeed, before and afterwards. --load does so
 * with loading a module, which is not there then. Needs root, and makes itself
 * namespaces.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/graft.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "fault.h"

#define PATIENCE 20000 /* faults in one scenario at most */
#define N_FDS    16

int fault_family = AF_GRAFT;

static int fail_fd = -1;
static int fds[N_FDS], n_fds;
static const char *module;

/* --- what scenarios are made of -------------------------------------------------- */

int fault_keep(int fd)
{
	if (fd >= 0 && n_fds < N_FDS)
		fds[n_fds++] = fd;
	return fd;
}

static void fds_close(void)
{
	while (n_fds > 0)
		close(fds[--n_fds]);
}

static int module_load(void)
{
	int fd = fault_keep(open(module, O_RDONLY | O_CLOEXEC));

	return fd < 0 ? -1 : syscall(SYS_finit_module, fd, "", 0);
}

static int module_unload(void)
{
	const char *name = strrchr(module, '/') ? strrchr(module, '/') + 1 : module;
	char plain[64];

	snprintf(plain, sizeof(plain), "%.*s", (int)strcspn(name, "."), name);
	return syscall(SYS_delete_module, plain, O_NONBLOCK);
}

/* --- faults ---------------------------------------------------------------------- */

static void fail_at(int n)
{
	char number[12];
	int size = snprintf(number, sizeof(number), "%d", n);

	/* The one to come may hit just this. */
	while (pwrite(fail_fd, number, size, 0) < 0)
		if (errno != EFAULT && errno != ENOMEM)
			exit(1);
}

/* Whether the fault planned is still to come. */
static bool is_left(void)
{
	char number[12] = "";

	return pread(fail_fd, number, sizeof(number) - 1, 0) <= 0 || atoi(number) != 0;
}

static int once(const struct scenario *scenario, int n)
{
	int result = 0;

	if (scenario->prepare && scenario->prepare() < 0)
		result = -1;
	if (n)
		fail_at(n);
	if (result == 0)
		result = scenario->run();
	if (result < 0 && !n)
		printf("%s: %s\n", scenario->name, strerror(errno));
	return result;
}

static void clean(const struct scenario *scenario)
{
	fds_close();
	if (scenario->clean)
		scenario->clean();
}

/* Returns 0, or -1 when it does not do what it should without a fault. */
static int scenario_run(const struct scenario *scenario)
{
	int n, n_faults = 0, n_survived = 0, result;
	bool is_over = false;

	result = once(scenario, 0);
	clean(scenario);
	if (result < 0)
		return -1;
	n = scenario->step > 1 ? 1 + random() % scenario->step : 1;
	for (; n < PATIENCE && !is_over; n += scenario->step) {
		if (once(scenario, n) == 0)
			n_survived++;
		is_over = is_left();
		n_faults += !is_over;
		fail_at(0);
		clean(scenario);
	}
	result = once(scenario, 0);
	clean(scenario);
	printf("%s: %d faults, %d did not matter\n", scenario->name, n_faults,
	       n_survived);
	return is_over && result == 0 ? 0 : -1;
}

/* All kinds, also where the kernel may wait for memory. */
static int faults_allow(void)
{
	static const char *const settings[][2] = {
		{ "failslab/ignore-gfp-wait", "N" },
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_usercopy/verbose", "0" },
	};
	char path[80];
	size_t i;
	int fd;

	for (i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", settings[i][0]);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, settings[i][1], 1) != 1)
			printf("cannot set %s: %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	fail_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_fd < 0)
		perror("fail-nth");
	return fail_fd < 0 ? -1 : 0;
}

static bool is_wanted(const struct scenario *scenario, char **names)
{
	if (!*names)
		return !scenario->is_ours || fault_family == AF_GRAFT;
	for (; *names; names++)
		if (!strcmp(*names, scenario->name))
			return true;
	return false;
}

static int list(void)
{
	const struct scenario *scenario;

	for (scenario = scenarios; scenario->name; scenario++)
		puts(scenario->name);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct scenario loading = { "load", module_load, module_unload, 7 };
	static const struct option options[] = { { "family", required_argument, NULL,
						   'f' },
						 { "load", required_argument, NULL, 'l' },
						 { "list", no_argument, NULL, 'n' },
						 {} };
	const struct scenario *scenario;
	int option, result = 0;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'f')
			fault_family = atoi(optarg);
		else if (option == 'l')
			module = optarg;
		else
			return option == 'n' ? list() : 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	srandom(getpid());
	if (faults_allow() < 0)
		return 1;
	if (module)
		return scenario_run(&loading) < 0;
	if (fault_world() < 0) {
		perror("fault_calls: cannot make namespaces and endpoints");
		return 1;
	}
	for (scenario = scenarios; scenario->name; scenario++)
		if (is_wanted(scenario, argv + optind) && scenario_run(scenario) < 0)
			result = 1;
	return result;
}
