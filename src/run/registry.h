/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking graftd, for the notify engine. Any thread may call any function: each that asks
 * has a connection of its own.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct policy;
struct registry;
struct wire_ask;
struct wire_grant;

/* Connects to nobody yet. Return: 0 or -errno. */
int registry_new(struct registry **ret);
/* As broker_ask(); a connection that died is made anew, once. */
int registry_ask(struct registry *registry, const struct wire_ask *ask, int socket,
		 int whom, struct wire_grant *ret);
/* Return: the number that changes with the registry; 0 when it is not known. */
uint64_t registry_generation(struct registry *registry);

/* Warns, before a run, when rules of @policy need graftd and it cannot be reached. */
void registry_check(const struct policy *policy);
