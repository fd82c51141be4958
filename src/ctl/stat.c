/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft stat: how many calls each rule of a cgroup's policy has decided.
 */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "ctl/command.h"
#include "ctl/json.h"
#include "ctl/table.h"
#include "intercept/cgroup/cgroup.h"
#include "run/judged.h"

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: graft stat [--json] CGROUP\n\n"
		"Shows how many calls each rule of CGROUP's policy has decided since it\n"
		"was attached or replaced. Needs root.\n\n"
		"      --json  the same for programs\n"
		"  -h, --help  show this help\n\n"
		"Exit status: 0 it was shown, 1 CGROUP has no policy, 2 bad usage.\n");
}

/* The next line of @at, ended there. */
static char *next_line(char **at)
{
	char *line = strsep(at, "\n");

	return line ? line : "";
}

static int show_table(struct cgroup_counters *counters)
{
	static const char *const header[] = { "NUMBER", "CALLS", "RULE" };
	char number[24], rule[600];
	_cleanup_(table_release) struct table table;
	char *at = counters->text;
	int r;

	table_init(&table, header, ARRAY_SIZE(header));
	for (size_t i = 0; i <= counters->n_rules; i++) {
		bool is_rule = i < counters->n_rules;

		snprintf(number, sizeof(number), "%zu", i + 1);
		table_add(&table, is_rule ? number : "-");
		table_add_number(&table, counters->hits[i]);
		snprintf(rule, sizeof(rule), "%s%s",
			 is_rule ? next_line(&at) : "(no rule)",
			 counters->is_revoked[i] ? " (revoked)" : "");
		table_add(&table, rule);
	}
	r = table_print(&table, stdout);
	if (r < 0)
		fprintf(stderr, "graft stat: %s\n", strerror(-r));
	return r < 0;
}

static int show_json(struct cgroup_counters *counters)
{
	struct json_object *object = json_object_new_object();
	struct json_object *rules = json_object_new_array();
	char *at = counters->text;

	for (size_t i = 0; i < counters->n_rules; i++) {
		struct json_object *rule = json_object_new_object();

		json_object_object_add(rule, "number", json_object_new_uint64(i + 1));
		json_object_object_add(rule, "rule", json_text(next_line(&at)));
		json_object_object_add(rule, "calls",
				       json_object_new_uint64(counters->hits[i]));
		json_object_object_add(rule, "revoked",
				       json_object_new_boolean(counters->is_revoked[i]));
		json_object_array_add(rules, rule);
	}
	json_object_object_add(object, "audit",
			       json_object_new_boolean(counters->is_audit));
	json_object_object_add(object, "rules", rules);
	json_object_object_add(object, "undecided",
			       json_object_new_uint64(counters->hits[counters->n_rules]));
	return json_show(object);
}

int command_stat(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct cgroup_counters counters;
	bool is_json = false;
	int option, r;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			return 0;
		}
		if (option != 'j')
			return EXIT_MISUSE;
		is_json = true;
	}
	if (argc - optind != 1) {
		fprintf(stderr, "graft stat: name one CGROUP\n");
		return EXIT_MISUSE;
	}
	log_init(STDERR_FILENO, LOG_LEVEL_WARNING, "graft stat");
	if (run_judged_count(argv[optind], &counters) < 0)
		return 1;
	r = is_json ? show_json(&counters) : show_table(&counters);
	cgroup_counters_release(&counters);
	return r;
}
