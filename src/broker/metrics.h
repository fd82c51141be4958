/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What graftd counts, as text in the format of Prometheus.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct graftd;
struct metrics;

enum metrics_engine {
	METRICS_PRELOAD, /* asks without saying who it is, as the library does */
	METRICS_RUN,
	METRICS_COMMAND, /* graft itself */
	METRICS_OTHER,
	METRICS_ENGINES,
};

enum metrics_verdict {
	METRICS_GRANTED,
	METRICS_DENIED,  /* EACCES, EPERM, EDQUOT */
	METRICS_UNKNOWN, /* no such endpoint */
	METRICS_FAILED,  /* the socket could not be made, or not be bound */
	METRICS_VERDICTS,
};

enum metrics_counter {
	METRICS_ADDS,
	METRICS_DELS,
	METRICS_RELOADS,
	METRICS_CONNECTIONS,
	METRICS_REFUSED,  /* connections turned away */
	METRICS_VIOLATED, /* connections ended for what they sent */
	METRICS_SLOW,     /* ended for what they did not read, or say */
	METRICS_COUNTERS,
};

struct metrics *metrics_new(void);
struct metrics *metrics_free(struct metrics *metrics);

enum metrics_engine metrics_engine(const char *software);
void metrics_count(struct metrics *metrics, enum metrics_counter counter);
/* One ask was answered with @r (0 or -errno), after @ns. @name: of the endpoint. */
void metrics_ask(struct metrics *metrics, const char *name, enum metrics_engine engine,
		 int r, uint64_t ns);

/* The whole text; the caller frees. NULL: no memory. */
char *metrics_print(const struct graftd *graftd, size_t *ret_size);
