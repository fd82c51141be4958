/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events, for those who watch.
 */
#pragma once

#include "broker/identity.h"
#include "broker/registry.h"

struct connection;
struct graftd;

/* Does anybody watch? */
bool watch_is_on(const struct graftd *graftd);
/* Who did it: NULL is graftd itself. @entry: what it is about, still in the registry;
 * NULL: of interest to everybody. @text may be NULL. */
void watch_tell(struct graftd *graftd, const char *kind, const struct entry *entry,
		const struct identity *who, const char *text);
