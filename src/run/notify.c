/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <unistd.h>

#include "policy/policy.h"
#include "run/control.h"
#include "run/grafts.h"
#include "run/notify.h"
#include "run/registry.h"

void run_notify_grafted(void *context, uint64_t cookie, const struct rule *rule)
{
	const struct run_notify *engine = context;

	grafts_note(engine->grafts, cookie, rule ? rule->index : GRAFTS_NO_RULE,
		    event_now_ns());
}

int run_notify_ask(void *context, const struct wire_ask *ask, int socket, int whom,
		   struct wire_grant *ret)
{
	const struct run_notify *engine = context;

	return registry_ask(engine->registry, ask, socket, whom, ret);
}

uint64_t run_notify_generation(void *context)
{
	const struct run_notify *engine = context;

	return registry_generation(engine->registry);
}

size_t run_notify_rule_text(void *context, uint32_t rule, char *text, size_t size)
{
	const struct run_notify *engine = context;

	if (rule >= policy_n_rules(engine->policy)) {
		text[0] = '\0';
		return 0;
	}
	return policy_print_rule(policy_rule(engine->policy, rule), text, size);
}

static void on_tick_asked(struct event_source *source, uint32_t events)
{
	struct run_notify *engine = container_of(source, struct run_notify, on_tick);
	uint64_t n;

	(void)events;
	if (read(notify_tick_fd(engine->notify), &n, sizeof(n)) == sizeof(n))
		engine->tick.deadline_ns = event_now_ns() + NOTIFY_TICK_MS * 1000000ULL;
}

static void on_tick(struct event_timer *timer, uint64_t now_ns)
{
	struct run_notify *engine = container_of(timer, struct run_notify, tick);

	if (notify_tick(engine->notify))
		timer->deadline_ns = now_ns + NOTIFY_TICK_MS * 1000000ULL;
}

int run_notify_start(struct run_notify *engine, struct notify_config *config)
{
	int r = registry_new(&engine->registry);

	config->policy = engine->policy;
	config->context = engine;
	if (r == 0)
		r = notify_new(&engine->notify, config);
	if (r < 0)
		return r;
	engine->on_tick.ready = on_tick_asked;
	engine->tick.deadline_ns = EVENT_NEVER;
	engine->tick.expired = on_tick;
	event_loop_add_timer(engine->loop, &engine->tick);
	return event_loop_add(engine->loop, notify_tick_fd(engine->notify), EPOLLIN,
			      &engine->on_tick);
}

void run_notify_count(const struct run_notify *engine, struct run_info *ret)
{
	struct notify_counters counters;

	notify_get_counters(engine->notify, &counters);
	ret->n_traps = counters.n_calls;
	ret->n_grafts = counters.n_grafts;
	ret->n_swaps = counters.n_swaps;
	ret->n_refused = counters.n_refused;
}
