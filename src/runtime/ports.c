/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	client -> HOST:8080	nobody but Docker may bind that: docker-proxy does
 *	  TCP	nat.h		Docker's translation to the container is passed by
 *		steer.h		the lookup of a listener finds our socket
 *		server		its bind 0.0.0.0:80 was made HIDDEN:random
 *	  UDP	nat.h		translated to HOST:random
 *		server		its bind 0.0.0.0:80 was made 0.0.0.0:random
 *
 * A datagram's answer has its socket's port, so for UDP the packet filter has to
 * translate both ways; a TCP connection has the port it was made to, whoever listens.
 *
 * Which address a port has is Docker's to say (published.h): a random port is known
 * nowhere before the container runs, and one that was asked for may not have been
 * reserved (`--net none`). So the first bind of a published port waits for it, and is
 * the container's own when there is none.
 *
 * Others of the container's network connect to its own address. Connections to the ports
 * that are served are translated to the gateway's, which is the host's in that network,
 * to the hidden port. That is open for nobody else (nat.c).
 *
 * Rules are for ports that are served, from the first listen() on, for as long as the
 * container runs. When the program closes its listener, docker-proxy answers.
 *
 * CAP_NET_ADMIN and CAP_BPF are in effect for the thread that changes rules, while it
 * does.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "policy/policy.h"
#include "run/settle.h"
#include "run/shortcut.h"
#include "runtime/conntrack.h"
#include "runtime/docker.h"
#include "runtime/nat.h"
#include "runtime/nft.h"
#include "runtime/ports.h"
#include "runtime/published.h"
#include "runtime/steer.h"

#define PREFIX    "docker-" /* of the names of endpoints */
#define RULES_MAX 4096

struct port {
	struct docker_port inside;
	const struct endpoint *v4, *v6;
	uint16_t hidden4, hidden6; /* ports of what serves; 0: nothing has yet */
};

struct ports {
	pthread_mutex_t lock; /* for all that changes */
	struct published published;
	struct steer *steer;
	struct nat *nat;
	struct event_loop *loop;
	struct event_source on_change;
	int watch;
	int served; /* for run_shortcut_serve(); -1: no shortcut */
	struct port *ports;
	size_t n_ports;
	struct steer_key *keys; /* that are steered now */
	size_t n_keys;
};

/* --- the policy --- */

struct line {
	const char *what, *suffix;
};

/* A socket for both families has the first: a hidden IPv6 address would make it one for
 * IPv6 alone. */
static const struct line tcp_lines[] = {
	{ "bind tcp 0.0.0.0", "" },  { "bind tcp [::]", "" },
	{ "bind tcp [::]", "-6" },   { "connect tcp 127.0.0.1", "" },
	{ "connect tcp [::1]", "" }, { "connect tcp [::1]", "-6" },
};
static const struct line udp_lines[] = {
	{ "bind udp [::]", "-6" },       { "bind udp 0.0.0.0", "" },
	{ "connect udp 127.0.0.1", "" }, { "connect udp 127.0.0.1", "-6" },
	{ "connect udp [::1]", "-6" },   { "connect udp [::1]", "" },
};

static void print_name(char *name, size_t size, struct docker_port port,
		       const char *suffix)
{
	snprintf(name, size, PREFIX "%s-%u%s", port.is_udp ? "udp" : "tcp", port.number,
		 suffix);
}

static void write_endpoints(FILE *out, struct docker_port port)
{
	unsigned int hidden = port.is_udp ? 0 : HIDDEN4 | port.number;
	char name4[64], name6[64];

	print_name(name4, sizeof(name4), port, "");
	print_name(name6, sizeof(name6), port, "-6");
	fprintf(out, "endpoint %s ipv4 %u.%u.%u.%u:dynamic bound\n", name4, hidden >> 24,
		hidden >> 16 & 0xff, hidden >> 8 & 0xff, hidden & 0xff);
	if (port.is_udp)
		fprintf(out, "endpoint %s ipv6 [::]:dynamic bound\n", name6);
	else
		fprintf(out, "endpoint %s ipv6 [100::%x:%x:0:%x]:dynamic bound\n", name6,
			HIDDEN6_THIRD >> 16, HIDDEN6_THIRD & 0xffff, port.number);
}

static void write_rules(FILE *out, struct docker_port port)
{
	const struct line *lines = port.is_udp ? udp_lines : tcp_lines;
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(tcp_lines); i++) {
		print_name(name, sizeof(name), port, lines[i].suffix);
		fprintf(out, "%s:%u = %s\n", lines[i].what, port.number, name);
	}
}

