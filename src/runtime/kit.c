/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 *	docker run -p 8080:80
 *	  dockerd		is asked for 8080, and keeps its own account of who has it
 *	  docker-proxy		rootlesskit-docker-proxy, which asks RootlessKit for it
 *	  RootlessKit		listens on the host
 *	  server's bind		we: DELETE; the socket, which is the host's, gets 8080
 *	docker stop
 *	  docker-proxy		asks RootlessKit to close what it has closed, which it
 *				refuses, and that is all
 *
 * The API is HTTP at a UNIX socket in RootlessKit's state directory, which it tells its
 * children:
 *
 *	GET /v1/ports		[{"id": 1, "spec": {"proto": "tcp4",
 *				"parentIP": "0.0.0.0", "parentPort": 8080, ...}}, ...]
 *	DELETE /v1/ports/1
 *
 * Asked by HTTP/1.0 it ends an answer by closing the connection, and sends it as it is.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/address.h"
#include "base/fd.h"
#include "base/number.h"
#include "policy/policy.h"
#include "runtime/docker.h"
#include "runtime/json_part.h"
#include "runtime/kit.h"
#include "runtime/outside.h"

#define ANSWER_MAX (1u << 20)
#define PATIENCE_S 5
#define SPEC_SIZE  128

/* --- its API --- */

static int connect_to_api(void)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/api.sock",
		     getenv(OUTSIDE_KIT)) >= (int)sizeof(address.sun_path))
		return -ENAMETOOLONG;
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return fd_steal(&fd);
}

/* @what: "GET /path". Return: 0, *ret_body is the caller's; -EPROTO: it says no;
 * -errno. */
static int ask(const char *what, char **ret_body)
{
	_cleanup_free_ char *answer = calloc(1, ANSWER_MAX + 1);
	_cleanup_fd_ int fd = connect_to_api();
	char request[128];
	const char *body;
	ssize_t n;

	if (fd < 0 || !answer)
		return fd < 0 ? fd : -ENOMEM;
	snprintf(request, sizeof(request), "%s HTTP/1.0\r\nHost: rootlesskit\r\n\r\n",
		 what);
	n = fd_write_all(fd, request, strlen(request));
	if (n >= 0)
		n = fd_read_all(fd, answer, ANSWER_MAX);
	if (n < 0)
		return (int)n;
	body = strstr(answer, "\r\n\r\n");
	if (strncmp(answer, "HTTP/1.", 7) != 0 || !body || answer[8] != ' ' ||
	    answer[9] != '2')
		return -EPROTO;
	*ret_body = strdup(body + 4);
	return *ret_body ? 0 : -ENOMEM;
}

/* One that is not there any more is no failure. */
static int close_port(int id)
{
	_cleanup_free_ char *body = NULL;
	char what[64];
	int r;

	snprintf(what, sizeof(what), "DELETE /v1/ports/%d", id);
	r = ask(what, &body);
	return r == -EPROTO ? 0 : r;
}

/* --- which ports --- */

struct place {
	const char *host; /* as it was written; NULL: it was not */
	bool is_udp;
	union address address;
};

/* Docker's own words; without an address it is all, of both families. */
static bool parse_place(const char *host, uint64_t port, bool is_udp, struct place *ret)
{
	*ret = (struct place){ .host = host && *host ? host : NULL, .is_udp = is_udp };
	if (!port || port > UINT16_MAX)
		return false;
	host = ret->host ? ret->host : "0.0.0.0";
	if (inet_pton(AF_INET, host, &ret->address.v4.sin_addr) == 1)
		ret->address.any.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, host, &ret->address.v6.sin6_addr) == 1)
		ret->address.any.sa_family = AF_INET6;
	else
		return false;
	address_set_port(&ret->address, (uint16_t)port);
	return true;
}

/* One of the lists of "PortBindings": {"HostIp": "", "HostPort": "8080"}. */
static bool parse_binding(struct json_object *binding, struct docker_port inside,
			  struct place *ret)
{
	const char *text = json_part_text(binding, "HostPort");
	uint64_t port;

	return text && number_take(&text, 10, &port) && !*text &&
	       parse_place(json_part_text(binding, "HostIp"), port, inside.is_udp, ret);
}

/* Calls @take for each port of the container's that has one of the host's, asked for by
 * number, until it returns less than 0: a socket cannot be at several. Return: the sum of
 * what it returned, or that. */
