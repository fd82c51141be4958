/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A run has its cgroup by its number, graft-run-PID. One that has another name, as that
 * was taken by a run in another pid namespace, is shown as a cgroup.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/cgroups.h"
#include "ctl/json.h"
#include "run/census.h"

/* Whether @path, or a cgroup that it is below, is @run's own. */
static bool is_of(const char *path, const struct wire_run *run)
{
	char name[64];
	size_t size = (size_t)snprintf(name, sizeof(name), "/graft-run-%u", run->pid);
	const char *at = strstr(path, name);

	return at && (!at[size] || at[size] == '/');
}

const struct judged_cgroup *cgroups_of_run(const struct judged_list *list,
					   const struct wire_run *run)
{
	for (size_t i = 0; i < list->n; i++)
		if (is_of(list->items[i].path, run))
			return &list->items[i];
	return NULL;
}

bool cgroups_is_shown(const struct judged_cgroup *cgroup, const struct runs *runs,
		      const char *wanted)
{
	for (size_t i = 0; i < runs->n; i++)
		if (is_of(cgroup->path, &runs->items[i].run))
			return false;
	return !wanted || !strcmp(wanted, cgroup->path);
}

void cgroups_summary(const struct judged_cgroup *cgroup, char *text, size_t size)
{
	size_t n_rules = cgroup->counters.n_rules;
	unsigned long long n_calls = judged_calls(cgroup);

	snprintf(text, size, "%zu rule%s, %llu call%s%s", n_rules,
		 n_rules == 1 ? "" : "s", n_calls, n_calls == 1 ? "" : "s",
		 cgroup->counters.is_audit ? ", audit" : "");
}

struct json_object *cgroups_object(const struct judged_cgroup *cgroup)
{
	struct json_object *object = json_object_new_object();
	char text[80];

	cgroups_summary(cgroup, text, sizeof(text));
	json_object_object_add(object, "pid", NULL);
	json_object_object_add(object, "uid", json_object_new_int(0));
	json_object_object_add(object, "name", json_text(cgroup->path));
	json_object_object_add(object, "engine", json_object_new_string("cgroup"));
	json_object_object_add(object, "policy", json_text(text));
	json_object_object_add(object, "audit",
			       json_object_new_boolean(cgroup->counters.is_audit));
	json_object_object_add(object, "n_live", NULL);
	json_object_object_add(object, "n_judged",
			       json_object_new_uint64(judged_calls(cgroup)));
	return object;
}

static const char *state_of(const struct cgroup_socket *socket)
{
	if (socket->protocol != IPPROTO_TCP)
		return socket->peer.sin6_port ? "connected" : "open";
	return census_tcp_state((unsigned int)socket->state);
}

static void set_address(struct wire_address *ret, const struct sockaddr_in6 *address)
{
	if (!address->sin6_port)
		return;
	memcpy(&ret->address, address, sizeof(*address));
	ret->len = address->sin6_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						    : sizeof(struct sockaddr_in);
}

void cgroups_graft(const struct judged_cgroup *cgroup, const struct cgroup_socket *socket,
		   struct wire_graft *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->family = socket->local.sin6_family;
	ret->protocol = (uint32_t)socket->protocol;
	ret->type = socket->protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
	ret->cookie = socket->cookie;
	set_address(&ret->local, &socket->local);
	set_address(&ret->peer, &socket->peer);
	wire_set_text(ret->state, sizeof(ret->state), state_of(socket));
	judged_rule(cgroup, socket->rule, ret->rule, sizeof(ret->rule));
}

bool cgroups_rule(const struct judged_cgroup *cgroup, uint64_t cookie, char *text,
		  size_t size)
{
	for (size_t i = 0; i < cgroup->sockets.n_sockets; i++) {
		const struct cgroup_socket *socket = cgroup->sockets.sockets[i];

		if (socket->cookie != cookie)
			continue;
		judged_rule(cgroup, socket->rule, text, size);
		return true;
	}
	return false;
}
