/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * defects --list		names of the cases, one per line
 * defects NAME			one case; DEFECTS_HOST is the host's namespace, a path,
 *				without it the program is in it (native)
 *
 * Exit status: 0 passed, 1 failed with reasons on stdout, 77 cannot be done here.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "defects.h"
#include "main.h"

#define CASE_SECONDS 30

static const struct defect *const tables[] = {
	defects_address, defects_place, defects_fresh,  defects_options, defects_graft,
	defects_data,    defects_table, defects_copies, defects_odd,
};

static int list(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct defect *d = tables[i]; d->name; d++)
			puts(d->name);
	return 0;
}

static const struct defect *defect_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct defect *d = tables[i]; d->name; d++)
			if (!strcmp(d->name, name))
				return d;
	return NULL;
}

int main(int argc, char **argv)
{
	const struct defect *defect;

	setvbuf(stdout, NULL, _IOLBF, 0);
	is_native = !getenv("DEFECTS_HOST");
	if (argc > 2 && !strcmp(argv[1], "--inherited"))
		return mode_inherited(argc, argv);
	if (argc == 2 && !strcmp(argv[1], "--list"))
		return list();
	defect = argc == 2 ? defect_find(argv[1]) : NULL;
	if (!defect) {
		fprintf(stderr, "usage: defects --list | NAME\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	alarm(CASE_SECONDS);
	defect->run();
	return n_failed ? 1 : 0;
}
