/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft show: the endpoints, one a line as `ip graft show` had them, or an array of
 * objects. Each is printed as it is told and none is kept, so what this takes does
 * not depend on how many there are.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/command.h"
#include "ctl/json.h"
#include "ctl/talk.h"
#include "policy/policy.h"

#define LINE_MAX_SIZE 2048

struct listing {
	struct talk talk;
	char **names; /* only these */
	size_t n_names;
	bool *found; /* for each of them */
	bool json;
	size_t n_shown;
};

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: graft show [--json] [NAME...]\n\n"
		"Lists the endpoints one may see, or those named, as graftd or the module\n"
		"af_graft has them.\n"
		"The sockets a run has are listed by `graft ps --sockets`.\n\n"
		"  --json         print an array of objects\n" TALK_OPTIONS_HELP
		"  -h, --help     show this help\n\n"
		"Exit status: 0 shown, 1 a NAME is none or it failed, 2 misuse.\n");
}

static bool is_wanted(struct listing *listing, const char *name)
{
	bool wanted = !listing->n_names;

	for (size_t i = 0; i < listing->n_names; i++) {
		if (!strcmp(listing->names[i], name)) {
			listing->found[i] = true;
			wanted = true;
		}
	}
	return wanted;
}

static int print_line(const struct wire_endpoint *message,
		      const struct endpoint *endpoint)
{
	char text[LINE_MAX_SIZE];

	endpoint_print_graft(endpoint, text, sizeof(text));
	fputs(text, stdout);
	if (endpoint->dynamic && message->port)
		printf("bound %u ", message->port);
	return putchar('\n') == EOF ? -errno : 0;
}

/* After @n others of the array. */
static int print_object(const struct wire_endpoint *message,
			const struct endpoint *endpoint, size_t n)
{
	struct json_object *object = json_from_endpoint(message, endpoint);
	const char *text =
		json_object_to_json_string_ext(object,
					       JSON_C_TO_STRING_SPACED |
						       JSON_C_TO_STRING_NOSLASHESCAPE);
	int r = -ENOMEM;

	if (text)
		r = printf("%s\n  %s", n ? "," : "[", text) < 0 ? -errno : 0;
	json_object_put(object);
	return r;
}

static int print(struct listing *listing, const struct wire_endpoint *message,
		 const struct endpoint *endpoint)
{
	int r = listing->json ? print_object(message, endpoint, listing->n_shown)
			      : print_line(message, endpoint);

	listing->n_shown++;
	if (r < 0)
		fprintf(stderr, "graft show: cannot print: %s\n", strerror(-r));
	return r;
}

static int take(void *context, const struct wire_endpoint *message,
		const struct endpoint *endpoint)
{
	struct listing *listing = context;

	return is_wanted(listing, endpoint->name) ? print(listing, message, endpoint) : 0;
}

/* Return: 0 or an exit status. */
static int finish(const struct listing *listing)
{
	if (listing->json)
		printf("%s]\n", listing->n_shown ? "\n" : "[");
	if (fflush(stdout) != EOF && !ferror(stdout))
		return 0;
	fprintf(stderr, "graft show: cannot print: %s\n", strerror(errno));
	return 1;
}

static int show(struct listing *listing)
{
	int status = talk_open(&listing->talk);

	if (status == 0)
		status = talk_walk(&listing->talk, take, listing);
	if (status < 0)
		return 1;
	status = finish(listing);
	for (size_t i = 0; i < listing->n_names; i++) {
		if (listing->found[i])
			continue;
		fprintf(stderr, "graft show: %s: no such endpoint\n", listing->names[i]);
		status = 1;
	}
	return status;
}

static void release(struct listing *listing)
{
	free(listing->found);
	talk_close(&listing->talk);
}

/* Return: 0, 1 when help was shown, -EINVAL. */
static int parse(struct listing *ret, int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		TALK_OPTIONS_LONG,
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			ret->json = true;
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
	ret->names = argv + optind;
	ret->n_names = (size_t)(argc - optind);
	for (size_t i = 0; i < ret->n_names; i++)
		if (!talk_is_name(&ret->talk, ret->names[i]))
			return -EINVAL;
	return 0;
}

int command_show(int argc, char **argv)
{
	struct listing listing = { .talk = TALK_INIT("graft show") };
	int r = parse(&listing, argc, argv), status;

	if (r != 0)
		return r < 0 ? EXIT_MISUSE : 0;
	listing.found = calloc(listing.n_names + 1, sizeof(*listing.found));
	if (!listing.found) {
		fprintf(stderr, "graft show: out of memory\n");
		return 1;
	}
	status = show(&listing);
	release(&listing);
	return status;
}
