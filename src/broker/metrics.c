/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Endpoints that were asked for are counted by name, NAMES_MAX of them; what comes later
 * counts as "other", and so does what there is not: names are chosen by whoever asks, and
 * must not make the text grow.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/graftd.h"
#include "broker/metrics.h"
#include "broker/quota.h"
#include "broker/registry.h"
#include "broker/server.h"

#define NAMES_MAX  256 /* a power of two */
#define NAMES_FULL (NAMES_MAX * 3 / 4)
#define NS_PER_US  1000ull

typedef uint64_t verdicts[METRICS_ENGINES][METRICS_VERDICTS];

struct named {
	char name[64];
	verdicts n;
};

static const uint32_t bounds_us[] = { 10,   25,   50,   100,   250,   500,
				      1000, 2500, 5000, 10000, 25000, 100000 };

struct metrics {
	struct named names[NAMES_MAX]; /* by hash, open addressing */
	size_t n_names;
	verdicts other;
	uint64_t buckets[ARRAY_SIZE(bounds_us) + 1];
	uint64_t n_asks, total_ns;
	uint64_t counters[METRICS_COUNTERS];
};

static const char *const engine_names[] = {
	[METRICS_PRELOAD] = "preload",
	[METRICS_RUN] = "run",
	[METRICS_COMMAND] = "graft",
	[METRICS_OTHER] = "other",
};

static const char *const verdict_names[] = {
	[METRICS_GRANTED] = "granted",
	[METRICS_DENIED] = "denied",
	[METRICS_UNKNOWN] = "unknown",
	[METRICS_FAILED] = "failed",
};

static const struct {
	const char *name, *help;
} counter_names[] = {
	[METRICS_ADDS] = { "endpoints_added", "Endpoints added" },
	[METRICS_DELS] = { "endpoints_deleted", "Endpoints deleted" },
	[METRICS_RELOADS] = { "reloads", "Configurations put into effect" },
	[METRICS_CONNECTIONS] = { "connections_accepted", "Clients that came" },
	[METRICS_REFUSED] = { "connections_refused", "Clients turned away at the door" },
	[METRICS_VIOLATED] = { "connections_violated",
			       "Clients ended for what they sent" },
	[METRICS_SLOW] = { "connections_slow",
			   "Clients ended for what they did not read, or say" },
};

_Static_assert(ARRAY_SIZE(engine_names) == METRICS_ENGINES, "a name for each engine");
_Static_assert(ARRAY_SIZE(verdict_names) == METRICS_VERDICTS, "a name for each verdict");
_Static_assert(ARRAY_SIZE(counter_names) == METRICS_COUNTERS, "a name for each counter");

struct metrics *metrics_new(void)
{
	return calloc(1, sizeof(struct metrics));
}

struct metrics *metrics_free(struct metrics *metrics)
{
	free(metrics);
	return NULL;
}

enum metrics_engine metrics_engine(const char *software)
{
	if (!*software || strncmp(software, "libgraft-hijack", 15) == 0)
		return METRICS_PRELOAD;
	if (strncmp(software, "graft run", 9) == 0)
		return METRICS_RUN;
	return strncmp(software, "graft ", 6) == 0 ? METRICS_COMMAND : METRICS_OTHER;
}

void metrics_count(struct metrics *metrics, enum metrics_counter counter)
{
	metrics->counters[counter]++;
}

static enum metrics_verdict verdict_of(int r)
{
	switch (r) {
	case -ENOENT:
		return METRICS_UNKNOWN;
	case -EACCES:
	case -EPERM:
	case -EDQUOT:
		return METRICS_DENIED;
	default:
		return r < 0 ? METRICS_FAILED : METRICS_GRANTED;
	}
}

/* Whoever picks names that fall together gains nothing: the table is small. */
static uint32_t hash_of(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash;
}

static verdicts *find(struct metrics *metrics, const char *name)
{
	for (uint32_t i = hash_of(name), tries = 0; tries < NAMES_MAX; i++, tries++) {
		struct named *named = &metrics->names[i & (NAMES_MAX - 1)];

		if (strcmp(named->name, name) == 0)
			return &named->n;
		if (*named->name)
			continue;
		if (metrics->n_names >= NAMES_FULL)
			break;
		metrics->n_names++;
		snprintf(named->name, sizeof(named->name), "%s", name);
		return &named->n;
	}
	return &metrics->other;
}

