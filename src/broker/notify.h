/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the service manager is told of our state, if there is one: sd_notify(3).
 */
#pragma once

#include <stddef.h>

#include "base/event.h"

struct registry;

struct notify {
	struct event_loop *loop;
	struct event_timer timer; /* of the watchdog */
	uint64_t period_ns;       /* 0: there is none */
	const struct registry *registry;
};

/* The watchdog, if one was asked for, is fed from @loop, and with it goes what there is
 * in @registry by then. Both outlive it. */
void notify_init(struct notify *notify, struct event_loop *loop,
		 const struct registry *registry);
void notify_deinit(struct notify *notify);

void notify_ready(size_t n_endpoints);
void notify_reloading(void);
void notify_stopping(void);
