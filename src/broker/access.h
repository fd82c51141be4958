/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may do what to the registry and with its endpoints. Each rule stands in access.c.
 */
#pragma once

#include <stdbool.h>

#include "broker/identity.h"
#include "broker/registry.h"
#include "policy/policy.h"

struct conf;

/* Looks at a definition that @who wants to add, in his own namespace's table. Return: 0
 * with the flags (ENTRY_OWN) the entry is to have; or -EPERM, -EACCES with the reason. */
int access_may_add(const struct identity *who, const struct endpoint *endpoint,
		   unsigned int *ret_flags, const char **ret_reason);
/* Does what @who adds become his alone, by an owner clause, when it has none? */
bool access_adds_owner(const struct identity *who, const struct endpoint *endpoint);
bool access_may_del(const struct identity *who, const struct entry *entry);
/* @uses: mask of enum access_use. Return: 0, -EACCES with the reason. */
int access_may_use(const struct identity *who, const struct entry *entry,
		   const struct endpoint *endpoint, unsigned int uses,
		   const char **ret_reason);
/* Does one of the clauses name @who for all of @uses? */
bool access_names(const struct access *access, size_t n, const struct identity *who,
		  unsigned int uses);
/* Is @who shown the entry at all? */
bool access_may_see(const struct identity *who, const struct entry *entry);
/* May @who have plain sockets of graftd's own namespace, and bind one to @port (0: none
 * in particular)? Return: 0, -EACCES with the reason. */
int access_may_host(const struct identity *who, const struct conf *config,
		    unsigned int uses, uint16_t port, const char **ret_reason);
