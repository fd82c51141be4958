/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the engine remembers of the sockets it grafted: by SO_COOKIE, through which rule
 * and since when. Of fixed size; when a place is full the oldest note there is dropped,
 * so a closed socket needs no notice. Any thread may call any function.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define GRAFTS_MAX     65536
#define GRAFTS_NO_RULE UINT32_MAX

struct grafts;

struct graft_note {
	uint64_t since_ns; /* CLOCK_MONOTONIC */
	uint32_t rule;     /* index in the policy, or GRAFTS_NO_RULE */
};

struct grafts *grafts_new(void);
struct grafts *grafts_free(struct grafts *grafts);

/* A socket noted before keeps its age and takes the new rule. @cookie is never 0. */
void grafts_note(struct grafts *grafts, uint64_t cookie, uint32_t rule,
		 uint64_t since_ns);
/* Return: whether @cookie is known. */
bool grafts_find(struct grafts *grafts, uint64_t cookie, struct graft_note *ret);
