/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules and endpoints as the lines that parse back to them.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

/* The longest line: a name, a UNIX or netns path at its limit, and the words around. */
#define LINE_MAX_SIZE 1536

static const char *const proto_names[] = {
	[POLICY_TCP] = "tcp",
	[POLICY_UDP] = "udp",
	[POLICY_ANY] = "any",
};

static void print_selector(struct out *out, const struct rule *rule)
{
	bool is_v4 = rule->family == AF_INET;

	if (!is_v4)
		out_printf(out, "[");
	out_address(out, rule->family, &rule->address);
	if (rule->prefix != (is_v4 ? 32 : 128))
		out_printf(out, "/%u", rule->prefix);
	if (!is_v4)
		out_printf(out, "]");
	if (rule->port_low == rule->port_high)
		out_printf(out, ":%u", rule->port_low);
	else if (rule->port_low != 0 || rule->port_high != 65535)
		out_printf(out, ":%u-%u", rule->port_low, rule->port_high);
}

size_t policy_print_rule(const struct rule *rule, char *text, size_t size)
{
	struct out out = { text, size, 0 };

	out_printf(&out, "%s %s ", rule->op == POLICY_BIND ? "bind" : "connect",
		   proto_names[rule->proto]);
	print_selector(&out, rule);
	out_printf(&out, " = ");
	switch (rule->target) {
	case POLICY_OWN:
		out_printf(&out, "own");
		break;
	case POLICY_HOST:
		out_printf(&out, "host");
		break;
	case POLICY_ENDPOINT:
		out_printf(&out, "%s", rule->endpoint_name);
		break;
	case POLICY_FROM:
		out_printf(&out, "from %s", rule->endpoint_name);
		break;
	case POLICY_DENY:
		out_printf(&out, "deny");
		if (rule->deny_errno != DENY_DEFAULT)
			out_printf(&out, ":%s", errno_name(rule->deny_errno));
		break;
	}
	return out.len;
}

static void print_place(struct out *out, const struct endpoint *endpoint)
{
	switch (endpoint->kind) {
	case ENDPOINT_IPV4:
		out_printf(out, "ipv4 ");
		out_address(out, AF_INET, &endpoint->v4);
		break;
	case ENDPOINT_IPV6:
		out_printf(out, "ipv6 [");
		out_address(out, AF_INET6, &endpoint->v6);
		out_printf(out, "]");
		break;
	case ENDPOINT_UNIX:
		out_printf(out, "unix %s", endpoint->path);
		return;
	case ENDPOINT_NAMED:
		return;
	}
	if (endpoint->dynamic)
		out_printf(out, ":dynamic");
	else
		out_printf(out, ":%u", endpoint->port);
}

size_t policy_print_endpoint(const struct endpoint *endpoint, char *text, size_t size)
{
	struct out out = { text, size, 0 };

	out_printf(&out, "endpoint %s ", endpoint->name);
	print_place(&out, endpoint);
	if (endpoint->netns.kind == NETNS_PID)
		out_printf(&out, " netns %d", endpoint->netns.pid);
	else if (endpoint->netns.kind != NETNS_DEFAULT)
		out_printf(&out, " netns %s", endpoint->netns.text);
	if (endpoint->options & ENDPOINT_HOLD)
		out_printf(&out, " hold");
	if (endpoint->options & ENDPOINT_SHARE)
		out_printf(&out, " share");
	if (endpoint->options & ENDPOINT_BOUND)
		out_printf(&out, " bound");
	return out.len;
}

size_t policy_print_origin(const struct policy_origin *origin, char *text, size_t size)
{
	struct out out = { text, size, 0 };

	out_printf(&out, "%s", origin->source ? origin->source : "?");
	if (origin->line)
		out_printf(&out, ":%u", origin->line);
	return out.len;
}

struct buffer {
	char *text;
	size_t size, room;
};

static bool append_line(struct buffer *buffer, const char *line, size_t len)
{
	char *moved;

	if (buffer->room - buffer->size < len + 2) {
		size_t room = buffer->room * 2 + LINE_MAX_SIZE;

		moved = realloc(buffer->text, room);
		if (!moved)
			return false;
		buffer->text = moved;
		buffer->room = room;
	}
	memcpy(buffer->text + buffer->size, line, len);
	buffer->size += len;
	buffer->text[buffer->size++] = '\n';
	return true;
}

char *policy_print(const struct policy *policy)
{
	struct buffer buffer = { calloc(1, LINE_MAX_SIZE), 0, LINE_MAX_SIZE };
	char line[LINE_MAX_SIZE];
	bool ok = buffer.text;
	size_t len;

	for (size_t i = 0; ok && i < policy->n_endpoints; i++) {
		len = policy_print_endpoint(&policy->endpoints[i], line, sizeof(line));
		ok = append_line(&buffer, line, len);
	}
	for (size_t i = 0; ok && i < policy->n_rules; i++) {
		len = policy_print_rule(&policy->rules[i].rule, line, sizeof(line));
		ok = append_line(&buffer, line, len);
	}
	if (!ok) {
		free(buffer.text);
		return NULL;
	}
	buffer.text[buffer.size] = '\0';
	return buffer.text;
}
