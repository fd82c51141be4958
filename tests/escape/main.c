/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * escape --list				the attempts, for the runner
 * escape [--tries N] [--bare] NAME WAY		one attempt; --bare: without the checks
 *						that the allowed service answers
 * escape --fd N WAY				what an exec'd copy of a socket does
 * escape --with-descriptors COMMAND...		leaves a ring and sockets open for COMMAND
 * escape --with-poller COMMAND...		leaves a ring open that is polled here
 * escape --give PATH WAY			sends one socket to whoever connects there
 * escape --take PATH WAY			uses the sockets it is sent there
 * escape --victim				a process to be attacked; says "ready"
 *
 * Exit status: 0 tried, 3 the allowed service did not answer, 4 not after the attempt,
 * 77 this kernel cannot do the attempt.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <unistd.h>

#include "escape.h"
#include "modes.h"

unsigned long n_tries = 1000;
const char *self_path;
bool is_grafted;

static const struct attempt *const tables[] = {
	attempts_address, attempts_reconnect,   attempts_copy,      attempts_send,
	attempts_option,  attempts_bind,        attempts_race,      attempts_table,
	attempts_abi,     attempts_ring,        attempts_namespace, attempts_rights,
	attempts_process, attempts_seccomp,     attempts_family,    attempts_flood,
	attempts_pointer, attempts_table_clone, attempts_unix,      attempts_route,
	attempts_random,  attempts_cgroup,      attempts_replace,   attempts_poll,
	attempts_path,
};

static const struct way ways[] = {
	{ WAY_TCP4, "tcp4", AF_INET, SOCK_STREAM },
	{ WAY_TCP6, "tcp6", AF_INET6, SOCK_STREAM },
	{ WAY_UDP4, "udp4", AF_INET, SOCK_DGRAM },
	{ WAY_UDP6, "udp6", AF_INET6, SOCK_DGRAM },
	{ WAY_NONE, "-", AF_INET, SOCK_STREAM },
};

const struct way *way_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (!strcmp(ways[i].name, name))
			return &ways[i];
	return NULL;
}

static const struct attempt *attempt_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct attempt *a = tables[i]; a->name; a++)
			if (!strcmp(a->name, name))
				return a;
	return NULL;
}

static const struct {
	unsigned int flag;
	const char *name;
} flag_names[] = {
	{ NEEDS_ROOT, "root" },       { NEEDS_GIVER, "giver" },
	{ NEEDS_INHERIT, "inherit" }, { NEEDS_SETUID, "setuid" },
	{ NEEDS_USER, "user" },       { IS_RACE, "race" },
	{ IS_KNOWN_OPEN, "known" },   { ENDS_RUN, "ends" },
	{ COMPARES, "compares" },     { NARROW_ONLY, "narrow" },
	{ IS_GRANTED, "granted" },    { TCP_ONLY, "tcp-only" },
	{ NEEDS_UNIX, "unix" },       { ONLY_CGROUP, "cgroup" },
	{ STARTS_OPEN, "open" },      { SWAPS, "swap" },
	{ NEEDS_TAKER, "taker" },     { NEEDS_POLLER, "poller" },
	{ NEEDS_PATHS, "paths" },     { DENIES_PATH, "denies-path" },
};

static int list(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		for (const struct attempt *a = tables[i]; a->name; a++) {
			printf("%s\t", a->name);
			for (size_t w = 0; w < ARRAY_SIZE(ways); w++)
				if (a->ways & ways[w].bit)
					printf("%s ", ways[w].name);
			printf("\t");
			for (size_t f = 0; f < ARRAY_SIZE(flag_names); f++)
				if (a->flags & flag_names[f].flag)
					printf("%s ", flag_names[f].name);
			printf("\t%s\n", a->what);
		}
	}
	return 0;
}

static int attempt_run(const struct attempt *attempt, const struct way *way, bool is_bare)
{
	if (!is_bare && check_allowed(way) < 0)
		return 3;
	note("allowed: answers");
	attempt->run(way);
	if (!is_bare && !(attempt->flags & ENDS_RUN) && check_allowed(way) < 0)
		return 4;
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: escape [--tries N] [--bare] NAME WAY | --list\n");
	return 2;
}

static int mode_find(int argc, char **argv)
{
	if (!strcmp(argv[1], "--list"))
		return list();
	if (!strcmp(argv[1], "--victim"))
		return mode_victim();
	if (argc > 2 && !strcmp(argv[1], "--with-descriptors"))
		return mode_with_descriptors(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "--fd") && way_find(argv[3]))
		return mode_fd(atoi(argv[2]), way_find(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "--give") && way_find(argv[3]))
		return mode_give(argv[2], way_find(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "--take") && way_find(argv[3]))
		return mode_take(argv[2], way_find(argv[3]));
	if (argc > 2 && !strcmp(argv[1], "--with-poller"))
		return mode_with_poller(argv + 2);
	if (argc == 2 && !strcmp(argv[1], "--identity"))
		return mode_identity();
	return -1;
}

int main(int argc, char **argv)
{
	bool is_bare = false;
	int i = 1, status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	self_path = getenv("ESCAPE_PROGRAM") ?: argv[0];
	is_grafted = getenv("ESCAPE_GRAFTED") != NULL;
	if (argc < 2)
		return usage();
	status = mode_find(argc, argv);
	if (status >= 0)
		return status;
	for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		if (!strcmp(argv[i], "--bare"))
			is_bare = true;
		else if (!strcmp(argv[i], "--tries") && i + 1 < argc)
			n_tries = strtoul(argv[++i], NULL, 10);
		else
			return usage();
	}
	if (argc - i != 2 || !attempt_find(argv[i]) || !way_find(argv[i + 1]))
		return usage();
	return attempt_run(attempt_find(argv[i]), way_find(argv[i + 1]), is_bare);
}
