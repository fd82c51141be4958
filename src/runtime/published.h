/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which addresses of the host's Docker holds for a container that runs, and in which
 * networks it is: config.v2.json, as dockerd writes it once the container has started,
 * and when its networks change.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/address.h"
#include "runtime/docker.h"

#define PUBLISHED_HELD_MAX     4096
#define PUBLISHED_NETWORKS_MAX 64

/* An address and port of the host's. */
struct published_held {
	struct docker_port port; /* the container's */
	union address address;
};

/* The container's address in one network, and the host's there. */
struct published_network {
	union address own, gateway;
	unsigned int interface;
};

struct published {
	const struct docker *docker;
	pid_t first;           /* the container's first process */
	struct timespec since; /* older files are of an earlier start */
	bool is_known, has_waited;
	struct published_held *held;
	size_t n_held;
	struct published_network networks[PUBLISHED_NETWORKS_MAX];
	size_t n_networks;
};

/* Of the container whose first process is @first and began after @since, by
 * CLOCK_REALTIME_COARSE, the clock of files. @docker outlives it. Return: 0, -ENOMEM. */
int published_init(struct published *ret, const struct docker *docker, pid_t first,
		   const struct timespec *since);
void published_deinit(struct published *published);
/* Return: an inotify descriptor, the caller's, that can be read when there may be news,
 * or -errno. */
int published_watch(const struct published *published);
/* Return: is it known? What is known stays when the container does not run any more. */
bool published_read(struct published *published);
/* Waits until it is known, a few seconds at most, and only once. */
void published_wait(struct published *published);
/* The first address held for @port; of @family, if that is not 0. NULL: there is none. */
const struct published_held *published_find(const struct published *published,
					    struct docker_port port, int family);
