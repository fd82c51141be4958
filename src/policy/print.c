/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules and endpoints as the lines that parse back to them.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

/* The longest line: a name, a UNIX path, and everything else at its limit too. */
#define LINE_MAX_SIZE \
	(512 + NETNS_TEXT_MAX + ACCESS_MAX * (128 + NETNS_TEXT_MAX + CGROUP_TEXT_MAX))

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
	struct out out = { text, size, 0, 0 };

	out_printf(&out, "%s %s ", rule->op == POLICY_BIND ? "bind" : "connect",
		   rule->family == AF_UNIX ? "unix" : proto_names[rule->proto]);
	if (rule->family == AF_UNIX)
		out_printf(&out, "%s%s", rule->path, rule->is_beginning ? "*" : "");
	else
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

static void print_ipv6(struct out *out, const struct endpoint *endpoint)
{
	out_address(out, AF_INET6, &endpoint->v6);
	if (endpoint->zone)
		out_printf(out, "%%%u", endpoint->zone);
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
		print_ipv6(out, endpoint);
		out_printf(out, "]");
		break;
	case ENDPOINT_UNIX:
		out_printf(out, "unix %s", endpoint->path);
		return;
	case ENDPOINT_ANY:
		out_printf(out, "any");
		return;
	case ENDPOINT_NAMED:
		return;
	}
	if (endpoint->dynamic)
		out_printf(out, ":dynamic");
	else
		out_printf(out, ":%u", endpoint->port);
}

static void print_netns(struct out *out, const struct netns_ref *netns)
{
	if (netns->kind == NETNS_PID)
		out_printf(out, "%d", netns->pid);
	else
		out_printf(out, "%s", netns->text);
}

static void print_access(struct out *out, const struct access *access)
{
	const char *between = " ";

	out_printf(out, " %s", access_name(access->uses));
	if (access->has_uid) {
		out_printf(out, "%suid=%u", between, access->uid);
		between = ",";
	}
	if (access->has_gid) {
		out_printf(out, "%sgid=%u", between, access->gid);
		between = ",";
	}
	if (access->netns.kind != NETNS_DEFAULT) {
		out_printf(out, "%snetns=", between);
		print_netns(out, &access->netns);
		between = ",";
	}
	if (access->cgroup) {
		out_printf(out, "%scgroup=%s", between, access->cgroup);
		between = ",";
	}
	if (between[0] == ' ')
		out_printf(out, " any");
}

/* A blank in front of each word. */
static void print_options(struct out *out, const struct endpoint *endpoint)
{
	if (endpoint->netns.kind != NETNS_DEFAULT) {
		out_printf(out, " netns ");
		print_netns(out, &endpoint->netns);
	}
	if (endpoint->options & ENDPOINT_HOLD)
		out_printf(out, " hold");
	if (endpoint->options & ENDPOINT_SHARE)
		out_printf(out, " share");
	if (endpoint->options & ENDPOINT_BOUND)
		out_printf(out, " bound");
	for (size_t i = 0; i < endpoint->n_access; i++)
		print_access(out, &endpoint->access[i]);
}

size_t policy_print_endpoint(const struct endpoint *endpoint, char *text, size_t size)
{
	struct out out = { text, size, 0, 0 };

	if (endpoint->kind == ENDPOINT_NAMED) {
		out_printf(&out, "# endpoint %s is in graftd's registry", endpoint->name);
		return out.len;
	}
	out_printf(&out, "endpoint %s ", endpoint->name);
	print_place(&out, endpoint);
	print_options(&out, endpoint);
	return out.len;
}

size_t policy_print_setting(const struct policy *policy, enum policy_setting setting,
			    char *text, size_t size)
{
	unsigned int value = policy_setting(policy, setting, NULL);
	struct out out = { text, size, 0, 0 };

	out_printf(&out, "%s %s", policy_setting_name(setting),
		   policy_setting_word(setting, value));
	return out.len;
}