int ports_policy(const struct docker *docker, char **ret)
{
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < docker->n_ports; i++) {
		write_endpoints(out, docker->ports[i]);
		write_rules(out, docker->ports[i]);
	}
	if (fclose(out) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

static const struct endpoint *find_endpoint(const struct policy *policy,
					    struct docker_port port, const char *suffix)
{
	char name[64];

	print_name(name, sizeof(name), port, suffix);
	return policy_find_endpoint(policy, name);
}

/* --- what the kernel is to do --- */

struct plan {
	struct steer_key keys[STEER_MAX];
	size_t n_keys;
	struct nat_rule rules[RULES_MAX];
	size_t n_rules;
	uint16_t datagrams[RULES_MAX]; /* ports whose rules changed what datagrams do */
	size_t n_datagrams;
};

static uint32_t slot_of(const struct ports *ports, const struct port *port, int family)
{
	return (uint32_t)(2 * (port - ports->ports) + (family == AF_INET6));
}

static uint16_t hidden_port(const struct port *port, int family)
{
	return family == AF_INET ? port->hidden4 : port->hidden6;
}

static struct in6_addr bytes_of(const union address *address)
{
	struct in6_addr bytes = { 0 };

	if (address->any.sa_family == AF_INET)
		memcpy(&bytes, &address->v4.sin_addr, sizeof(address->v4.sin_addr));
	else
		bytes = address->v6.sin6_addr;
	return bytes;
}

/* Connections to @address and @number are for the sockets of @port. */
static int plan_key(struct ports *ports, struct plan *plan, const struct port *port,
		    const union address *address, uint16_t number)
{
	struct in6_addr bytes = bytes_of(address);
	struct steer_key *key = &plan->keys[plan->n_keys];

	if (plan->n_keys == STEER_MAX)
		return -E2BIG;
	*key = (struct steer_key){ .family = address->any.sa_family,
				   .port = htons(number) };
	memcpy(key->address, &bytes, sizeof(key->address));
	plan->n_keys++;
	return steer_add(ports->steer, key, slot_of(ports, port, (int)key->family));
}

static int plan_rule(struct plan *plan, const struct nat_rule *rule)
{
	if (plan->n_rules == RULES_MAX)
		return -E2BIG;
	plan->rules[plan->n_rules++] = *rule;
	if (rule->is_udp)
		plan->datagrams[plan->n_datagrams++] = rule->port;
	return 0;
}

static int plan_held(struct ports *ports, struct plan *plan, const struct port *port,
		     const struct published_held *held)
{
	int family = held->address.any.sa_family, r = 0;
	uint16_t number = address_port(&held->address);
	struct nat_rule rule = {
		.kind = port->inside.is_udp ? NAT_PORT : NAT_KEEP,
		.is_udp = port->inside.is_udp,
		.family = family,
		.address = bytes_of(&held->address),
		.port = number,
		.is_any = address_is_wildcard(&held->address),
		.to_port = hidden_port(port, family),
	};

	if (!rule.to_port || !docker_port_is(held->port, port->inside))
		return 0;
	if (!rule.is_udp)
		r = plan_key(ports, plan, port, &held->address, number);
	return r < 0 ? r : plan_rule(plan, &rule);
}

/* @port by the container's address in @network. */
static int plan_network(struct ports *ports, struct plan *plan, const struct port *port,
			const struct published_network *network)
{
	int family = network->own.any.sa_family, r = 0;
	struct nat_rule rule = {
		.kind = NAT_MOVE,
		.is_udp = port->inside.is_udp,
		.family = family,
		.address = bytes_of(&network->own),
		.port = port->inside.number,
		.to = bytes_of(&network->gateway),
		.to_port = hidden_port(port, family),
		.from = network->interface,
	};

	if (!rule.to_port)
		return 0;
	if (!rule.is_udp)
		r = plan_key(ports, plan, port, &network->gateway, rule.to_port);
	return r < 0 ? r : plan_rule(plan, &rule);
}

static int plan_port(struct ports *ports, struct plan *plan, const struct port *port)
{
	const struct published *published = &ports->published;
	int r = 0;

	for (size_t i = 0; r == 0 && i < published->n_held; i++)
		r = plan_held(ports, plan, port, &published->held[i]);
	for (size_t i = 0; r == 0 && i < published->n_networks; i++)
		r = plan_network(ports, plan, port, &published->networks[i]);
	return r;
}

static bool has_key(const struct plan *plan, const struct steer_key *key)
{
	for (size_t i = 0; i < plan->n_keys; i++)
		if (!memcmp(&plan->keys[i], key, sizeof(*key)))
			return true;
	return false;
}

static int keep_keys(struct ports *ports, const struct plan *plan)
{
	struct steer_key *keys = calloc(plan->n_keys + 1, sizeof(*keys));

	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < ports->n_keys; i++)
		if (!has_key(plan, &ports->keys[i]))
			steer_remove(ports->steer, &ports->keys[i]);
	memcpy(keys, plan->keys, plan->n_keys * sizeof(*keys));
	free(ports->keys);
	ports->keys = keys;
	ports->n_keys = plan->n_keys;
	return 0;
}

