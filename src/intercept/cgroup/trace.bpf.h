/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a call ends, and those who watch: each has a ring of its own, and hears of what it
 * asked for. While nobody does, a call looks at one word.
 */
#pragma once

#include "intercept/cgroup/call.bpf.h"

/* What is told of a call to all tracers. */
struct tracing {
	const struct call *call;
	const struct spot *given;
	const struct judge_path *asked; /* NULL: it names no path */
	__u64 cgroup;
	__u32 tracers, why, error, target;
	__u32 text_from, text_size; /* in the image, in bytes */
};

/* The rule's text, and what the rule says. */
static __always_inline void find_rule(struct tracing *tracing, __u32 image, __u32 rule)
{
	void *cells = judge_open(image);
	const struct image_cell *head, *outcome, *next;
	__u32 at;

	head = cells ? judge_cell(cells, 0) : NULL;
	if (!head)
		return;
	at = head->word[3] + IMAGE_OUTCOME * (rule == IMAGE_NONE ? head->word[2] : rule);
	outcome = judge_cell(cells, at);
	if (!outcome)
		return;
	tracing->target = IMAGE_TARGET(outcome->word[0]);
	next = rule == IMAGE_NONE ? NULL : judge_cell(cells, at + IMAGE_OUTCOME);
	if (!next)
		return;
	tracing->text_from = outcome->word[3];
	tracing->text_size = next->word[3] - outcome->word[3];
}

/* The path that the call was led to, if it was. */
static __always_inline void put_given_path(const struct tracing *tracing, void *cells,
					   struct image_cell *to)
{
	const struct image_cell *led = NULL, *cell;

	if (cells && tracing->target == TARGET_ENDPOINT && !tracing->error)
		led = judge_cell(cells, tracing->call->outcome + 1);
	for (__u32 i = 0; i < IMAGE_PATH; i++) {
		cell = led ? judge_cell(cells, led->word[0] + i) : NULL;
		for (int k = 0; k < 4; k++)
			to[i].word[k] = cell ? cell->word[k] : 0;
	}
}

/* @room: for how much of the text; @paths: for what is in front of it. Constants. */
static __always_inline void put(const struct tracing *tracing, struct tracer *tracer,
				void *ring, const __u32 room, const __u32 paths)
{
	const struct call *call = tracing->call;
	__u32 first = tracing->text_from / sizeof(struct image_cell);
	__u32 skip = tracing->text_from % sizeof(struct image_cell);
	void *cells = judge_open(call->image);
	struct traced *traced;

	traced = bpf_ringbuf_reserve(ring,
				     sizeof(*traced) +
					     (paths + room) * sizeof(struct image_cell),
				     0);
	if (!traced) {
		__sync_fetch_and_add(&tracer->lost, 1);
		return;
	}
	traced->time_ns = bpf_ktime_get_ns();
	traced->cgroup = tracing->cgroup;
	traced->pid = bpf_get_current_pid_tgid() >> 32;
	traced->rule = call->rule;
	traced->error = tracing->error;
	traced->op = call->op;
	traced->proto = call->judged.proto;
	traced->why = tracing->why;
	traced->target = tracing->target;
	traced->is_audit = !!(call->flags & IMAGE_AUDIT);
	traced->zero = 0;
	traced->asked = call->asked;
	if (tracing->given)
		traced->given = *tracing->given;
	else
		traced->given = call->asked; /* none either */
	bpf_get_current_comm(traced->command, sizeof(traced->command));
	if (paths && tracing->asked) {
		*(struct judge_path *)traced->text = *tracing->asked;
		put_given_path(tracing, cells,
			       (struct image_cell *)traced->text + IMAGE_PATH);
	}
	traced->text_from = paths * sizeof(struct image_cell) + skip;
	traced->text_size = tracing->text_size;
	traced->zeroes = 0;
	for (__u32 i = 0; i < room; i++) {
		const struct image_cell *cell;

		if (!cells || i * sizeof(*cell) >= skip + tracing->text_size)
			break;
		cell = judge_cell(cells, first + i);
		if (!cell)
			break;
		((struct image_cell *)traced->text)[paths + i] = *cell;
	}
	bpf_ringbuf_submit(traced, 0);
}

