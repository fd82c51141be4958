/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The notify engine as a supervisor has it, that of a run or of a container: what it asks
 * and tells, its ticks, and what `graft ps` is told of it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/event.h"
#include "intercept/notify/notify.h"

struct grafts;
struct policy;
struct registry;
struct run_info;

struct run_notify {
	const struct policy *policy;
	struct notify *notify; /* NULL: not started */
	struct registry *registry;
	struct grafts *grafts; /* the caller's */
	struct event_loop *loop;
	struct event_source on_tick;
	struct event_timer tick;
};

/* Members of struct notify_ops; the context is a struct run_notify. */
void run_notify_grafted(void *context, uint64_t cookie, const struct rule *rule);
int run_notify_ask(void *context, const struct wire_ask *ask, int socket, int whom,
		   struct wire_grant *ret);
uint64_t run_notify_generation(void *context);

/* For struct census, with a struct run_notify as its context. */
size_t run_notify_rule_text(void *context, uint32_t rule, char *text, size_t size);

/* @config->context becomes @engine, which has its policy, its grafts and a loop. It may
 * listen then. Return: 0 or -errno. */
int run_notify_start(struct run_notify *engine, struct notify_config *config);
/* The counters of @ret. */
void run_notify_count(const struct run_notify *engine, struct run_info *ret);
