/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The live runs one may ask: one's own, or everybody's for root.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "wire/wire.h"

struct run_peer {
	struct sockaddr_un address;
	socklen_t len;
	struct wire_run run; /* .uid is the kernel's word, the rest the run's */
};

struct runs {
	struct run_peer *items; /* oldest first */
	size_t n;
	size_t n_silent; /* found, and did not answer in time */
};

/* @wanted: the process id or the name of the only run to find, or NULL for all. Return: 0
 * or -errno. Whoever does not answer is left out and counted. */
int runs_find(struct runs *ret, const char *wanted);
void runs_release(struct runs *runs);

typedef int runs_take(void *context, const struct wire_message *message);

/*
 * Asks one run; @take is called for each answer, the last one being the `bye`, until it
 * returns other than 0. Return: 0, what @take returned, or -errno.
 */
int runs_ask(const struct run_peer *peer, enum wire_type ask, runs_take *take,
	     void *context);

struct judged_list;

/* Prints the sockets that @runs hold now, and those of @cgroups that are no run's; of one
 * of either if @wanted is not NULL. Return: an exit status. */
int sockets_show(const struct runs *runs, const struct judged_list *cgroups,
		 const char *wanted, bool json);
