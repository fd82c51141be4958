/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft ps: the live runs, and the cgroups with a policy that are no run's; or the
 * sockets they hold.
 *
 * The number of live grafts is counted from the answer that --sockets prints, so the two
 * agree; the run's own n_grafts counts those made since it began.
 */
#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/cgroups.h"
#include "ctl/command.h"
#include "ctl/json.h"
#include "ctl/runs.h"
#include "ctl/table.h"

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: graft ps [--sockets] [--json] [RUN]\n\n"
		"Lists live runs: your own, or everybody's for root; or the one with\n"
		"this process id or name. For root, cgroups that `graft attach` put a\n"
		"policy on as well.\n\n"
		"  --sockets   list the sockets grafted now instead\n"
		"  --json      print an array of objects\n"
		"  -h, --help  show this help\n");
}

static int count(void *context, const struct wire_message *message)
{
	uint64_t *n = context;

	*n += message->type == WIRE_BYE ? message->bye.n_left_off : 1;
	return 0;
}

/* Return: 0 or -errno; a run that ended meanwhile has no grafts. */
static int count_live(const struct run_peer *peer, uint64_t *ret)
{
	uint64_t n = 0;
	int r = runs_ask(peer, WIRE_ASK_GRAFTS, count, &n);

	if (r < 0 && r != -ECONNREFUSED && r != -ECONNRESET)
		return r;
	*ret = n;
	return 0;
}

static int show_json(const struct runs *runs, const struct judged_list *cgroups,
		     const char *wanted)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < runs->n; i++) {
		const struct judged_cgroup *cgroup =
			cgroups_of_run(cgroups, &runs->items[i].run);
		struct wire_message message = { .type = WIRE_RUN };
		struct json_object *object;
		uint64_t n_live;
		bool is_known = count_live(&runs->items[i], &n_live) == 0;

		message.run = runs->items[i].run;
		object = json_from_message(&message);
		json_object_object_add(object, "n_live",
				       is_known ? json_object_new_uint64(n_live) : NULL);
		json_object_object_add(object, "n_judged",
				       cgroup ? json_object_new_uint64(
							judged_calls(cgroup))
					      : NULL);
		json_object_array_add(array, object);
	}
	for (size_t i = 0; i < cgroups->n; i++)
		if (cgroups_is_shown(&cgroups->items[i], runs, wanted))
			json_object_array_add(array, cgroups_object(&cgroups->items[i]));
	return json_show(array);
}

static void add_cgroup(struct table *table, const struct judged_cgroup *cgroup)
{
	char text[80];

	cgroups_summary(cgroup, text, sizeof(text));
	table_add(table, NULL);
	table_add(table, cgroup->path);
	table_add(table, "root");
	table_add(table, "cgroup");
	table_add(table, NULL);
	table_add(table, NULL);
	table_add(table, text);
	table_add(table, NULL);
}

static int show_table(const struct runs *runs, const struct judged_list *cgroups,
		      const char *wanted)
{
	static const char *const header[] = { "PID", "NAME",   "USER",   "ENGINE",
					      "AGE", "GRAFTS", "POLICY", "COMMAND" };
	_cleanup_(table_release) struct table table;
	int r;

	table_init(&table, header, ARRAY_SIZE(header));
	for (size_t i = 0; i < runs->n; i++) {
		const struct wire_run *run = &runs->items[i].run;
		const struct passwd *user = getpwuid(run->uid);
		uint64_t n_live;

		table_add_number(&table, run->pid);
		table_add(&table, run->name);
		if (user)
			table_add(&table, user->pw_name);
		else
			table_add_number(&table, run->uid);
		table_add(&table, run->engine);
		table_add_age(&table, run->age_ns);
		if (count_live(&runs->items[i], &n_live) == 0)
			table_add_number(&table, n_live);
		else
			table_add(&table, NULL);
		table_add(&table, run->policy);
		table_add(&table, run->command);
	}
	for (size_t i = 0; i < cgroups->n; i++)
		if (cgroups_is_shown(&cgroups->items[i], runs, wanted))
			add_cgroup(&table, &cgroups->items[i]);
	r = table_print(&table, stdout);
	if (r < 0)
		fprintf(stderr, "graft ps: %s\n", strerror(-r));
	return r < 0;
}

struct request {
	bool sockets, json;
	const char *run; /* or NULL: all */
};

/* Return: 0, 1 when help was shown, -EINVAL. */
static int parse(struct request *ret, int argc, char **argv)
{
	static const struct option options[] = {
		{ "sockets", no_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 's':
			ret->sockets = true;
			break;
		case 'j':
			ret->json = true;
			break;
		case 'h':
			usage(stdout);
			return 1;
		default:
			return -EINVAL;
		}
	}
	if (argc - optind > 1) {
		fprintf(stderr, "graft ps: one RUN at most, not '%s' too\n",
			argv[optind + 1]);
		return -EINVAL;
	}
	ret->run = argv[optind];
	return 0;
}

static bool is_any(const struct runs *runs, const struct judged_list *cgroups,
		   const char *wanted)
{
	for (size_t i = 0; i < cgroups->n; i++)
		if (cgroups_is_shown(&cgroups->items[i], runs, wanted))
			return true;
	return runs->n > 0;
}

/* Return: an exit status. */
static int show(const struct request *request, const struct runs *runs,
		const struct judged_list *cgroups)
{
	if (request->run && !is_any(runs, cgroups, request->run)) {
		fprintf(stderr, "graft ps: no live run '%s'; `graft ps` lists them\n",
			request->run);
		return 1;
	}
	if (request->sockets)
		return sockets_show(runs, cgroups, request->run, request->json);
	return request->json ? show_json(runs, cgroups, request->run)
			     : show_table(runs, cgroups, request->run);
}

int command_ps(int argc, char **argv)
{
	_cleanup_(judged_list_release) struct judged_list cgroups = { 0 };
	_cleanup_(runs_release) struct runs runs = { 0 };
	struct request request = { 0 };
	int r = parse(&request, argc, argv);

	if (r != 0)
		return r < 0 ? EXIT_MISUSE : 0;
	r = runs_find(&runs, request.run);
	if (r < 0) {
		fprintf(stderr, "graft ps: cannot look for runs: %s\n", strerror(-r));
		return 1;
	}
	if (runs.n_silent)
		fprintf(stderr, "graft ps: %zu of the runs did not answer\n",
			runs.n_silent);
	r = judged_list_new(&cgroups, request.sockets);
	if (r < 0)
		fprintf(stderr, "graft ps: cannot look for cgroups: %s\n", strerror(-r));
	return show(&request, &runs, &cgroups) || r < 0;
}