static int walk(const struct docker *docker,
		int (*take)(void *, const struct place *, struct docker_port),
		void *context)
{
	struct json_object *bindings = json_part(docker->host_config, "PortBindings");
	int sum = 0;

	if (!json_object_is_type(bindings, json_type_object))
		return 0;
	json_object_object_foreach(bindings, key, list)
	{
		struct docker_port inside;
		struct place place;
		int r;

		if (json_part_length(list) != 1 || !docker_parse_port(key, &inside) ||
		    !parse_binding(json_object_array_get_idx(list, 0), inside, &place))
			continue;
		r = take(context, &place, inside);
		if (r < 0)
			return r;
		sum += r;
	}
	return sum;
}

/* --- the policy --- */

struct publishing {
	struct policy *policy;
	struct policy_error *error;
};

static int publish(void *context, const struct place *place, struct docker_port inside)
{
	const struct publishing *publishing = context;
	bool is_v6 = place->address.any.sa_family == AF_INET6;
	char spec[SPEC_SIZE];

	snprintf(spec, sizeof(spec), "%s%s%s%s%u:%u/%s", is_v6 ? "[" : "",
		 place->host ? place->host : "", is_v6 ? "]" : "", place->host ? ":" : "",
		 address_port(&place->address), inside.number,
		 inside.is_udp ? "udp" : "tcp");
	return policy_add_publish(publishing->policy, spec, publishing->error) < 0
		       ? -EINVAL
		       : 1;
}

int kit_publish(const struct docker *docker, struct policy *policy,
		struct policy_error *ret_error)
{
	struct publishing publishing = { policy, ret_error };

	return walk(docker, publish, &publishing);
}

/* --- letting go --- */

bool kit_is_there(void)
{
	_cleanup_fd_ int fd = outside_is_inside() ? connect_to_api() : -1;

	return fd >= 0;
}

/* Would a socket at @a keep another from @b? */
static bool are_in_conflict(const struct place *a, const struct place *b)
{
	if (a->is_udp != b->is_udp ||
	    address_port(&a->address) != address_port(&b->address))
		return false;
	if (address_is_wildcard(&a->address) || address_is_wildcard(&b->address))
		return true;
	if (a->address.any.sa_family != b->address.any.sa_family)
		return false;
	return a->address.any.sa_family == AF_INET
		       ? a->address.v4.sin_addr.s_addr == b->address.v4.sin_addr.s_addr
		       : IN6_ARE_ADDR_EQUAL(&a->address.v6.sin6_addr,
					    &b->address.v6.sin6_addr);
}

static int compare(void *context, const struct place *place, struct docker_port inside)
{
	(void)inside;
	return are_in_conflict(context, place);
}

static bool parse_spec(struct json_object *spec, struct place *ret)
{
	const char *proto = json_part_text(spec, "proto");
	struct json_object *port = json_part(spec, "parentPort");

	return proto && json_object_is_type(port, json_type_int) &&
	       json_object_get_int(port) > 0 &&
	       parse_place(json_part_text(spec, "parentIP"),
			   (uint64_t)json_object_get_int(port), *proto == 'u', ret);
}

static int let_go(const struct place *wanted, struct json_object *ports)
{
	size_t n = json_part_length(ports);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct json_object *one = json_object_array_get_idx(ports, i);
		struct json_object *id = json_part(one, "id");
		struct place place;

		if (json_object_is_type(id, json_type_int) &&
		    parse_spec(json_part(one, "spec"), &place) &&
		    are_in_conflict(wanted, &place))
			r = close_port(json_object_get_int(id));
	}
	return r;
}

static bool parse_endpoint(const struct endpoint *endpoint, struct place *ret)
{
	*ret = (struct place){ 0 };
	if (endpoint->kind == ENDPOINT_IPV4) {
		ret->address.any.sa_family = AF_INET;
		ret->address.v4.sin_addr = endpoint->v4;
	} else if (endpoint->kind == ENDPOINT_IPV6) {
		ret->address.any.sa_family = AF_INET6;
		ret->address.v6.sin6_addr = endpoint->v6;
	} else {
		return false;
	}
	address_set_port(&ret->address, endpoint->port);
	return !endpoint->dynamic && endpoint->netns.kind == NETNS_DEFAULT;
}

static int let_go_of(const struct docker *docker, const struct place *place)
{
	_cleanup_free_ char *body = NULL;
	struct json_object *ports;
	int r;

	if (walk(docker, compare, (void *)place) == 0)
		return 0;
	r = ask("GET /v1/ports", &body);
	if (r < 0)
		return r;
	ports = json_tokener_parse(body);
	r = let_go(place, ports);
	json_object_put(ports);
	return r;
}

/* An endpoint may be for both protocols. */
int kit_let_go(const struct docker *docker, const struct endpoint *endpoint)
{
	struct place place;
	int r;

	if (!parse_endpoint(endpoint, &place))
		return 0;
	r = let_go_of(docker, &place);
	place.is_udp = true;
	return r < 0 ? r : let_go_of(docker, &place);
}
