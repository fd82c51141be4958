/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the host's stack is. An engine that an ordinary user runs may live in a network
 * namespace of RootlessKit's: Docker's does, Podman's does not. From there the host's is
 * had of somebody outside, who lends its sockets (run/lender.h).
 */
#pragma once

#include <stdbool.h>

struct policy;
struct stack;

/* The variable by which RootlessKit tells its children of its state directory. */
#define OUTSIDE_KIT "ROOTLESSKIT_STATE_DIR"

/* Are we in a network namespace that RootlessKit made? With its --detach-netns an engine
 * is in the host's. */
bool outside_is_inside(void);
/* Does somebody lend the host's sockets? */
bool outside_is_lent(void);

/* Can what @policy reaches of the host's be had? Return: 0, or -errno after one line. */
int outside_check(const struct policy *policy);
/* Exchanges @host, the stack of our own namespace, for that of the lender, if somebody
 * lends another one. Return: 0 or -errno; @host stays then. */
int outside_find(struct stack **host);
/* An ordinary user's own graftd, if it runs, comes before root's. */
void outside_find_graftd(void);
