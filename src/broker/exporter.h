/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where metrics can be read: HTTP at a UNIX socket or a port of the loopback.
 */
#pragma once

#include "wire/wire.h"

struct exporter;
struct graftd;

/* Return: 0 or -errno. */
int exporter_new(struct exporter **ret, struct graftd *graftd,
		 const struct wire_address *address);
struct exporter *exporter_free(struct exporter *exporter);
