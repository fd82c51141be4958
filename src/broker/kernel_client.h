/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registry of the af_graft module, over generic netlink (linux/graft.h).
 *
 * A client speaks of the endpoints of one network namespace: the one its socket was made
 * in. What it asks is answered at once; nothing is kept between questions.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct endpoint;
struct kernel_client;

/* Takes over @socket, of NETLINK_GENERIC, in any case; or -1: one in the namespace of the
 * caller. Return: 0 or -errno; -ENOENT: there is no module. */
int kernel_client_new(struct kernel_client **ret, int socket);
struct kernel_client *kernel_client_free(struct kernel_client *client);
void kernel_client_freep(struct kernel_client **client);

struct kernel_addition {
	const char *name;                /* at most 16 characters */
	const struct endpoint *endpoint; /* where it is; NULL: without an address */
	int netns;         /* the namespace it leads to; -1: that of the client */
	const char *label; /* what that is called, for display; or NULL */
	bool is_for_all;   /* a rule for everybody, instead of those of @endpoint */
};

/* Return: 0 or -errno: -EEXIST, -EPERM; -EOPNOTSUPP: a condition the module lacks. */
int kernel_client_add(struct kernel_client *client,
		      const struct kernel_addition *addition);
int kernel_client_del(struct kernel_client *client, const char *name);

struct kernel_totals {
	uint64_t n_endpoints, n_binds, n_connects, n_denials;
};

/* Of all endpoints of the namespace. Return: 0 or -errno. */
int kernel_client_count(struct kernel_client *client, struct kernel_totals *ret);
/* Return: whether there is an endpoint @name. */
bool kernel_client_has(struct kernel_client *client, const char *name);

/* What the kernel said to the last question it refused, or "". */
const char *kernel_client_text(const struct kernel_client *client);
