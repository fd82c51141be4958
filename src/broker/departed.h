/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables of namespaces that are gone.
 */
#pragma once

#include "broker/identity.h"
#include "broker/registry.h"

struct graftd;

/* Drops those that went while no graftd was there, and listens from now on. Return: 0 or
 * -errno. */
int departed_begin(struct graftd *graftd);
void departed_end(struct graftd *graftd);
/* @who added something to @table. */
void departed_note(struct graftd *graftd, struct table *table,
		   const struct identity *who);
