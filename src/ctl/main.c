/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft: the command line. Finds the command and leaves the rest to its file.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "config.h"
#include "ctl/command.h"

static const struct command commands[] = {
	{ "run", command_run, "run a program on grafted sockets" },
	{ "explain", command_explain, "say what a call would become, and why" },
	{ "check", command_check, "check policy files" },
	{ "ps", command_ps, "list live runs, or the sockets they have" },
	{ "add", command_add, "define an endpoint" },
	{ "del", command_del, "remove an endpoint" },
	{ "delete", command_del, NULL },
	{ "show", command_show, "list the endpoints" },
	{ "monitor", command_monitor, "say what happens to the endpoints" },
	{ "reload", command_reload, "make graftd read its configuration again" },
	{ "attach", command_attach, "have the kernel judge a cgroup by a policy" },
	{ "detach", command_detach, "take the policy of a cgroup away" },
	{ "stat", command_stat, "count the calls each rule of a cgroup decided" },
	{ "trace", command_trace, "show the calls that cgroups' policies judge" },
	{ "revoke", command_revoke, "take back what a cgroup's policy let through" },
	{ "install", command_install, "register graft-runtime with an engine" },
	{ "uninstall", command_uninstall, "take it out again" },
	{ "status", command_status, "say whether graft-runtime is registered" },
	{ "lend", command_lend, "lend the host's sockets to a rootless engine" },
	{ "doctor", command_doctor, "say what this kernel and user can do" },
	{ "help", command_help, "show this help" },
};

static void usage(FILE *to)
{
	fprintf(to, "Usage: graft COMMAND [OPTION...]\n\n"
		    "Gives a program a socket that lives somewhere else.\n\n"
		    "Commands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].summary)
			fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].summary);
	fprintf(to,
		"\n`graft COMMAND --help` shows the options of one command.\n"
		"See graft(1), graft-run(1), graft-endpoint(8), graft-policy(5), graft(7).\n");
}

int command_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	usage(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	static char name[32];

	if (argc < 2) {
		usage(stderr);
		return EXIT_MISUSE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("graft %s\n", GRAFT_VERSION);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		/* What getopt puts before its messages. */
		snprintf(name, sizeof(name), "graft %s", commands[i].name);
		argv[1] = name;
		return commands[i].main(argc - 1, argv + 1);
	}
	fprintf(stderr, "graft: unknown command '%s'; `graft help` lists them\n",
		argv[1]);
	return EXIT_MISUSE;
}
