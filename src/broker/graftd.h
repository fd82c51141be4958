/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon: its parts, and what they do together.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/event.h"
#include "broker/identity.h"
#include "config.h"

struct conf;
struct exporter;
struct journal;
struct metrics;
struct nsid;
struct page;
struct places;
struct quota;
struct registry;
struct server;
struct stack;
struct store;

#define GRAFTD_SOFTWARE "graftd " GRAFT_VERSION

struct graftd {
	struct event_loop loop;
	struct self self;
	int state;     /* directory */
	char boot[64]; /* which boot of the machine this is */
	bool wants_reload, wants_end;
	const char *config_path;
	bool config_is_optional;
	struct conf *config;
	struct registry *registry;
	struct journal *journal;
	struct quota *quota;
	struct page *page;
	struct places *places;
	struct server *server;
	struct store *store;
	struct nsid *nsid;
	struct metrics *metrics;
	struct exporter *exporter; /* or NULL */
	struct stack *host;        /* graftd's own namespace */
};