/* With the lock held, and privileges raised. */
static int apply(struct ports *ports)
{
	_cleanup_free_ struct plan *plan = calloc(1, sizeof(*plan));
	int r = plan ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < ports->n_ports; i++)
		r = plan_port(ports, plan, &ports->ports[i]);
	if (r == 0)
		r = keep_keys(ports, plan);
	if (r == 0)
		r = nat_set(ports->nat, plan->rules, plan->n_rules);
	if (r == 0 && plan->n_datagrams)
		r = conntrack_forget(plan->datagrams, plan->n_datagrams);
	return r;
}

static void on_change(struct event_source *source, uint32_t events)
{
	struct ports *ports = container_of(source, struct ports, on_change);
	char buffer[4096];
	int r = 0;

	(void)events;
	while (read(ports->watch, buffer, sizeof(buffer)) > 0)
		continue;
	pthread_mutex_lock(&ports->lock);
	if (ports->published.is_known && published_read(&ports->published)) {
		r = settle_raise(true);
		if (r == 0)
			r = apply(ports);
		settle_raise(false);
	}
	pthread_mutex_unlock(&ports->lock);
	if (r < 0)
		log_error("published ports: %s", strerror(-r));
}

/* --- what the engine asks --- */

static struct port *find_port(struct ports *ports, const struct endpoint *endpoint)
{
	for (size_t i = 0; ports && i < ports->n_ports; i++)
		if (ports->ports[i].v4 == endpoint || ports->ports[i].v6 == endpoint)
			return &ports->ports[i];
	return NULL;
}

enum ports_answer ports_ask(struct ports *ports, const struct endpoint *endpoint)
{
	struct port *port = find_port(ports, endpoint);
	bool is_held;
	int family;

	if (!port)
		return strncmp(endpoint->name, PREFIX, strlen(PREFIX)) != 0 ? PORTS_OTHER
									    : PORTS_NONE;
	/* A hidden IPv6 address is for a socket that knows IPv6 alone. */
	family = endpoint == port->v6 && !port->inside.is_udp ? AF_INET6 : 0;
	pthread_mutex_lock(&ports->lock);
	if (!ports->published.is_known)
		published_wait(&ports->published);
	is_held = published_find(&ports->published, port->inside, family);
	pthread_mutex_unlock(&ports->lock);
	return is_held ? PORTS_HELD : PORTS_NONE;
}

/* Which families come to a socket bound to @local? */
static void get_families(int socket, const union address *local, bool *ret_v4,
			 bool *ret_v6)
{
	union address address = *local;
	int only = 0;
	socklen_t size = sizeof(only);

	*ret_v6 = local->any.sa_family == AF_INET6;
	address_unmap(&address);
	*ret_v4 = address.any.sa_family == AF_INET;
	if (*ret_v4 || !address_is_wildcard(&address))
		return;
	getsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size);
	*ret_v4 = !only;
}

/* Clients past TCP know it by the ports they ask for. Without that they go by TCP. */
static void shorten(struct ports *ports, const struct port *port, int socket)
{
	const struct published *published = &ports->published;
	int r = 0;

	for (size_t i = 0; ports->served >= 0 && i < published->n_held && r == 0; i++)
		if (published->held[i].port.number == port->inside.number &&
		    !published->held[i].port.is_udp)
			r = run_shortcut_serve(ports->served, socket,
					       address_port(&published->held[i].address));
	if (r < 0)
		log_info("published port %u: no shortcut: %s", port->inside.number,
			 strerror(-r));
}

/* Puts @socket where it serves. */
static int put(struct ports *ports, struct port *port, int socket)
{
	union address local = { 0 };
	socklen_t size = sizeof(local);
	uint16_t hidden;
	bool v4, v6;
	int r = 0;

	if (getsockname(socket, &local.any, &size) < 0)
		return -errno;
	hidden = address_port(&local);
	get_families(socket, &local, &v4, &v6);
	if (port->inside.is_udp)
		r = steer_name(ports->steer, hidden, port->inside.number);
	else if (v4)
		r = steer_put(ports->steer, slot_of(ports, port, AF_INET), socket);
	if (r == 0 && v6 && !port->inside.is_udp)
		r = steer_put(ports->steer, slot_of(ports, port, AF_INET6), socket);
	if (r == 0 && v4)
		port->hidden4 = hidden;
	if (r == 0 && v6)
		port->hidden6 = hidden;
	if (r == 0 && !port->inside.is_udp)
		shorten(ports, port, socket);
	return r;
}

