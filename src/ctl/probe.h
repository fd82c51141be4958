/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What `graft doctor` tries: each by really doing it, in a process of its own, so that
 * nothing of it stays with the caller.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

enum probe_level {
	PROBE_OK,
	PROBE_WEAK, /* `graft run` works, with less */
	PROBE_NO,
};

struct probe_result {
	enum probe_level level;
	char fact[192];
	const char *advice; /* the consequence, or how to mend it; NULL: none */
};

enum probe_engine {
	PROBE_NOTIFY = 1 << 0,
	PROBE_PRELOAD = 1 << 1,
	PROBE_AF_GRAFT = 1 << 2,
	PROBE_CGROUP = 1 << 3,
	PROBE_EVERY = PROBE_NOTIFY | PROBE_PRELOAD,
};

struct probe {
	const char *what;
	unsigned int needed_by; /* mask of probe_engine: they cannot work without it */
	void (*run)(struct probe_result *ret);
};

extern const struct probe probes[];
extern const size_t n_probes;

/* Writes the outcome of a probe. */
void probe_say(struct probe_result *ret, enum probe_level level, const char *advice,
	       const char *fact, ...) _printf_(4, 5);

/*
 * Runs @body in a child of its own, at most five seconds. @body returns 0 or -errno.
 * Return: that, -ETIMEDOUT, or -ECHILD when the child was killed.
 */
int probe_in_child(int (*body)(void));
/* In a child: enters a user namespace with the identity map `graft run` uses. */
int probe_enter_userns(void);
/* In a child: enters user and network namespaces and sets lo up. */
int probe_enter_netns(void);

/* The probes of what graft itself brings, in probe_parts.c. */
void probe_library(struct probe_result *ret);
void probe_graftd(struct probe_result *ret);
void probe_module(struct probe_result *ret);
void probe_cgroup(struct probe_result *ret);
void probe_bpf(struct probe_result *ret);
void probe_destroy(struct probe_result *ret);

/* The probes with two sides, in probe_notify.c. */
void probe_notify(struct probe_result *ret);
void probe_killable(struct probe_result *ret);
void probe_sync(struct probe_result *ret);
void probe_getfd(struct probe_result *ret);
void probe_memory(struct probe_result *ret);
