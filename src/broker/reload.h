/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Putting a configuration into effect.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct graftd;

/*
 * Reads graftd->config_path and, if nothing is wrong with it, makes it what holds, at
 * once; a file that is not there and need not be is an empty one. Mistakes are logged,
 * the first is in @text. Return: 0 or -errno, and everything is as before.
 */
int reload(struct graftd *graftd, char *text, size_t size);

/* The same of one that is ready, whose service manager hears of it. */
int reload_ready(struct graftd *graftd, char *text, size_t size);
