/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft show: the endpoints, one a line as `ip graft show` had them. graftd tells them in
 * no order, so they are kept until the last one and sorted by name.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "ctl/command.h"
#include "ctl/json.h"
#include "ctl/talk.h"
#include "policy/policy.h"

#define LINE_MAX_SIZE 2048

struct shown {
	char *name;
	char *text;
};

struct listing {
	struct talk talk;
	char **names; /* only these */
	size_t n_names;
	bool *found; /* for each of them */
	bool json;
	struct shown *shown;
	size_t n_shown, room;
};

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: graft show [--json] [NAME...]\n\n"
		"Lists the endpoints one may see, or those named, sorted by name.\n"
		"The sockets a run has are listed by `graft ps --sockets`.\n\n"
		"  --json         print an array of objects\n" TALK_OPTIONS_HELP
		"  -h, --help     show this help\n\n"
		"Exit status: 0 shown, 1 a NAME is none or graftd fails, 2 misuse.\n");
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

/* Return: the line, the caller's; NULL: no memory. */
static char *line_of(const struct wire_endpoint *message, const struct endpoint *endpoint)
{
	char text[LINE_MAX_SIZE];
	size_t len = endpoint_print_graft(endpoint, text, sizeof(text));

	if (endpoint->dynamic && message->port && len < sizeof(text))
		snprintf(text + len, sizeof(text) - len, "bound %u ", message->port);
	return strdup(text);
}

/* As line_of(). */
static char *object_of(const struct wire_endpoint *message,
		       const struct endpoint *endpoint)
{
	struct json_object *object = json_from_endpoint(message, endpoint);
	const char *text =
		json_object_to_json_string_ext(object,
					       JSON_C_TO_STRING_SPACED |
						       JSON_C_TO_STRING_NOSLASHESCAPE);
	char *copy = text ? strdup(text) : NULL;

	json_object_put(object);
	return copy;
}

/* Return: 0 or -ENOMEM. */
static int keep(struct listing *listing, const struct wire_endpoint *message,
		const struct endpoint *endpoint)
{
	struct shown item;

	if (listing->n_shown == listing->room) {
		size_t room = listing->room ? 2 * listing->room : 64;
		struct shown *bigger = realloc(listing->shown, room * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		listing->shown = bigger;
		listing->room = room;
	}
	item.name = strdup(endpoint->name);
	item.text =
		listing->json ? object_of(message, endpoint) : line_of(message, endpoint);
	listing->shown[listing->n_shown++] = item;
	return item.name && item.text ? 0 : -ENOMEM;
}

static int take(void *context, const struct wire_endpoint *message)
{
	struct listing *listing = context;
	struct endpoint endpoint;
	struct policy_error problem;
	int r;

	r = endpoint_parse(&endpoint, "graft show", message->line, strlen(message->line),
			   &problem);
	if (r == 0) {
		if (is_wanted(listing, endpoint.name))
			r = keep(listing, message, &endpoint);
		endpoint_release(&endpoint);
	}
	if (r < 0)
		fprintf(stderr, "%s\n",
			r == -EINVAL ? problem.text : "graft show: out of memory");
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Return: 0 or an exit status. */
static int print(struct listing *listing)
{
	const char *end = listing->json ? "" : "\n";

	if (listing->n_shown)
		qsort(listing->shown, listing->n_shown, sizeof(*listing->shown), by_name);
	if (listing->json)
		printf("[");
	for (size_t i = 0; i < listing->n_shown; i++)
		printf("%s%s%s",
		       !listing->json ? ""
		       : i            ? ",\n  "
				      : "\n  ",
		       listing->shown[i].text, end);
	if (listing->json)
		printf("%s]\n", listing->n_shown ? "\n" : "");
	if (fflush(stdout) != EOF && !ferror(stdout))
		return 0;
	fprintf(stderr, "graft show: cannot print: %s\n", strerror(errno));
	return 1;
}

static int show(struct listing *listing)
{
	int status = talk_open(&listing->talk);

	if (status == 0)
		status = talk_walk(&listing->talk, WIRE_ASK_ENDPOINTS, take, listing);
	if (status < 0)
		return 1;
	status = print(listing);
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
	for (size_t i = 0; i < listing->n_shown; i++) {
		free(listing->shown[i].name);
		free(listing->shown[i].text);
	}
	free(listing->shown);
	free(listing->found);
	fd_close(listing->talk.fd);
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
	struct listing listing = { .talk = { "graft show", NULL, -1 } };
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