static void print_graft_place(struct out *out, const struct endpoint *endpoint)
{
	switch (endpoint->kind) {
	case ENDPOINT_IPV4:
		out_printf(out, " type ipv4 addr ");
		out_address(out, AF_INET, &endpoint->v4);
		break;
	case ENDPOINT_IPV6:
		out_printf(out, " type ipv6 addr ");
		print_ipv6(out, endpoint);
		break;
	case ENDPOINT_UNIX:
		out_printf(out, " type unix path %s", endpoint->path);
		return;
	case ENDPOINT_ANY:
		out_printf(out, " type any");
		return;
	case ENDPOINT_NAMED:
		out_printf(out, " type unknown");
		return;
	}
	if (endpoint->dynamic)
		out_printf(out, " port dynamic");
	else
		out_printf(out, " port %u", endpoint->port);
}

size_t endpoint_print_graft(const struct endpoint *endpoint, char *text, size_t size)
{
	struct out out = { text, size, 0, 0 };

	out_printf(&out, "%s", endpoint->name);
	print_graft_place(&out, endpoint);
	print_options(&out, endpoint);
	out_printf(&out, " ");
	return out.whole;
}

size_t policy_print_origin(const struct policy_origin *origin, char *text, size_t size)
{
	struct out out = { text, size, 0, 0 };

	out_printf(&out, "%s", origin->source ? origin->source : "?");
	if (origin->line)
		out_printf(&out, ":%u", origin->line);
	return out.len;
}

struct buffer {
	char *text;
	size_t size, room;
};

/* Room for one more line, its newline and the final NUL. */
static bool make_room(struct buffer *buffer)
{
	size_t room = buffer->room * 2 + LINE_MAX_SIZE;
	char *moved;

	if (buffer->room - buffer->size >= LINE_MAX_SIZE)
		return true;
	moved = realloc(buffer->text, room);
	if (!moved)
		return false;
	buffer->text = moved;
	buffer->room = room;
	return true;
}

static bool append_setting(struct buffer *buffer, const struct policy *policy,
			   enum policy_setting setting)
{
	const struct policy_origin *origin;

	policy_setting(policy, setting, &origin);
	if (!origin)
		return true;
	if (!make_room(buffer))
		return false;
	buffer->size += policy_print_setting(policy, setting, buffer->text + buffer->size,
					     buffer->room - buffer->size);
	buffer->text[buffer->size++] = '\n';
	return true;
}

static bool append_endpoint(struct buffer *buffer, const struct endpoint *endpoint)
{
	if (!make_room(buffer))
		return false;
	buffer->size += policy_print_endpoint(endpoint, buffer->text + buffer->size,
					      buffer->room - buffer->size);
	buffer->text[buffer->size++] = '\n';
	return true;
}

static bool append_rule(struct buffer *buffer, const struct rule *rule)
{
	if (!make_room(buffer))
		return false;
	buffer->size += policy_print_rule(rule, buffer->text + buffer->size,
					  buffer->room - buffer->size);
	buffer->text[buffer->size++] = '\n';
	return true;
}

/* Those that the registry knows, in the order in which the rules name them. */
static bool append_named(struct buffer *buffer, const struct policy *policy)
{
	_cleanup_free_ bool *seen = calloc(policy->n_endpoints + 1, sizeof(bool));
	bool ok = seen;

	for (size_t i = 0; ok && i < policy->n_rules; i++) {
		const struct endpoint *endpoint = policy->rules[i].rule.endpoint;

		if (!endpoint || endpoint->kind != ENDPOINT_NAMED ||
		    seen[endpoint->index])
			continue;
		seen[endpoint->index] = true;
		ok = append_endpoint(buffer, endpoint);
	}
	return ok;
}

char *policy_print(const struct policy *policy)
{
	struct buffer buffer = { NULL };
	bool ok = make_room(&buffer);

	for (int i = 0; ok && i < POLICY_N_SETTINGS; i++)
		ok = append_setting(&buffer, policy, (enum policy_setting)i);
	for (size_t i = 0; ok && i < policy->n_endpoints; i++)
		if (policy->endpoints[i].kind != ENDPOINT_NAMED)
			ok = append_endpoint(&buffer, &policy->endpoints[i]);
	ok = ok && append_named(&buffer, policy);
	for (size_t i = 0; ok && i < policy->n_rules; i++)
		ok = append_rule(&buffer, &policy->rules[i].rule);
	if (!ok) {
		free(buffer.text);
		return NULL;
	}
	buffer.text[buffer.size] = '\0';
	return buffer.text;
}
