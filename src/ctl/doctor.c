/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft doctor: what this kernel and user can do. Tries everything in probe.c and says
 * of each engine whether it can work and why.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/json.h"
#include "ctl/probe.h"

static const char *const level_names[] = { "ok", "weak", "no" };

static const struct {
	enum probe_engine bit;
	const char *name, *about;
} engines[] = {
	{ PROBE_NOTIFY, "notify", "any program, static ones too, without root" },
	{ PROBE_PRELOAD, "preload", "dynamic programs, as a convenience and no fence" },
	{ PROBE_AF_GRAFT, "af_graft",
	  "programs that use AF_GRAFT, by the kernel itself" },
	{ PROBE_CGROUP, "cgroup",
	  "any program where it is, judged by the kernel; for root" },
};

struct findings {
	struct probe_result *results; /* one for each probe */
	/* By engine: the first probe that failed and that it needs, or NULL. */
	const char *missing[ARRAY_SIZE(engines)];
};

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: graft doctor [--json]\n\n"
		"Tries what `graft run` needs of this kernel and user, each in a process\n"
		"of its own. Exit status 0 when `graft run` can work, 1 otherwise.\n\n"
		"  --json      print one object\n"
		"  -h, --help  show this help\n");
}

static int examine(struct findings *ret)
{
	*ret = (struct findings){ .results = calloc(n_probes, sizeof(*ret->results)) };
	if (!ret->results)
		return -ENOMEM;
	for (size_t i = 0; i < n_probes; i++) {
		probes[i].run(&ret->results[i]);
		for (size_t j = 0; j < ARRAY_SIZE(engines); j++)
			if (probes[i].needed_by & engines[j].bit &&
			    ret->results[i].level == PROBE_NO && !ret->missing[j])
				ret->missing[j] = probes[i].what;
	}
	return 0;
}

static void show_lines(const struct findings *findings)
{
	for (size_t i = 0; i < n_probes; i++) {
		const struct probe_result *result = &findings->results[i];

		printf("%-4s  %s: %s%s%s\n", level_names[result->level], probes[i].what,
		       result->fact, result->advice ? " — " : "",
		       result->advice ? result->advice : "");
	}
	printf("\n");
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		printf("%-4s  engine %s: %s%s\n", findings->missing[i] ? "no" : "ok",
		       engines[i].name, findings->missing[i] ? "not without " : "",
		       findings->missing[i] ? findings->missing[i] : engines[i].about);
}

static struct json_object *engine(const char *name, bool works, const char *reason)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "name", json_text(name));
	json_object_object_add(object, "works", json_object_new_boolean(works));
	json_object_object_add(object, "reason", json_text(reason));
	return object;
}

static int show_json(const struct findings *findings)
{
	struct json_object *all = json_object_new_object();
	struct json_object *checks = json_object_new_array();
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < n_probes; i++) {
		const struct probe_result *result = &findings->results[i];
		struct json_object *object = json_object_new_object();

		json_object_object_add(object, "what", json_text(probes[i].what));
		json_object_object_add(object, "level",
				       json_text(level_names[result->level]));
		json_object_object_add(object, "required",
				       json_object_new_boolean((probes[i].needed_by &
								PROBE_NOTIFY) != 0));
		json_object_object_add(object, "fact", json_text(result->fact));
		json_object_object_add(object, "advice",
				       result->advice ? json_text(result->advice) : NULL);
		json_object_array_add(checks, object);
	}
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		char reason[128] = "everything it needs is there";

		if (findings->missing[i])
			snprintf(reason, sizeof(reason), "not without %s",
				 findings->missing[i]);
		json_object_array_add(list, engine(engines[i].name, !findings->missing[i],
						   reason));
	}
	json_object_object_add(all, "works",
			       json_object_new_boolean(!findings->missing[0]));
	json_object_object_add(all, "checks", checks);
	json_object_object_add(all, "engines", list);
	return json_show(all);
}

int command_doctor(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct findings findings;
	bool json = false;
	int option, status = 0;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			return 0;
		}
		if (option != 'j') {
			usage(stderr);
			return EXIT_MISUSE;
		}
		json = true;
	}
	if (optind != argc) {
		usage(stderr);
		return EXIT_MISUSE;
	}
	if (examine(&findings) < 0) {
		fprintf(stderr, "graft doctor: no memory\n");
		return 1;
	}
	if (json)
		status = show_json(&findings);
	else
		show_lines(&findings);
	free(findings.results);
	return findings.missing[0] ? 1 : status;
}
