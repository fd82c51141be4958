/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A verdict in one sentence for people.
 */
#include "policy/internal.h"

#define RULE_TEXT_MAX   256
#define ORIGIN_TEXT_MAX 256

static void say_rule(struct out *out, const struct rule *rule)
{
	char line[RULE_TEXT_MAX], origin[ORIGIN_TEXT_MAX];

	policy_print_rule(rule, line, sizeof(line));
	policy_print_origin(&rule->origin, origin, sizeof(origin));
	out_printf(out, "rule %s '%s'", origin, line);
}

static void say_stack(struct out *out, const struct endpoint *endpoint)
{
	const struct netns_ref *netns = endpoint ? &endpoint->netns : NULL;

	switch (netns ? netns->kind : NETNS_DEFAULT) {
	case NETNS_DEFAULT:
		out_printf(out, "in the host's stack");
		break;
	case NETNS_PID:
		out_printf(out, "in the network namespace of process %d", netns->pid);
		break;
	case NETNS_NAME:
	case NETNS_PATH:
		out_printf(out, "in network namespace '%s'", netns->text);
		break;
	}
}

static void say_place(struct out *out, const struct policy_verdict *verdict)
{
	out_sockaddr(out, &verdict->address, verdict->address_len);
	if (verdict->endpoint && verdict->endpoint->dynamic)
		out_printf(out, " (a port the kernel picks)");
}

static void say_named(struct out *out, const struct policy_query *query,
		      const struct policy_verdict *verdict)
{
	out_printf(out,
		   "endpoint '%s' is looked up in graftd's registry when the call is "
		   "made",
		   verdict->endpoint->name);
	if (verdict->target == POLICY_FROM) {
		out_printf(out, ", to be the source of a connection to ");
		out_sockaddr(out, &query->address, sizeof(query->address));
	}
}

static void say_decision(struct out *out, const struct policy_query *query,
			 const struct policy_verdict *verdict)
{
	const char *done = query->op == POLICY_BIND ? "bound" : "connected";

	if (verdict->endpoint && verdict->endpoint->kind == ENDPOINT_NAMED) {
		say_named(out, query, verdict);
		return;
	}
	switch (verdict->target) {
	case POLICY_OWN:
		out_printf(out, "the socket stays in the program's own stack");
		break;
	case POLICY_DENY:
		out_printf(out, "the call fails with %s",
			   errno_name(verdict->deny_errno));
		break;
	case POLICY_FROM:
		out_printf(out, "the socket is made ");
		say_stack(out, verdict->endpoint);
		out_printf(out, ", bound to ");
		say_place(out, verdict);
		out_printf(out, " and connected to ");
		out_sockaddr(out, &query->address, sizeof(query->address));
		break;
	case POLICY_HOST:
	case POLICY_ENDPOINT:
		out_printf(out, "the socket is made ");
		if (verdict->address.ss_family == AF_UNIX)
			out_printf(out, "as a UNIX socket");
		else
			say_stack(out, verdict->endpoint);
		out_printf(out, " and %s to ", done);
		say_place(out, verdict);
		break;
	}
}

/* Of a UNIX path; the socket is one already, and stays where it is. */
static void say_path(struct out *out, const struct policy_verdict *verdict)
{
	switch (verdict->target) {
	case POLICY_DENY:
		out_printf(out, "the call fails with %s",
			   errno_name(verdict->deny_errno));
		return;
	case POLICY_ENDPOINT:
		out_printf(out, "the path becomes ");
		say_place(out, verdict);
		return;
	case POLICY_OWN:
	case POLICY_HOST:
	case POLICY_FROM:
		break;
	}
	out_printf(out, "the call goes on as it is");
}

static void say_passed(struct out *out, const struct policy_query *query,
		       const struct policy_verdict *verdict)
{
	static const char *const kinds[] = {
		[ENDPOINT_IPV4] = "ipv4",      [ENDPOINT_IPV6] = "ipv6",
		[ENDPOINT_UNIX] = "unix",      [ENDPOINT_ANY] = "any",
		[ENDPOINT_NAMED] = "graftd's",
	};
	const struct endpoint *endpoint = verdict->rule->endpoint;

	say_rule(out, verdict->rule);
	out_printf(out, " is passed over: ");
	if (verdict->reason == POLICY_R_LOOPBACK)
		out_printf(out, "it does not name loopback, and only a rule that does "
				"opens the host's");
	else if (verdict->reason == POLICY_R_UNBOUND)
		out_printf(out, "nothing of this run is bound to '%s'", endpoint->name);
	else
		out_printf(out, "endpoint '%s' is %s and cannot serve this %s socket",
			   endpoint->name, kinds[endpoint->kind],
			   query->proto == POLICY_OTHER ? "raw or other"
			   : query->family == AF_INET   ? "IPv4"
			   : query->v6only              ? "IPv6-only"
							: "IPv6");
	out_printf(out, "; no other rule matches");
}

size_t policy_explain(const struct policy_query *query,
		      const struct policy_verdict *verdict, char *text, size_t size)
{
	struct out out = { text, size, 0, 0 };

	if (verdict->reason == POLICY_R_RULE) {
		say_rule(&out, verdict->rule);
		out_printf(&out, " matches");
	} else if (verdict->rule) {
		say_passed(&out, query, verdict);
	} else if (verdict->reason == POLICY_R_LOOPBACK) {
		out_printf(&out, "no rule matches this loopback address");
	} else {
		out_printf(&out, "no rule matches");
	}
	out_printf(&out, "; ");
	if (query->address.ss_family == AF_UNIX)
		say_path(&out, verdict);
	else
		say_decision(&out, query, verdict);
	return out.len;
}
