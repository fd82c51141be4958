/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker of one run: where the preload library, inside the program, asks for sockets
 * of the host's stack and of the policy's endpoints. Served on the supervisor's loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct event_loop;
struct grafts;
struct policy;
struct run_broker;
struct stacks;

/*
 * Where it listens, for GRAFT_RUN in the program's environment: an abstract name in the
 * program's own network namespace, with that namespace's cookie behind it, so that a
 * program in another namespace knows that it is not meant.
 */
#define RUN_BROKER_PREFIX    "@graft/run/"
#define RUN_BROKER_NAME_SIZE 40

struct run_broker_config {
	struct event_loop *loop;
	const struct policy *policy; /* sealed; outlives the broker */
	const struct stacks *stacks; /* with the program's own */
	struct grafts *grafts;       /* what is granted is noted there */
	bool gives_policy_only;      /* and no sockets: the kernel module has those */
};

struct run_broker_counters {
	uint64_t n_asks, n_grants, n_swaps, n_refused;
};

/* To be called in the program's network namespace. Return: the listening socket, the
 * caller's, or -errno. */
int run_broker_listen(char ret_name[RUN_BROKER_NAME_SIZE]);

/* @listener is taken over on success. Return: 0 or -errno. */
int run_broker_new(struct run_broker **ret, const struct run_broker_config *config,
		   int listener);
/* Return: NULL. */
struct run_broker *run_broker_free(struct run_broker *broker);
void run_broker_get_counters(const struct run_broker *broker,
			     struct run_broker_counters *ret);