static __always_inline int is_wanted(const struct tracer *tracer,
				     const struct tracing *tracing)
{
	if (tracer->cgroup && tracer->cgroup != tracing->cgroup)
		return 0;
	if (tracer->is_error && !tracing->error)
		return 0;
	return !tracer->pid || tracer->pid == bpf_get_current_pid_tgid() >> 32;
}

static long tell(__u32 number, void *context)
{
	const struct tracing *tracing = context;
	struct tracer *tracer;
	void *ring;

	if (!(tracing->tracers & 1u << (number & 31)))
		return 0;
	tracer = bpf_map_lookup_elem(&graft_tracers, &number);
	ring = bpf_map_lookup_elem(&graft_traced, &number);
	if (!tracer || !ring || !is_wanted(tracer, tracing))
		return 0;
	if (tracing->asked)
		put(tracing, tracer, ring, TRACED_LONG, 2 * IMAGE_PATH);
	else if (tracing->text_from % sizeof(struct image_cell) + tracing->text_size <=
		 TRACED_SHORT * sizeof(struct image_cell))
		put(tracing, tracer, ring, TRACED_SHORT, 0);
	else
		put(tracing, tracer, ring, TRACED_LONG, 0);
	return 0;
}

static __always_inline int trace(const struct call *call, const struct spot *given,
				 const struct judge_path *asked, __u32 why, __u32 error)
{
	struct judged *judged = bpf_get_local_storage(&graft_judged, 0);
	struct tracing tracing = {};
	__u32 zero = 0;
	struct control *control = bpf_map_lookup_elem(&graft_control, &zero);

	if (!control || !judged)
		return 0;
	tracing.call = call;
	tracing.given = given;
	tracing.asked = asked;
	tracing.cgroup = judged->cgroup;
	tracing.tracers = control->tracing;
	tracing.why = why;
	tracing.error = error;
	if (why == TRACED_RULE || why == TRACED_NO_RULE)
		find_rule(&tracing, call->image, call->rule);
	bpf_loop(CGROUP_TRACERS, tell, &tracing, 0);
	return 0;
}

/* Out of the way of calls that nobody watches, and for the verifier to see once. */
__noinline int graft_trace(struct call *call, struct spot *given, __u32 why, __u32 error)
{
	return call && given ? trace(call, given, NULL, why, error) : 0;
}

__noinline int graft_trace_path(struct call *call, struct judge_path *asked, __u32 error)
{
	if (!call || !asked)
		return 0;
	return trace(call, NULL, asked,
		     call->rule == IMAGE_NONE ? TRACED_NO_RULE : TRACED_RULE, error);
}

static __always_inline int is_traced(void)
{
	__u32 zero = 0;
	struct control *control = bpf_map_lookup_elem(&graft_control, &zero);

	return control && control->tracing;
}

/* A socket that is refused for what it is, not by a rule. */
static __always_inline void trace_refused(enum traced_op op, __u8 proto,
					  enum traced_why why, __u32 flags,
					  const struct spot *asked)
{
	struct call call = {};
	struct spot given = {};

	if (!is_traced())
		return;
	call.op = op;
	call.judged.proto = proto;
	call.rule = IMAGE_NONE;
	call.flags = flags;
	if (asked)
		call.asked = *asked;
	graft_trace(&call, &given, why, EPERM);
}

/* Return: 1 the call goes on, 0 it fails with @error. */
static __always_inline int end(struct call *call, struct spot *given, int error)
{
	if (is_traced())
		graft_trace(call, given,
			    call->rule == IMAGE_NONE ? TRACED_NO_RULE : TRACED_RULE,
			    error);
	if (!error || call->flags & IMAGE_AUDIT)
		return 1;
	fail_with(error);
	return 0;
}
