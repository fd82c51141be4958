/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft monitor: what happens to the endpoints, as it happens, one event a line. Outlives
 * graftd and the module: it says that it lost it, and that it found it again. Every event
 * is written out at once, so a signal may end it anywhere.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "broker/client.h"
#include "ctl/command.h"
#include "ctl/json.h"
#include "ctl/table.h"
#include "ctl/talk.h"
#include "wire/wire.h"

#define RETRY_MS  100
#define NS_PER_US 1000

struct monitor {
	struct talk talk;
	bool json;
	char **names; /* only these */
	size_t n_names;
};

static void usage(FILE *to)
{
	fprintf(to, "Usage: graft monitor [--json] [NAME...]\n\n"
		    "Prints what happens to the endpoints, or to those named, until a\n"
		    "signal ends it: add, del, bind, release, connect, deny, reload.\n\n"
		    "  --json         print an object a line\n" TALK_OPTIONS_HELP
		    "  -h, --help     show this help\n\n"
		    "Exit status: 0 ended by SIGINT or SIGTERM, 1 failed, 2 misuse.\n");
}

static bool is_wanted(const struct monitor *monitor, const struct wire_event *event)
{
	for (size_t i = 0; i < monitor->n_names; i++)
		if (!strcmp(monitor->names[i], event->name))
			return true;
	return !monitor->n_names;
}

static void print_object(const struct wire_event *event)
{
	const struct wire_message message = { .type = WIRE_EVENT, .event = *event };
	struct json_object *object = json_from_message(&message);
	struct timespec now;
	const char *text;
	char seconds[32];

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(seconds, sizeof(seconds), "%lld.%06ld", (long long)now.tv_sec,
		 now.tv_nsec / NS_PER_US);
	json_object_object_add(object, "time",
			       json_object_new_double_s(strtod(seconds, NULL), seconds));
	text = json_object_to_json_string_ext(object,
					      JSON_C_TO_STRING_SPACED |
						      JSON_C_TO_STRING_NOSLASHESCAPE);
	printf("%s\n", text ? text : "");
	json_object_put(object);
}

/* "bind web uid 1000 pid 4711 text" */
static void print_line(const struct wire_event *event)
{
	char kind[sizeof(event->kind)], text[sizeof(event->text)];

	snprintf(kind, sizeof(kind), "%s", event->kind);
	snprintf(text, sizeof(text), "%s", event->text);
	text_clean(kind);
	text_clean(text);
	printf("%s", kind);
	if (event->name[0])
		printf(" %s", event->name);
	printf(" uid %" PRIu32, event->uid);
	if (event->pid)
		printf(" pid %" PRIu32, event->pid);
	printf("%s%s\n", text[0] ? " " : "", text);
}

/* Return: 0 or -errno. */
static int show(const struct monitor *monitor, const struct wire_event *event)
{
	if (!is_wanted(monitor, event))
		return 0;
	if (monitor->json)
		print_object(event);
	else
		print_line(event);
	return fflush(stdout) == EOF ? -errno : 0;
}

/* Follows one connection to its end. Return: 1 nothing more can be done, told; or
 * -errno. */
static int follow(const struct monitor *monitor)
{
	struct wire_message message;
	int r;

	for (;;) {
		r = talk_next(&monitor->talk, &message);
		if (r < 0)
			return r;
		if (message.type == WIRE_ERROR) {
			fprintf(stderr, "graft monitor: %s\n",
				talk_error_text(&message.error));
			return 1;
		}
		/* How things are comes first, endpoint by endpoint; this is about news.
		 */
		if (message.type != WIRE_EVENT)
			continue;
		r = show(monitor, &message.event);
		if (r < 0) {
			fprintf(stderr, "graft monitor: cannot print: %s\n",
				strerror(-r));
			return 1;
		}
	}
}

/* Return: 0 connected again, or -errno. */
static int reconnect(struct monitor *monitor)
{
	bool was_module = monitor->talk.module != NULL;
	int r;

	fprintf(stderr, "graft monitor: %s is gone; waiting for it\n",
		talk_with(&monitor->talk));
	talk_close(&monitor->talk);
	do {
		poll(NULL, 0, RETRY_MS);
		r = talk_watch(&monitor->talk);
	} while (r < 0 && r != -EACCES && r != -EPROTONOSUPPORT);
	if (r == 0)
		fprintf(stderr,
			"graft monitor: %s is %s; what happened in between is not "
			"known\n",
			talk_with(&monitor->talk),
			was_module == (monitor->talk.module != NULL) ? "back"
								     : "there instead");
	return r;
}

/* Returns when it failed, told. */
static void run(struct monitor *monitor)
{
	int r = talk_watch(&monitor->talk);

	while (r == 0) {
		r = follow(monitor);
		if (r < 0)
			r = reconnect(monitor);
	}
	if (r < 0)
		talk_tell(&monitor->talk, r);
	talk_close(&monitor->talk);
}

/* Return: 0, 1 when help was shown, -EINVAL. */
static int parse(struct monitor *ret, int argc, char **argv)
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

static void end(int signal)
{
	_exit(0);
}

int command_monitor(int argc, char **argv)
{
	const struct sigaction ends = { .sa_handler = end };
	struct monitor monitor = { .talk = TALK_INIT("graft monitor") };
	int r = parse(&monitor, argc, argv);

	if (r != 0)
		return r < 0 ? EXIT_MISUSE : 0;
	sigaction(SIGINT, &ends, NULL);
	sigaction(SIGTERM, &ends, NULL);
	run(&monitor);
	return 1;
}
