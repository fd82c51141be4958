/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <ifaddrs.h>
#include <json-c/json.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "runtime/json_part.h"
#include "runtime/published.h"

#define WAIT_MS 10000

static bool parse_address(const char *host, uint16_t port, union address *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (!host)
		return false;
	if (inet_pton(AF_INET, host, &ret->v4.sin_addr) == 1)
		ret->any.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, host, &ret->v6.sin6_addr) == 1)
		ret->any.sa_family = AF_INET6;
	else
		return false;
	address_set_port(ret, port);
	return true;
}

static unsigned long port_of(const char *text)
{
	return text ? strtoul(text, NULL, 10) : 0;
}

/* "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, ...] */
static void take_held(struct published *published, const char *key,
		      struct json_object *list)
{
	size_t n = json_part_length(list);
	struct docker_port inside;

	if (!docker_parse_port(key, &inside))
		return;
	for (size_t i = 0; i < n; i++) {
		struct json_object *at = json_object_array_get_idx(list, i);
		struct published_held *held = &published->held[published->n_held];
		unsigned long port = port_of(json_part_text(at, "HostPort"));

		if (published->n_held < PUBLISHED_HELD_MAX && port > 0 &&
		    port <= UINT16_MAX &&
		    parse_address(json_part_text(at, "HostIp"), (uint16_t)port,
				  &held->address)) {
			held->port = inside;
			published->n_held++;
		}
	}
}

/* The interface of the host's that has @address; 0: none. */
static unsigned int find_interface(const struct ifaddrs *all,
				   const union address *address)
{
	for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
		const union address *is = (const union address *)at->ifa_addr;

		if (!is || is->any.sa_family != address->any.sa_family)
			continue;
		if (is->any.sa_family == AF_INET
			    ? is->v4.sin_addr.s_addr == address->v4.sin_addr.s_addr
			    : IN6_ARE_ADDR_EQUAL(&is->v6.sin6_addr,
						 &address->v6.sin6_addr))
			return if_nametoindex(at->ifa_name);
	}
	return 0;
}

static void take_network(struct published *published, const struct ifaddrs *all,
			 const char *own, const char *gateway)
{
	struct published_network *network = &published->networks[published->n_networks];

	if (published->n_networks == PUBLISHED_NETWORKS_MAX ||
	    !parse_address(own, 0, &network->own) ||
	    !parse_address(gateway, 0, &network->gateway) ||
	    network->own.any.sa_family != network->gateway.any.sa_family)
		return;
	network->interface = find_interface(all, &network->gateway);
	/* Of a router elsewhere: macvlan, and others. */
	if (network->interface)
		published->n_networks++;
}

static void take_networks(struct published *published, struct json_object *networks)
{
	struct ifaddrs *all = NULL;

	if (!json_object_is_type(networks, json_type_object) || getifaddrs(&all) < 0)
		return;
	json_object_object_foreach(networks, name, network)
	{
		(void)name;
		take_network(published, all, json_part_text(network, "IPAddress"),
			     json_part_text(network, "Gateway"));
		take_network(published, all, json_part_text(network, "GlobalIPv6Address"),
			     json_part_text(network, "IPv6Gateway"));
	}
	freeifaddrs(all);
}

/* Of this very start: an older file may say that the container runs, too. */
static bool is_of_now(const struct published *published, struct json_object *config)
{
	struct json_object *state = json_part(config, "State");
	struct stat st;

	return json_object_get_boolean(json_part(state, "Running")) &&
	       json_object_get_int64(json_part(state, "Pid")) == published->first &&
	       fstatat(published->docker->directory, "config.v2.json", &st, 0) == 0 &&
	       (st.st_mtim.tv_sec > published->since.tv_sec ||
		(st.st_mtim.tv_sec == published->since.tv_sec &&
		 st.st_mtim.tv_nsec >= published->since.tv_nsec));
}

bool published_read(struct published *published)
{
	struct json_object *config = docker_read_config(published->docker);
	struct json_object *settings = json_part(config, "NetworkSettings");
	struct json_object *ports = json_part(settings, "Ports");

	if (is_of_now(published, config)) {
		published->n_held = published->n_networks = 0;
		if (json_object_is_type(ports, json_type_object)) {
			json_object_object_foreach(ports, key, list)
				take_held(published, key, list);
		}
		take_networks(published, json_part(settings, "Networks"));
		published->is_known = true;
	}
	json_object_put(config);
	return published->is_known;
}

/* dockerd puts the file in the place of the old one. */
int published_watch(const struct published *published)
{
	_cleanup_fd_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", published->docker->directory);
	if (watch < 0 || inotify_add_watch(watch, path, IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
		return -errno;
	return fd_steal(&watch);
}

static int64_t now_ms(void)
{
	return (int64_t)(event_now_ns() / 1000000);
}

void published_wait(struct published *published)
{
	int64_t deadline = now_ms() + (published->has_waited ? 0 : WAIT_MS);
	_cleanup_fd_ int watch = published_watch(published);
	char events[4096];

	while (!published_read(published) && watch >= 0) {
		struct pollfd at = { .fd = watch, .events = POLLIN };
		int64_t left = deadline - now_ms();

		if (left <= 0 || poll(&at, 1, (int)left) < 0)
			break;
		while (read(watch, events, sizeof(events)) > 0)
			continue;
	}
	if (!published->is_known && !published->has_waited)
		log_warning("dockerd does not say which ports it holds: they stay its");
	published->has_waited = true;
}

const struct published_held *published_find(const struct published *published,
					    struct docker_port port, int family)
{
	for (size_t i = 0; i < published->n_held; i++)
		if (docker_port_is(published->held[i].port, port) &&
		    (!family || published->held[i].address.any.sa_family == family))
			return &published->held[i];
	return NULL;
}

int published_init(struct published *ret, const struct docker *docker, pid_t first,
		   const struct timespec *since)
{
	*ret = (struct published){ .docker = docker, .first = first, .since = *since };
	ret->held = calloc(PUBLISHED_HELD_MAX, sizeof(*ret->held));
	return ret->held ? 0 : -ENOMEM;
}

void published_deinit(struct published *published)
{
	free(published->held);
}
