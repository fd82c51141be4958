/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft add: defines an endpoint, or with --batch those of a file.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/batch.h"
#include "ctl/command.h"
#include "ctl/talk.h"
#include "ctl/words.h"

enum {
	OPTION_BATCH = 0x200,
	OPTION_FORCE,
};

struct request {
	struct talk talk;
	const char *batch; /* a file, "-" or NULL */
	bool force;
};

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: graft add NAME type ipv4|ipv6 [addr ADDR] [port PORT|dynamic] "
		"[OPTION]...\n"
		"       graft add NAME type unix path PATH [OPTION]...\n"
		"       graft add NAME type any [OPTION]...\n"
		"       graft add NAME ipv4|ipv6 ADDR:PORT [OPTION]...\n"
		"       graft add [--force] --batch FILE|-\n\n"
		"Defines an endpoint, to which programs bind and connect by its NAME.\n\n"
		"OPTION is one of\n"
		" netns PID|NAME|PATH   whose network it is in; else yours, on the host its\n"
		" hold                  graftd keeps the socket while the server restarts\n"
		" share                 several servers at once\n"
		" owner|binder|connector WHO   who may use it, bind it, connect to it:\n"
		"       any, or of uid=USER gid=GROUP netns=REF cgroup=PATH some, with commas\n"
		"The module af_graft has no hold, netns= and cgroup=; graftd no type any.\n\n"
		"  --batch FILE   one endpoint per line, without the words `graft add`\n"
		"  --force        go on after a line that fails\n" TALK_OPTIONS_HELP
		"  -h, --help     show this help\n\n"
		"Exit status: 0 added, 1 refused, 2 misuse or bad input.\n");
}

/* Return: 0 or -EINVAL, told. */
static int join(char *text, size_t size, char **words, int n_words)
{
	size_t len = 0;

	for (int i = 0; i < n_words; i++) {
		int n = snprintf(text + len, size - len, "%s%s", i ? " " : "", words[i]);

		if (n < 0 || (size_t)n >= size - len) {
			fprintf(stderr, "graft add: too many words\n");
			return -EINVAL;
		}
		len += (size_t)n;
	}
	return 0;
}

static int add(struct talk *talk, char **words, int n_words)
{
	struct wire_message ask = { .type = WIRE_ADD };
	char text[2 * sizeof(ask.add.line)], name[POLICY_NAME_MAX + 1];
	struct policy_error problem;
	struct wire_error error;
	int r = join(text, sizeof(text), words, n_words);

	if (r < 0)
		return EXIT_MISUSE;
	r = words_to_add(talk->command, text, strlen(text), &ask.add, name, &problem);
	if (r != 0) {
		fprintf(stderr, "%s\n",
			r == -EINVAL ? problem.text
			: r == 1     ? "graft add: name an endpoint"
				     : "graft add: out of memory");
		return r == -ENOMEM ? 1 : EXIT_MISUSE;
	}
	if (talk_open(talk) < 0)
		return 1;
	r = talk_ask(talk, &ask, &error);
	if (r > 0)
		talk_refused(talk->command, name, &error);
	return r != 0;
}

/* Return: 0, 1 when help was shown, -EINVAL. */
static int parse(struct request *ret, int argc, char **argv)
{
	static const struct option options[] = {
		{ "batch", required_argument, NULL, OPTION_BATCH },
		{ "force", no_argument, NULL, OPTION_FORCE },
		TALK_OPTIONS_LONG,
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case OPTION_BATCH:
			ret->batch = optarg;
			break;
		case OPTION_FORCE:
			ret->force = true;
			break;
		case TALK_OPTION_SOCKET:
			ret->talk.path = optarg;
			break;
		case 'h':
			usage(stdout);
			return 1;
		default:
			return -EINVAL;
		}
	}
	if (ret->batch && optind < argc) {
		fprintf(stderr, "graft add: '%s' beside --batch: one or the other\n",
			argv[optind]);
		return -EINVAL;
	}
	if (ret->force && !ret->batch) {
		fprintf(stderr, "graft add: --force goes with --batch only\n");
		return -EINVAL;
	}
	if (!ret->batch && optind == argc) {
		fprintf(stderr, "graft add: name an endpoint; `graft add --help` shows "
				"how\n");
		return -EINVAL;
	}
	return 0;
}

int command_add(int argc, char **argv)
{
	struct request request = { .talk = TALK_INIT("graft add") };
	int r = parse(&request, argc, argv), status;

	if (r != 0)
		return r < 0 ? EXIT_MISUSE : 0;
	status = request.batch ? batch_add(&request.talk, request.batch, request.force)
			       : add(&request.talk, argv + optind, argc - optind);
	talk_close(&request.talk);
	return status;
}
