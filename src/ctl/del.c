/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft del: removes endpoints. graft reload: makes graftd read its configuration again.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "ctl/command.h"
#include "ctl/talk.h"

static void usage_del(FILE *to)
{
	fprintf(to,
		"Usage: graft del NAME...\n\n"
		"Removes endpoints. Sockets made through them stay as they are.\n\n" TALK_OPTIONS_HELP
		"  -h, --help     show this help\n\n"
		"Exit status: 0 removed, 1 some could not be, 2 misuse.\n");
}

static void usage_reload(FILE *to)
{
	fprintf(to, "Usage: graft reload\n\n"
		    "Makes graftd read its configuration again: all of it, or when\n"
		    "something is wrong with it nothing.\n\n" TALK_OPTIONS_HELP
		    "  -h, --help     show this help\n\n"
		    "Exit status: 0 done, 1 refused, 2 misuse.\n");
}

/* Return: 0, 1 when help was shown, -EINVAL. */
static int parse(struct talk *talk, int argc, char **argv, void (*usage)(FILE *))
{
	static const struct option options[] = {
		TALK_OPTIONS_LONG,
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			return 1;
		}
		if (option != TALK_OPTION_SOCKET)
			return -EINVAL;
		talk->path = optarg;
	}
	return 0;
}

/* Return: 0, 1 refused, -errno; told in any case. */
static int del(const struct talk *talk, const char *name)
{
	struct wire_message ask = { .type = WIRE_DEL };
	struct wire_error error;
	int r;

	wire_set_text(ask.del.name, sizeof(ask.del.name), name);
	r = talk_ask(talk, &ask, &error);
	if (r > 0)
		talk_refused(talk->command, name, &error);
	return r;
}

int command_del(int argc, char **argv)
{
	struct talk talk = TALK_INIT("graft del");
	int r = parse(&talk, argc, argv, usage_del), status = 0;

	if (r != 0)
		return r < 0 ? EXIT_MISUSE : 0;
	if (optind == argc) {
		fprintf(stderr, "graft del: name an endpoint; `graft show` lists them\n");
		return EXIT_MISUSE;
	}
	for (int i = optind; i < argc; i++)
		if (!talk_is_name(&talk, argv[i]))
			return EXIT_MISUSE;
	if (talk_open(&talk) < 0)
		return 1;
	for (int i = optind; i < argc && r >= 0; i++) {
		r = del(&talk, argv[i]);
		status |= r != 0;
	}
	talk_close(&talk);
	return status;
}

int command_reload(int argc, char **argv)
{
	struct talk talk = TALK_INIT("graft reload");
	const struct wire_message ask = { .type = WIRE_RELOAD };
	struct wire_error error;
	int r = parse(&talk, argc, argv, usage_reload);

	if (r != 0)
		return r < 0 ? EXIT_MISUSE : 0;
	if (optind < argc) {
		fprintf(stderr, "graft reload: takes no argument such as '%s'\n",
			argv[optind]);
		return EXIT_MISUSE;
	}
	talk.is_for_graftd = true;
	if (talk_open(&talk) < 0)
		return 1;
	r = talk_ask(&talk, &ask, &error);
	if (r > 0)
		fprintf(stderr, "graft reload: %s\n", talk_error_text(&error));
	talk_close(&talk);
	return r != 0;
}
