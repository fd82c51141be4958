/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft trace: what the policies of cgroups make of calls, as it happens, a line each.
 *
 * The kernel keeps lines until they are read, so they come in order; those it had no room
 * for are told as a number. Ends by a signal, or when nobody reads stdout any more; both
 * go through cgroup_trace_close(), which stops the kernel.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "ctl/command.h"
#include "ctl/trace_line.h"
#include "intercept/cgroup/cgroup.h"
#include "run/judged.h"

enum {
	OPTION_CGROUP = 0x200,
	OPTION_PID,
	OPTION_DENIED,
};

struct request {
	struct cgroup_trace_filter filter;
	const char *cgroup;
	bool is_json;
	unsigned long n_left; /* lines; 0: no limit */
};

static int over; /* an eventfd */

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: graft trace [OPTION...]\n\n"
		"Shows the calls that policies of cgroups judge, as they happen, until a\n"
		"signal ends it: who calls, what was asked for, what became of it, the rule\n"
		"that decided, and the cgroup whose policy that is. Needs root.\n\n"
		"      --json           print an object a line\n"
		"      --cgroup CGROUP  what the policy of CGROUP judges\n"
		"      --pid PID        what this process calls\n"
		"      --denied         calls that fail, or would where it is audited\n"
		"  -n, --count COUNT    end after so many calls\n"
		"  -h, --help           show this help\n\n"
		"Exit status: 0 ended by SIGINT, SIGTERM or COUNT, 1 failed, 2 misuse.\n");
}

static int take_number(const char *text, unsigned long max, unsigned long *ret)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || !number || number > max) {
		fprintf(stderr, "graft trace: '%s' is no number from 1 to %lu\n", text,
			max);
		return -EINVAL;
	}
	*ret = number;
	return 0;
}

static int take_option(struct request *request, int option)
{
	unsigned long number = 0;
	int r = 0;

	switch (option) {
	case 'j':
		request->is_json = true;
		return 0;
	case OPTION_CGROUP:
		request->cgroup = optarg;
		return 0;
	case OPTION_PID:
		r = take_number(optarg, INT_MAX, &number);
		request->filter.pid = (uint32_t)number;
		return r;
	case OPTION_DENIED:
		request->filter.is_error = true;
		return 0;
	case 'n':
		return take_number(optarg, LONG_MAX, &request->n_left);
	}
	return -EINVAL;
}

/* Return: 0, 1 when help was shown, or -EINVAL. */
static int parse(struct request *request, int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "cgroup", required_argument, NULL, OPTION_CGROUP },
		{ "pid", required_argument, NULL, OPTION_PID },
		{ "denied", no_argument, NULL, OPTION_DENIED },
		{ "count", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "n:h", options, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			return 1;
		}
		if (take_option(request, option) < 0)
			return -EINVAL;
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "graft trace: takes no operand; --cgroup names a cgroup\n");
	return -EINVAL;
}

/* Return: 0; -ENODATA: that was the last one; -errno. */
static int on_call(const struct traced *traced, void *context)
{
	struct request *request = context;
	int r = request->is_json ? trace_line_print_json(traced)
				 : trace_line_print(traced);

	if (r < 0)
		return r;
	return request->n_left && !--request->n_left ? -ENODATA : 0;
}

/* Return: as cgroup_trace_read(). */
static int show(struct request *request, struct cgroup_tracer *tracer)
{
	uint64_t n_lost = 0;
	int r = cgroup_trace_read(tracer, on_call, request, &n_lost), told = 0;

	if (r < 0)
		return r;
	if (n_lost)
		told = request->is_json ? trace_line_print_lost_json(n_lost)
					: trace_line_print_lost(n_lost);
	return told < 0 ? told : r;
}

/* Return: -ECANCELED: a signal came while it waited; or another -errno. */
static int follow(struct request *request, struct cgroup_tracer *tracer)
{
	/* Of stdout only whether its reader is gone, which is always told. */
	struct pollfd polled[] = {
		{ .fd = cgroup_trace_descriptor(tracer), .events = POLLIN },
		{ .fd = over, .events = POLLIN },
		{ .fd = STDOUT_FILENO },
	};
	int r;

	do {
		r = poll(polled, ARRAY_SIZE(polled), -1) < 0 ? -errno : 0;
		if (r == -EINTR)
			r = 0;
		else if (r == 0 && polled[1].revents)
			r = -ECANCELED;
		else if (r == 0 && polled[2].revents)
			r = -EPIPE;
		else if (r == 0)
			r = show(request, tracer);
	} while (r >= 0);
	return r;
}

static void end(int signal)
{
	const uint64_t one = 1;
	ssize_t n = write(over, &one, sizeof(one));

	(void)n;
}

/* Signals interrupt a write that nobody reads, too. Return: 0 or -errno. */
static int catch_signals(void)
{
	const struct sigaction ends = { .sa_handler = end };
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction hangup;

	over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (over < 0)
		return -errno;
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGINT, &ends, NULL);
	sigaction(SIGTERM, &ends, NULL);
	/* nohup(1) */
	if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &ends, NULL);
	return 0;
}

/* Return: an exit status. */
static int trace(struct request *request)
{
	struct cgroup_tracer *tracer;
	int r = catch_signals();

	if (r < 0) {
		log_error("%s", strerror(-r));
		return 1;
	}
	if (run_judged_trace(request->cgroup, &request->filter, &tracer) < 0)
		return 1;
	r = follow(request, tracer);
	/* What was judged until now is shown. */
	if (r == -ECANCELED && cgroup_trace_stop(tracer) == 0)
		while ((r = show(request, tracer)) > 0)
			;
	cgroup_trace_close(tracer);
	if (r == 0 || r == -ECANCELED || r == -EINTR || r == -EPIPE || r == -ENODATA)
		return 0;
	log_error("%s", strerror(-r));
	return 1;
}

int command_trace(int argc, char **argv)
{
	struct request request = { .filter.cgroup = -1 };
	int r = parse(&request, argc, argv);

	if (r != 0)
		return r < 0 ? EXIT_MISUSE : 0;
	log_init(STDERR_FILENO, LOG_LEVEL_WARNING, "graft trace");
	setvbuf(stdout, NULL, _IOLBF, 0);
	return trace(&request);
}
