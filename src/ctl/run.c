/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft run: the command line of a run.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/process.h"
#include "ctl/command.h"
#include "policy/policy.h"
#include "run/judged.h"
#include "run/module.h"
#include "run/options.h"
#include "run/preload.h"
#include "run/registry.h"
#include "run/run.h"

#define SUMMARY_MAX 512

enum {
	OPTION_NAME = 0x200,
	OPTION_ENGINE,
	OPTION_DNS,
};

static const struct option options[] = {
	POLICY_OPTIONS_LONG,
	{ "name", required_argument, NULL, OPTION_NAME },
	{ "engine", required_argument, NULL, OPTION_ENGINE },
	{ "dns", required_argument, NULL, OPTION_DNS },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: graft run [OPTION...] [--] PROGRAM [ARGUMENT...]\n\n"
		"Runs PROGRAM in a network namespace of its own, on sockets of the host\n"
		"where the options say so. Needs no privilege.\n\n"
		"  -p, --publish [IP:]HOSTPORT:PORT[/udp]\n"
		"                         PORT that the program binds becomes HOSTPORT here\n"
		"  -e, --egress [tcp:|udp:]PREFIX/LEN=TARGET\n"
		"                         where its connections to PREFIX are made\n"
		"  -i, --ingress ADDR:PORT[-PORT]=TARGET\n"
		"                         where its bind to ADDR:PORT is made\n"
		"      --policy FILE      rules and endpoints from FILE, see graft-policy(5)\n"
		"      --rule LINE        one more line of policy\n"
		"      --engine ENGINE    auto (default), notify, preload, af_graft or cgroup\n"
		"      --dns auto|none    whether the resolver's addresses answer inside\n"
		"      --name NAME        what `graft ps` calls this run\n"
		"  -v, --verbose          say what becomes of each call; twice for more\n"
		"  -h, --help             show this help\n\n"
		"TARGET is host, own, deny[:ERRNO] or an endpoint of the policy.\n"
		"Ends as PROGRAM ends; 128+N by signal N; 125 graft failed; 126 cannot\n"
		"execute; 127 not found; 2 bad usage.\n");
}

/* Keeps the policy options as they were given, for `graft ps`. */
static void summarise(char *summary, int option, const char *argument)
{
	const char *name = NULL;
	size_t used = strlen(summary);

	for (size_t i = 0; options[i].name; i++)
		if (options[i].val == option)
			name = options[i].name;
	if (option < 0x100)
		snprintf(summary + used, SUMMARY_MAX - used, "%s-%c %s", used ? " " : "",
			 option, argument);
	else
		snprintf(summary + used, SUMMARY_MAX - used, "%s--%s %s", used ? " " : "",
			 name, argument);
}

/* "auto" is the one it comes to. */
static const struct {
	const char *name;
	enum run_engine engine;
} engines[] = {
	{ "notify", RUN_NOTIFY },   { "auto", RUN_NOTIFY },
	{ "preload", RUN_PRELOAD }, { "af_graft", RUN_AF_GRAFT },
	{ "cgroup", RUN_CGROUP },
};

static const char *engine_name(enum run_engine engine)
{
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		if (engines[i].engine == engine)
			return engines[i].name;
	return NULL;
}

static int misuse(const char *option, const char *argument, const char *right)
{
	fprintf(stderr, "graft run: %s '%s': want %s\n", option, argument, right);
	return -EINVAL;
}

static int take_engine(struct run *run, const char *argument)
{
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		if (!strcmp(argument, engines[i].name)) {
			run->engine = engines[i].engine;
			return 0;
		}
	return misuse("--engine", argument, "auto, notify, preload, af_graft or cgroup");
}

static int take_option(struct run *run, int option, const char *argument)
{
	switch (option) {
	case OPTION_NAME:
		if (!*argument || strlen(argument) > POLICY_NAME_MAX)
			return misuse("--name", argument, "1 to 63 characters");
		run->name = (char *)argument;
		return 0;
	case OPTION_ENGINE:
		return take_engine(run, argument);
	case OPTION_DNS:
		if (strcmp(argument, "auto") != 0 && strcmp(argument, "none") != 0)
			return misuse("--dns", argument, "auto or none");
		run->has_dns = !strcmp(argument, "auto");
		return 0;
	case 'v':
		run->verbosity++;
		return 0;
	default:
		return -EINVAL; /* getopt_long() said what was wrong */
	}
}

