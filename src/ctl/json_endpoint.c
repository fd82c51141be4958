/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An endpoint as an object: what it is first, then what graftd counts of it.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/json.h"
#include "policy/policy.h"
#include "wire/wire.h"

static void add(struct json_object *to, const char *key, struct json_object *value)
{
	json_object_object_add(to, key, value);
}

/* A pid, a name or a path; null: not given. */
static struct json_object *from_netns(const struct netns_ref *netns)
{
	switch (netns->kind) {
	case NETNS_DEFAULT:
		return NULL;
	case NETNS_PID:
		return json_object_new_int(netns->pid);
	case NETNS_NAME:
	case NETNS_PATH:
		return json_text(netns->text);
	}
	return NULL;
}

static struct json_object *from_access(const struct access *access)
{
	static const char *const uses[] = {
		[ACCESS_BIND] = "binder",
		[ACCESS_CONNECT] = "connector",
		[ACCESS_BIND | ACCESS_CONNECT] = "owner",
	};
	struct json_object *object = json_object_new_object();

	add(object, "use",
	    access->uses < ARRAY_SIZE(uses) && uses[access->uses]
		    ? json_object_new_string(uses[access->uses])
		    : NULL);
	if (access->has_uid)
		add(object, "uid", json_object_new_int64(access->uid));
	if (access->has_gid)
		add(object, "gid", json_object_new_int64(access->gid));
	if (access->netns.kind != NETNS_DEFAULT)
		add(object, "netns", from_netns(&access->netns));
	if (access->cgroup)
		add(object, "cgroup", json_text(access->cgroup));
	return object;
}

static void add_place(struct json_object *to, const struct endpoint *endpoint)
{
	static const char *const types[] = {
		[ENDPOINT_IPV4] = "ipv4",   [ENDPOINT_IPV6] = "ipv6",
		[ENDPOINT_UNIX] = "unix",   [ENDPOINT_ANY] = "any",
		[ENDPOINT_NAMED] = "named",
	};
	char text[INET6_ADDRSTRLEN + 16];
	size_t len;

	add(to, "name", json_text(endpoint->name));
	add(to, "type", json_object_new_string(types[endpoint->kind]));
	if (endpoint->kind == ENDPOINT_UNIX) {
		add(to, "path", json_text(endpoint->path));
		return;
	}
	if (endpoint->kind == ENDPOINT_ANY)
		return;
	inet_ntop(endpoint->kind == ENDPOINT_IPV4 ? AF_INET : AF_INET6, &endpoint->v4,
		  text, sizeof(text));
	len = strlen(text);
	if (endpoint->zone)
		snprintf(text + len, sizeof(text) - len, "%%%u", endpoint->zone);
	add(to, "addr", json_object_new_string(text));
	add(to, "port",
	    endpoint->dynamic ? json_object_new_string("dynamic")
			      : json_object_new_int(endpoint->port));
}

struct json_object *json_from_endpoint(const struct wire_endpoint *told,
				       const struct endpoint *endpoint)
{
	struct json_object *object = json_object_new_object();
	struct json_object *access = json_object_new_array();

	add_place(object, endpoint);
	if (endpoint->dynamic)
		add(object, "bound",
		    told->port ? json_object_new_int64(told->port) : NULL);
	add(object, "netns", from_netns(&endpoint->netns));
	add(object, "hold",
	    json_object_new_boolean(!!(endpoint->options & ENDPOINT_HOLD)));
	add(object, "share",
	    json_object_new_boolean(!!(endpoint->options & ENDPOINT_SHARE)));
	for (size_t i = 0; i < endpoint->n_access; i++)
		json_object_array_add(access, from_access(&endpoint->access[i]));
	add(object, "access", access);
	add(object, "state", json_text(told->state));
	add(object, "added_by", json_object_new_int64(told->uid));
	add(object, "added_in", json_object_new_uint64(told->netns));
	add(object, "n_binds", json_object_new_uint64(told->n_binds));
	add(object, "n_connects", json_object_new_uint64(told->n_connects));
	add(object, "n_denied", json_object_new_uint64(told->n_denied));
	return object;
}
