/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft attach, graft detach: puts a policy on a cgroup that is there, a service's or a
 * container's, and takes it away.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "ctl/command.h"
#include "intercept/cgroup/cgroup.h"
#include "policy/policy.h"
#include "run/judged.h"
#include "run/options.h"

enum {
	OPTION_AUDIT = 0x200,
	OPTION_ALL,
	OPTION_DRY_RUN,
	OPTION_WAIT,
};

static void usage_attach(FILE *to)
{
	fprintf(to,
		"Usage: graft attach [OPTION...] CGROUP\n\n"
		"Has the kernel judge the sockets that were and will be made in CGROUP, and in\n"
		"the cgroups below it, by a policy, wherever those sockets go. A policy it has\n"
		"already is replaced: calls that begin afterwards are judged by the new one.\n"
		"Needs root.\n\n"
		"CGROUP is a directory of cgroup v2, or its path as in /proc/PID/cgroup.\n\n"
		"      --policy FILE      rules and endpoints from FILE, see graft-policy(5)\n"
		"      --rule LINE        one more line of policy\n"
		"  -p, --publish SPEC, -i, --ingress SPEC, -e, --egress SPEC\n"
		"                         as in `graft run`\n"
		"      --audit            count what is denied, and let it pass\n"
		"      --wait             return when calls that began before are over, too\n"
		"  -v, --verbose          say more; twice for what the kernel says\n"
		"  -h, --help             show this help\n\n"
		"Exit status: 0 it is judged, 1 it could not be, 2 bad usage or policy.\n");
}

static void usage_detach(FILE *to)
{
	fprintf(to,
		"Usage: graft detach CGROUP\n"
		"       graft detach --all [--dry-run]\n\n"
		"Takes away what `graft attach` put on CGROUP, or on any cgroup. Needs root.\n\n"
		"      --all      from every cgroup, whichever build of graft put it there, and\n"
		"                 what is pinned; runs that go on keep theirs. Prints the cgroups\n"
		"      --dry-run  print them, and do nothing\n"
		"  -h, --help     show this help\n\n"
		"Exit status: 0 it is gone, 1 there was none, or not all could be taken away,\n"
		"2 bad usage.\n");
}

/* The one operand there is to be. Return: it, or NULL after one line. */
static const char *take_cgroup(const char *command, int argc, char **argv)
{
	if (argc - optind == 1)
		return argv[optind];
	fprintf(stderr, "graft %s: %s\n", command,
		argc > optind ? "one CGROUP at a time"
			      : "name the CGROUP, a directory of cgroup v2");
	return NULL;
}

struct request {
	struct policy_options policy;
	unsigned int flags;
	int verbosity;
};

/* Return: 0, 1 when help was shown, or -EINVAL. */
static int parse(struct request *request, int argc, char **argv)
{
	static const struct option options[] = {
		POLICY_OPTIONS_LONG,
		{ "audit", no_argument, NULL, OPTION_AUDIT },
		{ "wait", no_argument, NULL, OPTION_WAIT },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option, r;

	while ((option = getopt_long(argc, argv, POLICY_OPTIONS_SHORT "vh", options,
				     NULL)) != -1) {
		r = policy_options_take(&request->policy, option, optarg);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		switch (option) {
		case OPTION_AUDIT:
			request->flags |= CGROUP_AUDIT;
			break;
		case OPTION_WAIT:
			request->flags |= CGROUP_WAIT;
			break;
		case 'v':
			request->verbosity++;
			break;
		case 'h':
			usage_attach(stdout);
			return 1;
		default:
			return -EINVAL;
		}
	}
	if (!request->policy.any) {
		fprintf(stderr, "graft attach: name a policy: --policy FILE\n");
		return -EINVAL;
	}
	request->policy.has_paths = true;
	return policy_options_finish(&request->policy);
}

int command_attach(int argc, char **argv)
{
	struct request request = { 0 };
	const char *cgroup = NULL;
	int r = parse(&request, argc, argv);

	if (r == 0)
		cgroup = take_cgroup("attach", argc, argv);
	if (r != 0 || !cgroup) {
		policy_free(request.policy.policy);
		return r > 0 ? 0 : EXIT_MISUSE;
	}
	log_init(STDERR_FILENO,
		 request.verbosity >= 2 ? LOG_LEVEL_DEBUG
		 : request.verbosity    ? LOG_LEVEL_INFO
					: LOG_LEVEL_WARNING,
		 "graft attach");
	r = run_judged_attach(cgroup, request.policy.policy, request.flags);
	policy_free(request.policy.policy);
	return r < 0 ? 1 : 0;
}

struct detach_request {
	bool is_all, is_dry;
};

/* Return: 0, 1 when help was shown, or -EINVAL. */
static int parse_detach(struct detach_request *request, int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, OPTION_ALL },
		{ "dry-run", no_argument, NULL, OPTION_DRY_RUN },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case OPTION_ALL:
			request->is_all = true;
			break;
		case OPTION_DRY_RUN:
			request->is_dry = true;
			break;
		case 'h':
			usage_detach(stdout);
			return 1;
		default:
			return -EINVAL;
		}
	}
	if (request->is_dry && !request->is_all) {
		fprintf(stderr, "graft detach: --dry-run goes with --all\n");
		return -EINVAL;
	}
	if (request->is_all && argc > optind) {
		fprintf(stderr, "graft detach: name a CGROUP, or --all\n");
		return -EINVAL;
	}
	return 0;
}

static void print_path(const char *path, void *context)
{
	(void)context;
	puts(path);
}

int command_detach(int argc, char **argv)
{
	struct detach_request request = { 0 };
	const char *cgroup = NULL;
	int r = parse_detach(&request, argc, argv);

	if (r == 0 && !request.is_all)
		cgroup = take_cgroup("detach", argc, argv);
	if (r != 0 || (!cgroup && !request.is_all))
		return r > 0 ? 0 : EXIT_MISUSE;
	log_init(STDERR_FILENO, LOG_LEVEL_WARNING, "graft detach");
	r = request.is_all ? run_judged_detach_all(request.is_dry, print_path, NULL)
			   : run_judged_detach(cgroup);
	return r < 0 ? 1 : 0;
}