int ports_serve(struct ports *ports, const struct endpoint *endpoint, int socket)
{
	struct port *port = find_port(ports, endpoint);
	int r;

	if (!port)
		return 0;
	pthread_mutex_lock(&ports->lock);
	r = settle_raise(true);
	if (r == 0)
		r = put(ports, port, socket);
	if (r == 0)
		r = apply(ports);
	settle_raise(false);
	pthread_mutex_unlock(&ports->lock);
	if (r < 0)
		log_error("published port %u: %s", port->inside.number, strerror(-r));
	return r;
}

/* What @there says, as an address of @address's family. */
static void take_address(const union address *there, union address *address)
{
	struct in6_addr bytes = { 0 };

	address_set_port(address, address_port(there));
	if (there->any.sa_family == AF_INET6) {
		address->v6.sin6_addr = there->v6.sin6_addr;
	} else if (address->any.sa_family == AF_INET) {
		address->v4.sin_addr = there->v4.sin_addr;
	} else {
		memset(&bytes.s6_addr[10], 0xff, 2);
		memcpy(&bytes.s6_addr[12], &there->v4.sin_addr,
		       sizeof(there->v4.sin_addr));
		address->v6.sin6_addr = bytes;
	}
}

int ports_where(struct ports *ports, const struct endpoint *endpoint,
		union address *address)
{
	const struct port *port = find_port(ports, endpoint);
	union address there = *address;
	const struct published_held *held;

	if (!port)
		return -ENOENT;
	address_unmap(&there);
	pthread_mutex_lock(&ports->lock);
	held = published_find(&ports->published, port->inside, there.any.sa_family);
	if (held)
		there = held->address;
	pthread_mutex_unlock(&ports->lock);
	if (!held)
		return -ECONNREFUSED;
	if (address_is_wildcard(&there)) {
		if (there.any.sa_family == AF_INET)
			there.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		else
			there.v6.sin6_addr = in6addr_loopback;
	}
	take_address(&there, address);
	return 0;
}

/* --- life --- */

static int take_endpoints(struct ports *ports, const struct docker *docker,
			  const struct policy *policy)
{
	ports->ports = calloc(docker->n_ports + 1, sizeof(*ports->ports));
	if (!ports->ports)
		return -ENOMEM;
	for (size_t i = 0; i < docker->n_ports; i++) {
		struct port port = {
			.inside = docker->ports[i],
			.v4 = find_endpoint(policy, docker->ports[i], ""),
			.v6 = find_endpoint(policy, docker->ports[i], "-6"),
		};

		if (port.v4 && port.v6)
			ports->ports[ports->n_ports++] = port;
	}
	return 0;
}

static int watch(struct ports *ports)
{
	ports->watch = published_watch(&ports->published);
	if (ports->watch < 0)
		return ports->watch;
	ports->on_change.ready = on_change;
	return event_loop_add(ports->loop, ports->watch, EPOLLIN, &ports->on_change);
}

static int set_up(struct ports *ports, const struct ports_config *config)
{
	char name[NFT_TABLE_NAME_SIZE];
	int r = published_init(&ports->published, config->docker, config->first,
			       &config->since);

	snprintf(name, sizeof(name), "graft-%d", (int)config->first);
	if (r == 0)
		r = take_endpoints(ports, config->docker, config->policy);
	if (r == 0)
		r = steer_new(&ports->steer, config->cgroup);
	if (r == 0)
		r = nat_new(&ports->nat, name);
	return r < 0 ? r : watch(ports);
}

int ports_new(struct ports **ret, const struct ports_config *config)
{
	struct ports *ports = calloc(1, sizeof(*ports));
	int r;

	if (!ports)
		return -ENOMEM;
	ports->loop = config->loop;
	ports->watch = -1;
	ports->served = config->served;
	pthread_mutex_init(&ports->lock, NULL);
	r = set_up(ports, config);
	if (r < 0)
		ports_free(ports);
	else
		*ret = ports;
	return r;
}

/* Datagrams of clients that go on find Docker's way back. */
static void forget(struct ports *ports)
{
	const struct published *published = &ports->published;
	_cleanup_free_ uint16_t *numbers =
		calloc(published->n_held + 1, sizeof(*numbers));
	size_t n = 0;

	for (size_t i = 0; numbers && i < published->n_held; i++)
		if (published->held[i].port.is_udp)
			numbers[n++] = address_port(&published->held[i].address);
	if (n && settle_raise(true) == 0)
		conntrack_forget(numbers, n);
}

struct ports *ports_free(struct ports *ports)
{
	if (!ports)
		return NULL;
	if (ports->watch >= 0)
		event_loop_del(ports->loop, ports->watch, &ports->on_change);
	fd_close(ports->watch);
	steer_free(ports->steer);
	nat_free(ports->nat);
	forget(ports);
	published_deinit(&ports->published);
	pthread_mutex_destroy(&ports->lock);
	free(ports->ports);
	free(ports->keys);
	free(ports);
	return NULL;
}
