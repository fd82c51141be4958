/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graftd: the command line, and the life of the process. Under another name it is the
 * holder.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "broker/daemon.h"
#include "broker/holder.h"
#include "config.h"

static const char usage[] =
	"Usage: graftd [OPTION...]\n"
	"Keeps named endpoints for the whole host and hands out sockets for them.\n"
	"\n"
	"  -f, --foreground    stay, say on stdout when ready (always so under systemd)\n"
	"  -s, --socket PATH   listen there instead of /run/graft/graftd.sock\n"
	"  -S, --state DIR     what outlives a restart, instead of the socket's directory\n"
	"  -c, --config FILE   instead of /etc/graft/graftd.conf\n"
	"  -g, --group NAME    the socket is for root and this group, instead of everybody\n"
	"  -v, --verbose       log what happens; twice: more\n"
	"  -h, --help          show this and exit\n"
	"      --version       show the version and exit\n"
	"\n"
	"An ordinary user's graftd listens at $XDG_RUNTIME_DIR/graft/graftd.sock.\n";

enum {
	OPTION_VERSION = 256,
};

static const struct option long_options[] = {
	{ "foreground", no_argument, NULL, 'f' },
	{ "socket", required_argument, NULL, 's' },
	{ "state", required_argument, NULL, 'S' },
	{ "config", required_argument, NULL, 'c' },
	{ "group", required_argument, NULL, 'g' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static _Noreturn void misuse(const char *what, const char *value)
{
	fprintf(stderr, "graftd: %s%s%s; see graftd --help\n", what, value ? " " : "",
		value ? value : "");
	exit(2);
}

static void take_option(int option, struct daemon_options *options)
{
	switch (option) {
	case 'f':
		options->foreground = true;
		break;
	case 's':
		options->socket = optarg;
		break;
	case 'S':
		options->state = optarg;
		break;
	case 'c':
		options->config = optarg;
		break;
	case 'g':
		options->group = optarg;
		break;
	case 'v':
		options->verbose++;
		break;
	case 'h':
		fputs(usage, stdout);
		exit(0);
	case OPTION_VERSION:
		puts("graftd " GRAFT_VERSION);
		exit(0);
	case ':':
		misuse("a value is missing after", optopt ? NULL : "an option");
	default:
		misuse("unknown option", NULL);
	}
}

int main(int argc, char **argv)
{
	struct daemon_options options = { 0 };
	int option, at = 1;

	if (argc && !strcmp(argv[0], HOLDER_PROCESS_NAME))
		return holder_main();
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":fs:S:c:g:vh", long_options, NULL)) >=
	       0) {
		if (option == ':')
			misuse("a value is missing after", argv[at]);
		if (option == '?')
			misuse("unknown option", argv[at]);
		take_option(option, &options);
		at = optind;
	}
	if (optind < argc)
		misuse("no arguments are taken:", argv[optind]);
	return daemon_run(&options);
}