void metrics_ask(struct metrics *metrics, const char *name, enum metrics_engine engine,
		 int r, uint64_t ns)
{
	enum metrics_verdict verdict = verdict_of(r);
	verdicts *n = verdict == METRICS_UNKNOWN || !*name ? &metrics->other
							   : find(metrics, name);
	size_t bucket = 0;

	(*n)[engine][verdict]++;
	while (bucket < ARRAY_SIZE(bounds_us) && ns > bounds_us[bucket] * NS_PER_US)
		bucket++;
	metrics->buckets[bucket]++;
	metrics->n_asks++;
	metrics->total_ns += ns;
}

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP graft_%s %s.\n# TYPE graft_%s %s\n", name, help, name, type);
}

static void print_verdicts(FILE *out, const char *name, const verdicts *n)
{
	for (int engine = 0; engine < METRICS_ENGINES; engine++)
		for (int verdict = 0; verdict < METRICS_VERDICTS; verdict++)
			if ((*n)[engine][verdict])
				fprintf(out,
					"graft_grafts_total{endpoint=\"%s\",engine=\"%s\","
					"verdict=\"%s\"} %llu\n",
					name, engine_names[engine],
					verdict_names[verdict],
					(unsigned long long)(*n)[engine][verdict]);
}

static void print_latency(FILE *out, const struct metrics *metrics)
{
	unsigned long long sum = 0;

	head(out, "ask_seconds", "histogram", "Time to answer an ask");
	for (size_t i = 0; i < ARRAY_SIZE(bounds_us); i++) {
		sum += metrics->buckets[i];
		fprintf(out, "graft_ask_seconds_bucket{le=\"%g\"} %llu\n",
			bounds_us[i] / 1e6, sum);
	}
	fprintf(out, "graft_ask_seconds_bucket{le=\"+Inf\"} %llu\n",
		(unsigned long long)metrics->n_asks);
	fprintf(out, "graft_ask_seconds_sum %.9f\ngraft_ask_seconds_count %llu\n",
		(double)metrics->total_ns / 1e9, (unsigned long long)metrics->n_asks);
}

static void gauge(FILE *out, const char *name, const char *help, unsigned long long value)
{
	head(out, name, "gauge", help);
	fprintf(out, "graft_%s %llu\n", name, value);
}

static void print_gauges(FILE *out, const struct graftd *graftd)
{
	uint64_t totals[QUOTA_N];
	unsigned long long n_tables = 0;

	for (struct table *t = registry_tables(graftd->registry); t; t = t->next)
		n_tables++;
	quota_totals(graftd->quota, totals);
	gauge(out, "endpoints", "Endpoints there are", registry_n(graftd->registry));
	gauge(out, "tables", "Namespaces that have endpoints", n_tables);
	gauge(out, "connections", "Clients there are",
	      server_n_connections(graftd->server));
	gauge(out, "held_sockets", "Sockets kept for endpoints with hold",
	      totals[QUOTA_HELD]);
	gauge(out, "supplies", "Supplies of sockets made ahead of need",
	      totals[QUOTA_SUPPLIES]);
	gauge(out, "watchers", "Clients that watch", totals[QUOTA_WATCHERS]);
}

static void print_counters(FILE *out, const struct metrics *metrics)
{
	for (int i = 0; i < METRICS_COUNTERS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s_total", counter_names[i].name);
		head(out, name, "counter", counter_names[i].help);
		fprintf(out, "graft_%s %llu\n", name,
			(unsigned long long)metrics->counters[i]);
	}
}

char *metrics_print(const struct graftd *graftd, size_t *ret_size)
{
	const struct metrics *metrics = graftd->metrics;
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_size);

	if (!out)
		return NULL;
	head(out, "grafts_total", "counter", "Asks for a socket, by what became of them");
	for (size_t i = 0; i < NAMES_MAX; i++)
		if (*metrics->names[i].name)
			print_verdicts(out, metrics->names[i].name, &metrics->names[i].n);
	print_verdicts(out, "other", &metrics->other);
	print_latency(out, metrics);
	print_gauges(out, graftd);
	print_counters(out, metrics);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