/* Return: 0, 1 when help was shown, or -EINVAL after one line. */
static int parse(struct run *run, struct policy_options *policy, int argc, char **argv)
{
	int option, r;

	/* '+': the program's own options are not ours. */
	while ((option = getopt_long(argc, argv, "+" POLICY_OPTIONS_SHORT "vh", options,
				     NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			return 1;
		}
		r = policy_options_take(policy, option, optarg);
		if (r > 0)
			summarise(run->summary, option, optarg);
		if (r == 0)
			r = take_option(run, option, optarg);
		if (r < 0)
			return r;
	}
	if (optind >= argc) {
		fprintf(stderr,
			"graft run: no program to run; `graft run --help` shows how\n");
		return -EINVAL;
	}
	run->argv = argv + optind;
	if (!run->name)
		run->name = run->argv[0];
	policy->has_paths = run->engine == RUN_CGROUP;
	return policy_options_finish(policy);
}

/* Return: 0, or -errno after one line. */
static int prepare_library(struct run *run)
{
	char why[128];
	int r = preload_find(&run->library);

	if (r < 0) {
		log_error("cannot find " PRELOAD_LIBRARY ": %s", strerror(-r));
		return r;
	}
	if (preload_check(run->argv[0], why, sizeof(why)) != PRELOAD_E_UNREACHABLE)
		return 0;
	log_error("the %s engine cannot reach '%s': %s; use --engine notify",
		  engine_name(run->engine), run->argv[0], why);
	return -ENOEXEC;
}

/* What the engine does not do of what the policy asks for. */
static void warn_of_settings(const struct run *run)
{
	char text[80], at[160];

	if (run->engine == RUN_CGROUP)
		return;
	for (int i = 0; i < POLICY_N_SETTINGS; i++) {
		enum policy_setting setting = (enum policy_setting)i;
		const struct policy_origin *origin;

		if (policy_setting(run->policy, setting, &origin) == 0 ||
		    (run->engine == RUN_NOTIFY &&
		     (setting == POLICY_LOOPBACK || process_is_real_root())))
			continue;
		policy_print_setting(run->policy, setting, text, sizeof(text));
		policy_print_origin(origin, at, sizeof(at));
		log_warning("%s: '%s' is for %s; %s goes on without", at, text,
			    run->engine == RUN_NOTIFY ? "root" : "the cgroup engine",
			    engine_name(run->engine));
	}
}

/* Return: 0, or -errno after one line. */
static int prepare_engine(struct run *run)
{
	int r = 0;

	warn_of_settings(run);
	switch (run->engine) {
	case RUN_NOTIFY:
		registry_check(run->policy);
		return 0;
	case RUN_PRELOAD:
		registry_check(run->policy);
		break;
	case RUN_AF_GRAFT:
		r = run_module_check(run->policy);
		break;
	case RUN_CGROUP:
		return run_judged_check(run->policy);
	}
	return r < 0 ? r : prepare_library(run);
}

int command_run(int argc, char **argv)
{
	char summary[SUMMARY_MAX] = "";
	struct run run = { .has_dns = true, .summary = summary };
	struct policy_options policy = { 0 };
	int r, status;

	r = parse(&run, &policy, argc, argv);
	if (r != 0) {
		policy_free(policy.policy);
		return r > 0 ? 0 : EXIT_MISUSE;
	}
	run.policy = policy.policy;
	log_init(STDERR_FILENO,
		 run.verbosity >= 2 ? LOG_LEVEL_DEBUG
		 : run.verbosity    ? LOG_LEVEL_INFO
				    : LOG_LEVEL_WARNING,
		 "graft run");
	status = EXIT_GRAFT_FAILED;
	if (prepare_engine(&run) == 0)
		status = front_main(&run);
	free(run.library);
	policy_free(run.policy);
	return status;
}
