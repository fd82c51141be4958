/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft ps --sockets: the sockets grafted now, which the runs are asked for one by one.
 * By which rule a run of the cgroup engine has one is the kernel's to know; so are all of
 * a cgroup that is no run's, but not who has them.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/cgroups.h"
#include "ctl/json.h"
#include "ctl/runs.h"
#include "ctl/table.h"

struct answer {
	const struct wire_run *run;
	const struct judged_cgroup *cgroup; /* of one of the cgroup engine, or NULL */
	struct table *table;                /* or */
	struct json_object *grafts;         /* an array */
	uint64_t n_left_off;
};

static const char *protocol_name(const struct wire_graft *graft)
{
	bool v6 = graft->family == AF_INET6;

	if (graft->family == AF_UNIX)
		return "unix";
	switch (graft->protocol) {
	case IPPROTO_TCP:
		return v6 ? "tcp6" : "tcp";
	case IPPROTO_UDP:
		return v6 ? "udp6" : "udp";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "icmp6";
	default:
		return "other";
	}
}

static void add_row(struct table *table, const char *run, const struct wire_graft *graft)
{
	char address[256];

	table_add(table, run);
	if (graft->pid) {
		table_add_number(table, graft->pid);
		table_add(table, graft->program);
		table_add_number(table, graft->fd);
	} else {
		table_add(table, NULL);
		table_add(table, NULL);
		table_add(table, NULL);
	}
	table_add(table, protocol_name(graft));
	table_add(table, graft->state);
	wire_print_address(&graft->local, address, sizeof(address));
	table_add(table, address);
	wire_print_address(&graft->peer, address, sizeof(address));
	table_add(table, address);
	table_add_age(table, graft->age_ns);
	table_add(table, graft->rule);
}

static struct json_object *graft_object(const struct wire_message *message)
{
	struct json_object *object = json_from_message(message);

	json_object_object_add(object, "socket",
			       json_object_new_string(protocol_name(&message->graft)));
	if (!message->graft.pid) {
		json_object_object_add(object, "pid", NULL);
		json_object_object_add(object, "program", NULL);
		json_object_object_add(object, "fd", NULL);
	}
	return object;
}

static int take_graft(void *context, const struct wire_message *message)
{
	struct answer *answer = context;
	struct wire_message graft = *message;
	char number[16];

	if (message->type == WIRE_BYE) {
		answer->n_left_off = message->bye.n_left_off;
		return 0;
	}
	if (answer->cgroup && !cgroups_rule(answer->cgroup, graft.graft.cookie,
					    graft.graft.rule, sizeof(graft.graft.rule)))
		wire_set_text(graft.graft.rule, sizeof(graft.graft.rule), "-");
	snprintf(number, sizeof(number), "%u", answer->run->pid);
	if (answer->table)
		add_row(answer->table, answer->run->name[0] ? answer->run->name : number,
			&graft.graft);
	else
		json_object_array_add(answer->grafts, graft_object(&graft));
	return 0;
}

static void show_cgroup(const struct judged_cgroup *cgroup, struct table *table,
			struct json_object *array)
{
	struct wire_message message = { .type = WIRE_GRAFT };
	struct json_object *object = NULL, *grafts = NULL;

	if (array) {
		object = json_object_new_object();
		grafts = json_object_new_array();
		json_object_object_add(object, "run", cgroups_object(cgroup));
		json_object_object_add(object, "grafts", grafts);
		json_object_array_add(array, object);
	}
	for (size_t i = 0; i < cgroup->sockets.n_sockets; i++) {
		cgroups_graft(cgroup, cgroup->sockets.sockets[i], &message.graft);
		if (grafts)
			json_object_array_add(grafts, graft_object(&message));
		else
			add_row(table, cgroup->path, &message.graft);
	}
}

/* Where the engine itself notes nothing. */
static bool is_judged(const struct wire_run *run)
{
	return !strcmp(run->engine, "cgroup");
}

/* Asks one run. A run that ended meanwhile has no grafts. */
static int ask(const struct run_peer *peer, const struct judged_list *cgroups,
	       struct table *table, struct json_object *array)
{
	struct answer answer = { .run = &peer->run,
				 .cgroup = is_judged(&peer->run)
						   ? cgroups_of_run(cgroups, &peer->run)
						   : NULL,
				 .table = table };
	struct wire_message message = { .type = WIRE_RUN };
	struct json_object *object = NULL;
	int r;

	if (array) {
		message.run = peer->run;
		object = json_object_new_object();
		answer.grafts = json_object_new_array();
		json_object_object_add(object, "run", json_from_message(&message));
		json_object_object_add(object, "grafts", answer.grafts);
		json_object_array_add(array, object);
	}
	r = runs_ask(peer, WIRE_ASK_GRAFTS, take_graft, &answer);
	if (r == -ECONNREFUSED || r == -ECONNRESET)
		return 0;
	if (r < 0)
		fprintf(stderr, "graft ps: run %u: %s\n", peer->run.pid, strerror(-r));
	if (answer.n_left_off)
		fprintf(stderr, "graft ps: run %u: %llu more not shown\n", peer->run.pid,
			(unsigned long long)answer.n_left_off);
	return r < 0;
}

int sockets_show(const struct runs *runs, const struct judged_list *cgroups,
		 const char *wanted, bool json)
{
	static const char *const header[] = {
		"RUN",   "PID",   "PROGRAM", "FD",  "PROTO",
		"STATE", "LOCAL", "PEER",    "AGE", "RULE"
	};
	_cleanup_(table_release) struct table table;
	struct json_object *array = json ? json_object_new_array() : NULL;
	int status = 0, r;

	table_init(&table, header, ARRAY_SIZE(header));
	for (size_t i = 0; i < runs->n; i++)
		status |= ask(&runs->items[i], cgroups, json ? NULL : &table, array);
	for (size_t i = 0; i < cgroups->n; i++)
		if (cgroups_is_shown(&cgroups->items[i], runs, wanted))
			show_cgroup(&cgroups->items[i], &table, array);
	if (json)
		return json_show(array) | status;
	r = table_print(&table, stdout);
	if (r < 0)
		fprintf(stderr, "graft ps: %s\n", strerror(-r));
	return r < 0 ? 1 : status;
}
