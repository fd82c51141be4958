// SPDX-License-Identifier: GPL-2.0-or-later
/* The command line of load; load.h says what the modes are. */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static const char usage[] =
	"usage: load serve ADDR PORT\n"
	"       load bulk|whole|rr|crr|sendto ADDR PORT SECONDS [--reverse]\n"
	"       load turns ADDR PORT SECONDS --kind KIND --place PROCS=ADDR...\n"
	"       load idle SECONDS [ADDR]\n"
	"       load await ADDR PORT PROGRAM [ARG...]\n"
	"ADDR may be the path of a UNIX socket; PORT means nothing then\n"
	"options, after the mode: [--pin CPU] [--cc NAME (cubic)] [--poll] [--sink] [--json (always)]\n";

/* What each mode takes after its name. */
static const struct mode {
	const char *name;
	bool address, seconds;
	int (*run)(const struct options *options);
} modes[] = {
	{ "serve", true, false, serve },         { "bulk", true, true, client_bulk },
	{ "rr", true, true, client_rr },         { "crr", true, true, client_crr },
	{ "sendto", true, true, client_sendto }, { "turns", true, true, client_turns },
	{ "whole", true, true, client_whole },   { "idle", false, true, idle },
};

static int misuse(void)
{
	fputs(usage, stderr);
	return 2;
}

static int pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/* PROCS=ADDR; the port and all else is as for the others, once that is known. */
static int add_place(struct options *options, char *text)
{
	char *address = strchr(text, '=');

	if (!address || options->n_places == PLACES_MAX)
		return -EINVAL;
	*address = '\0';
	options->places[options->n_places++] = (struct place){
		.cgroup = text,
		.address = address + 1,
	};
	return 0;
}

static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option long_options[] = {
		{ "reverse", no_argument, NULL, 'r' },
		{ "pin", required_argument, NULL, 'p' },
		{ "cc", required_argument, NULL, 'c' },
		{ "poll", no_argument, NULL, 'P' },
		{ "sink", no_argument, NULL, 's' },
		{ "kind", required_argument, NULL, 'k' },
		{ "place", required_argument, NULL, 'l' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	int option, r = 0;

	while (r == 0 &&
	       (option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
		if (option == 'r')
			options->reverse = true;
		else if (option == 'p')
			options->pin = (int)strtol(optarg, NULL, 10);
		else if (option == 'c')
			options->congestion_control = optarg;
		else if (option == 'P')
			options->polls = true;
		else if (option == 's')
			options->sinks = true;
		else if (option == 'k')
			options->kind = optarg;
		else if (option == 'l')
			r = add_place(options, optarg);
		else if (option != 'j')
			r = -EINVAL;
	}
	return r;
}

static int await(int argc, char **argv, struct options *options)
{
	if (argc < 5 || address_parse(argv[2], argv[3], options) < 0)
		return misuse();
	return client_await(options, argv + 4);
}

/* ADDR PORT, SECONDS or SECONDS [ADDR], as the mode has it. */
static int parse_operands(const struct mode *mode, int n, char **operands,
			  struct options *options)
{
	int want = mode->address * 2 + mode->seconds, i = mode->address * 2;
	bool own_address = !mode->address && n == want + 1;
	char *end;

	if (n != want && !own_address)
		return -EINVAL;
	if (mode->seconds) {
		options->seconds = strtod(operands[i], &end);
		if (end == operands[i] || *end || !(options->seconds > 0))
			return -EINVAL;
	}
	for (size_t j = 0; mode->address && j < options->n_places; j++) {
		struct place *place = &options->places[j];

		place->options = *options;
		if (address_parse(place->address, operands[1], &place->options) < 0)
			return -EINVAL;
	}
	if (mode->address)
		return address_parse(operands[0], operands[1], options);
	return address_parse(own_address ? operands[1] : "127.0.0.1", "0", options);
}

int main(int argc, char **argv)
{
	static struct place places[PLACES_MAX];
	struct options options = { .pin = -1,
				   .congestion_control = "cubic",
				   .places = places };

	if (argc < 2)
		return misuse();
	if (strcmp(argv[1], "await") == 0)
		return await(argc, argv, &options);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (strcmp(argv[1], modes[i].name) != 0)
			continue;
		argc--;
		argv++;
		if (parse_options(argc, argv, &options) < 0 ||
		    parse_operands(&modes[i], argc - optind, argv + optind, &options) < 0)
			return misuse();
		if (options.pin >= 0 && pin(options.pin) < 0) {
			fprintf(stderr, "load: CPU %d: %s\n", options.pin,
				strerror(errno));
			return 1;
		}
		return modes[i].run(&options);
	}
	return misuse();
}
