/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ports that Docker publishes of a container, served by the container's own sockets in
 * the host's stack. Docker's docker-proxy keeps the ports; see ports.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/address.h"

struct docker;
struct endpoint;
struct event_loop;
struct policy;
struct ports;

/*
 * The lines of policy for the published ports of @docker: endpoints at hidden addresses,
 * which ports_new() finds by their names. Return: 0, *ret is the caller's; -ENOMEM.
 */
int ports_policy(const struct docker *docker, char **ret);

struct ports_config {
	const struct docker *docker;
	const struct policy *policy;
	pid_t first;           /* the container's first process */
	struct timespec since; /* before that one was; see published.h */
	int cgroup;            /* of the container's sockets; -1: none of their own */
	int served;            /* where they are put for the shortcut; -1: nowhere */
	struct event_loop *loop;
};

/*
 * In the host's network namespace, with CAP_NET_ADMIN and CAP_BPF, before threads are
 * started; both have to stay permitted. What @config points to outlives it; its loop has
 * it look after the networks that Docker connects. Return: 0 or -errno.
 */
int ports_new(struct ports **ret, const struct ports_config *config);
/* Return: NULL. */
struct ports *ports_free(struct ports *ports);

enum ports_answer {
	PORTS_OTHER, /* @endpoint is none of these */
	PORTS_HELD,  /* Docker holds it for this container */
	PORTS_NONE,  /* Docker does not: there is nothing to serve */
};

/* All of these by any thread; ports NULL: Docker holds none. This one waits until dockerd
 * says that the container runs, a few seconds at most. */
enum ports_answer ports_ask(struct ports *ports, const struct endpoint *endpoint);
/* A socket that is bound to @endpoint listens. Return: 0 or -errno. */
int ports_serve(struct ports *ports, const struct endpoint *endpoint, int socket);
/* Where @endpoint is reached on this host. @address keeps its family. Return: 0;
 * -ENOENT: it is none of these. */
int ports_where(struct ports *ports, const struct endpoint *endpoint,
		union address *address);
