/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "broker/notify.h"
#include "broker/registry.h"

#define NS_PER_US 1000ull

static void feed(struct event_timer *timer, uint64_t now_ns)
{
	struct notify *notify = container_of(timer, struct notify, timer);

	sd_notifyf(false, "WATCHDOG=1\nSTATUS=%zu endpoints",
		   registry_n(notify->registry));
	timer->deadline_ns = now_ns + notify->period_ns;
}

void notify_init(struct notify *notify, struct event_loop *loop,
		 const struct registry *registry)
{
	uint64_t limit_us = 0;

	*notify = (struct notify){
		.loop = loop,
		.timer = { .expired = feed, .deadline_ns = EVENT_NEVER },
		.registry = registry,
	};
	if (sd_watchdog_enabled(false, &limit_us) > 0 && limit_us) {
		notify->period_ns = limit_us * NS_PER_US / 2;
		notify->timer.deadline_ns = event_now_ns() + notify->period_ns;
	}
	event_loop_add_timer(loop, &notify->timer);
}

void notify_deinit(struct notify *notify)
{
	if (notify->loop)
		event_loop_del_timer(notify->loop, &notify->timer);
	notify->loop = NULL;
}

void notify_ready(size_t n_endpoints)
{
	sd_notifyf(false, "READY=1\nSTATUS=%zu endpoints", n_endpoints);
}

void notify_reloading(void)
{
	sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%llu",
		   (unsigned long long)(event_now_ns() / NS_PER_US));
}

void notify_stopping(void)
{
	sd_notify(false, "STOPPING=1");
}
