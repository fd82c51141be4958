/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counts the live grafts of a run: every socket held by one of its processes that lives
 * in the host's stack, or that the engine noted. No descriptor is tracked for this; the
 * kernel is asked.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "run/control.h"

#define CENSUS_MAX 16384

struct grafts;

struct census {
	pid_t root;           /* the supervisor: its descendants are the run */
	pid_t program;        /* so is who shares this one's network namespace; or 0 */
	uint64_t host_cookie; /* SO_NETNS_COOKIE of the stack grafts live in */
	/* Of the program's own namespace, where the kernel module puts sockets and
	 * nothing is noted: whatever is elsewhere is a graft, through a rule unknown.
	 * Else 0. */
	uint64_t own_cookie;
	struct grafts *grafts; /* may be NULL */
	/* Writes the rule as one line. Return: length. */
	size_t (*rule_text)(void *context, uint32_t rule, char *text, size_t size);
	void *context;
};

/*
 * Calls @emit for each, at most CENSUS_MAX, and stops when it returns other than 0.
 * Return: 0, what @emit returned, or -errno.
 */
int census_walk(const struct census *census, control_emit *emit, void *emit_context);

/* A state of <netinet/tcp.h> in the words of ss(8), or "-". */
const char *census_tcp_state(unsigned int state);
/* SO_NETNS_COOKIE of @fd, or of the calling thread's namespace when @fd is -1. Return: 0
 * or -errno. */
int census_netns_cookie(int fd, uint64_t *ret_cookie);
