/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft ps --sockets: the sockets grafted now, which the runs are asked for one by one.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/json.h"
#include "ctl/runs.h"
#include "ctl/table.h"

struct answer {
	const struct wire_run *run;
	struct table *table;        /* or */
	struct json_object *grafts; /* an array */
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

static void add_row(struct table *table, const struct wire_run *run,
		    const struct wire_graft *graft)
{
	char address[256];

	if (run->name[0])
		table_add(table, run->name);
	else
		table_add_number(table, run->pid);
	table_add_number(table, graft->pid);
	table_add(table, graft->program);
	table_add_number(table, graft->fd);
	table_add(table, protocol_name(graft));
	table_add(table, graft->state);
	wire_print_address(&graft->local, address, sizeof(address));
	table_add(table, address);
	wire_print_address(&graft->peer, address, sizeof(address));
	table_add(table, address);
	table_add_age(table, graft->age_ns);
	table_add(table, graft->rule);
}

static int take_graft(void *context, const struct wire_message *message)
{
	struct answer *answer = context;
	struct json_object *object;

	if (message->type == WIRE_BYE) {
		answer->n_left_off = message->bye.n_left_off;
		return 0;
	}
	if (answer->table) {
		add_row(answer->table, answer->run, &message->graft);
		return 0;
	}
	object = json_from_message(message);
	json_object_object_add(object, "socket",
			       json_object_new_string(protocol_name(&message->graft)));
	json_object_array_add(answer->grafts, object);
	return 0;
}

/* Asks one run. A run that ended meanwhile has no grafts. */
static int ask(const struct run_peer *peer, struct table *table,
	       struct json_object *array)
{
	struct answer answer = { .run = &peer->run, .table = table };
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

int sockets_show(const struct runs *runs, bool json)
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
		status |= ask(&runs->items[i], json ? NULL : &table, array);
	if (json)
		return json_show(array) | status;
	r = table_print(&table, stdout);
	if (r < 0)
		fprintf(stderr, "graft ps: %s\n", strerror(-r));
	return r < 0 ? 1 : status;
}
