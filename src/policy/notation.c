/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The short notations: publish (-p), ingress (-i), egress (-e), GRAFT_CONV_PAIRS. Each
 * becomes endpoints and rules that the file format could have said as well.
 *
 * What -p makes of 8080:80, and why in this order:
 *
 *	endpoint pub-tcp-8080-6 ipv6 [::]:8080 bound
 *	endpoint pub-tcp-8080-4 ipv4 0.0.0.0:8080 bound
 *	bind tcp [::]:80 = pub-tcp-8080-6		one dual-stack socket serves both
 *	bind tcp 0.0.0.0:80 = pub-tcp-8080-4		an IPv4 server
 *	connect tcp 127.0.0.1:80 = pub-tcp-8080-4	the service on its own loopback,
 *	connect tcp 127.0.0.1:80 = pub-tcp-8080-6	whichever of the two is bound
 *	connect tcp [::1]:80 = pub-tcp-8080-6
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

static struct word word_of(const char *text)
{
	return (struct word){ text, strlen(text), 0 };
}

static int no_memory(int r, struct policy_error *error)
{
	if (r == -ENOMEM)
		policy_fail(error, NULL, "out of memory");
	return r;
}

/* Splits at the first @c. Return: whether there is one. */
static bool split_first(const struct word *word, char c, struct word *before,
			struct word *after)
{
	const char *at = memchr(word->text, c, word->len);
	struct word whole = *word;
	size_t len;

	if (!at)
		return false;
	len = (size_t)(at - whole.text);
	*before = word_from(&whole, 0, len);
	*after = word_from(&whole, len + 1, whole.len - len - 1);
	return true;
}

static bool split_last(const struct word *word, char c, struct word *before,
		       struct word *after)
{
	const char *at = memrchr(word->text, c, word->len);
	struct word whole = *word;
	size_t len;

	if (!at)
		return false;
	len = (size_t)(at - whole.text);
	*before = word_from(&whole, 0, len);
	*after = word_from(&whole, len + 1, whole.len - len - 1);
	return true;
}

/* Remembers "@flag TEXT" as where things came from. */
static int keep_origin(struct policy *policy, const char *flag, const struct word *text,
		       struct policy_origin *ret_at)
{
	_cleanup_free_ char *source = NULL;

	if (asprintf(&source, "%s %.*s", flag, (int)text->len, text->text) < 0)
		return -ENOMEM;
	*ret_at = (struct policy_origin){ policy_keep_source(policy, source), 0, 0 };
	return ret_at->source ? 0 : -ENOMEM;
}

/* Owns @slot's name in any case. */
static int add_slot(struct policy *policy, struct rule_slot *slot,
		    struct policy_error *error)
{
	int r = check_rule(slot, error);

	if (r == 0)
		r = policy_take_rule(policy, slot, error);
	if (r < 0)
		free(slot->rule.endpoint_name);
	return r;
}

struct publish {
	const char *proto;
	struct word ip; /* no text: both wildcards */
	int family;
	struct in6_addr address;
	bool dynamic;
	uint16_t host_low, host_high;
	uint16_t low, high;
};

static int parse_proto_suffix(struct publish *publish, struct word *word,
			      const struct policy_origin *at, struct policy_error *error)
{
	struct word proto;

	publish->proto = "tcp";
	if (!split_first(word, '/', word, &proto))
		return 0;
	if (word_is(&proto, "udp"))
		publish->proto = "udp";
	else if (!word_is(&proto, "tcp"))
		return policy_fail(error, at,
				   "'%.*s' is not a protocol; expected tcp or "
				   "udp",
				   WORD(&proto));
	return 0;
}

static int parse_host_ip(struct publish *publish, struct word *word,
			 const struct policy_origin *at, struct policy_error *error)
{
	struct word ip = { 0 }, rest, ports;

	if (word->len && word->text[0] == '[') {
		if (!split_first(word, ']', &ip, &rest))
			return policy_fail(error, at, "']' is missing");
		ip = word_from(&ip, 1, ip.len - 1);
		if (rest.len == 0 || rest.text[0] != ':')
			return policy_fail(error, at, "expected [IP]:HOSTPORT:PORT");
		*word = word_from(&rest, 1, rest.len - 1);
		if (!memchr(word->text, ':', word->len))
			return policy_fail(error, at,
					   "expected [IP]:HOSTPORT:PORT, or "
					   "[IP]::PORT for a dynamic host port");
	} else if (split_last(word, ':', &rest, &ports) &&
		   split_last(&rest, ':', &ip, &rest)) {
		if (memchr(ip.text, ':', ip.len))
			return policy_fail(error, at,
					   "an IPv6 address stands in brackets, as in "
					   "[::1]:8080:80");
		*word = word_from(word, ip.len + 1, word->len - ip.len - 1);
	}
	if (!ip.text)
		return 0;
	publish->ip = ip;
	return parse_address(&ip, at, &publish->family, &publish->address, error);
}

static int parse_publish_ports(struct publish *publish, const struct word *word,
			       const struct policy_origin *at, struct policy_error *error)
{
	struct word host = { 0 }, inside = *word;
	int r;

	if (memchr(word->text, ':', word->len))
		split_first(word, ':', &host, &inside);
	if (inside.len == 0)
		return policy_fail(error, at,
				   "the program's port is missing; expected "
				   "[IP:]HOSTPORT:PORT");
	r = parse_ports(&inside, at, &publish->low, &publish->high, error);
	if (r == 0 && publish->low == 0)
		return policy_fail(error, at, "port 0 cannot be published");
	publish->dynamic = host.len == 0;
	if (r < 0 || publish->dynamic)
		return r;
	r = parse_ports(&host, at, &publish->host_low, &publish->host_high, error);
	if (r < 0)
		return r;
	if (publish->host_low == 0)
		return policy_fail(error, at,
				   "host port 0: leave the host port out for a "
				   "dynamic one");
	if (publish->host_high - publish->host_low != publish->high - publish->low)
		return policy_fail(error, at,
				   "%u host ports for %u ports; the ranges must "
				   "be of one length",
				   publish->host_high - publish->host_low + 1,
				   publish->high - publish->low + 1);
	return 0;
}

static int add_line(struct policy *policy, const struct policy_origin *at,
		    struct policy_error *error, const char *format, ...) _printf_(4, 5);

static int add_line(struct policy *policy, const struct policy_origin *at,
		    struct policy_error *error, const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	return parse_one_line(policy, at, line, strlen(line), error);
}

/* "pub-tcp-8080-SUFFIX", or "pub-tcp-dynamic-80-SUFFIX"; ':' is no character of names. */
static void publish_name(char *name, size_t size, const struct publish *publish,
			 const char *host_port, unsigned int port, const char *suffix)
{
	struct out out = { name, size, 0 };

	out_printf(&out, "pub-%s-%s-", publish->proto, host_port);
	if (publish->dynamic)
		out_printf(&out, "%u-", port);
	out_printf(&out, "%s", suffix);
	for (char *c = name; *c; c++)
		if (*c == ':')
			*c = '_';
}

struct publish_line {
	const char *selector;
	bool bind;
	bool ipv6; /* names the ipv6 endpoint */
};

static int publish_rules(struct policy *policy, const struct publish *publish,
			 const struct policy_origin *at, unsigned int port,
			 const struct publish_line *lines, const char *name4,
			 const char *name6, struct policy_error *error)
{
	int r = 0;

	for (; r == 0 && lines->selector; lines++)
		r = add_line(policy, at, error, "%s %s %s:%u = %s",
			     lines->bind ? "bind" : "connect", publish->proto,
			     lines->selector, port, lines->ipv6 ? name6 : name4);
	return r;
}

static const struct publish_line lines_both[] = {
	{ "[::]", true, true },        { "0.0.0.0", true, false },
	{ "127.0.0.1", false, false }, { "127.0.0.1", false, true },
	{ "[::1]", false, true },      { NULL },
};
static const struct publish_line lines_v4[] = {
	{ "[::]", true, false },
	{ "0.0.0.0", true, false },
	{ "127.0.0.1", false, false },
	{ "[::1]", false, false },
	{ NULL },
};
static const struct publish_line lines_v6[] = {
	{ "[::]", true, true },
	{ "[::1]", false, true },
	{ NULL },
};

static int publish_port(struct policy *policy, const struct publish *publish,
			const struct policy_origin *at, unsigned int offset,
			struct policy_error *error)
{
	unsigned int port = publish->low + offset;
	char host_port[16] = "dynamic", name4[128], name6[128];
	char ip[INET6_ADDRSTRLEN];
	int r;

	if (!publish->dynamic)
		snprintf(host_port, sizeof(host_port), "%u", publish->host_low + offset);
	if (publish->ip.text) {
		bool v4 = publish->family == AF_INET;

		inet_ntop(publish->family, &publish->address, ip, sizeof(ip));
		publish_name(name4, sizeof(name4), publish, host_port, port, ip);
		r = add_line(policy, at, error, "endpoint %s %s %s%s%s:%s bound", name4,
			     v4 ? "ipv4" : "ipv6", v4 ? "" : "[", ip, v4 ? "" : "]",
			     host_port);
		if (r < 0)
			return r;
		return publish_rules(policy, publish, at, port, v4 ? lines_v4 : lines_v6,
				     name4, name4, error);
	}
	publish_name(name4, sizeof(name4), publish, host_port, port, "4");
	publish_name(name6, sizeof(name6), publish, host_port, port, "6");
	r = add_line(policy, at, error, "endpoint %s ipv6 [::]:%s bound", name6,
		     host_port);
	if (r == 0)
		r = add_line(policy, at, error, "endpoint %s ipv4 0.0.0.0:%s bound",
			     name4, host_port);
	if (r < 0)
		return r;
	return publish_rules(policy, publish, at, port, lines_both, name4, name6, error);
}

int policy_add_publish(struct policy *policy, const char *text,
		       struct policy_error *error)
{
	struct policy_mark mark = policy_mark(policy);
	struct publish publish = { 0 };
	struct word word = word_of(text);
	struct policy_origin at;
	int r;

	r = keep_origin(policy, "-p", &word, &at);
	if (r == 0)
		r = parse_proto_suffix(&publish, &word, &at, error);
	if (r == 0)
		r = parse_host_ip(&publish, &word, &at, error);
	if (r == 0)
		r = parse_publish_ports(&publish, &word, &at, error);
	for (unsigned int i = 0; r == 0 && i <= (unsigned int)publish.high - publish.low;
	     i++)
		r = publish_port(policy, &publish, &at, i, error);
	if (r < 0)
		policy_rollback(policy, &mark);
	return no_memory(r, error);
}

/* ADDR:PORT[-PORT], unbracketed IPv6 too: the last ':' splits. */
static int parse_loose_selector(const struct word *word, const struct policy_origin *at,
				struct rule *rule, struct policy_error *error)
{
	struct word address, ports;
	int r;

	if (!split_last(word, ':', &address, &ports))
		return policy_fail(error, at, "'%.*s' has no port; expected ADDR:PORT",
				   WORD(word));
	if (address.len >= 2 && address.text[0] == '[' &&
	    address.text[address.len - 1] == ']')
		address = word_from(&address, 1, address.len - 2);
	r = parse_address(&address, at, &rule->family, &rule->address, error);
	if (r < 0)
		return r;
	rule->prefix = rule->family == AF_INET ? 32 : 128;
	r = check_prefix(&address, at, rule, error);
	if (r < 0)
		return r;
	return parse_ports(&ports, at, &rule->port_low, &rule->port_high, error);
}

static int parse_pair(const struct word *word, const struct policy_origin *at,
		      struct rule_slot *slot, struct policy_error *error)
{
	struct word selector, target;
	int r;

	slot->rule.origin = *at;
	slot->rule.proto = POLICY_ANY;
	if (!split_first(word, '=', &selector, &target))
		return policy_fail(error, at,
				   "'=' is missing; expected ADDR:PORT=TARGET");
	r = parse_loose_selector(&selector, at, &slot->rule, error);
	if (r < 0)
		return r;
	return parse_target(slot, &target, false, at, error);
}

int policy_add_ingress(struct policy *policy, const char *text,
		       struct policy_error *error)
{
	struct rule_slot slot = { .rule.op = POLICY_BIND };
	struct word word = word_of(text);
	struct policy_origin at;
	int r;

	r = keep_origin(policy, "-i", &word, &at);
	if (r == 0)
		r = parse_pair(&word, &at, &slot, error);
	if (r == 0)
		r = add_slot(policy, &slot, error);
	return no_memory(r, error);
}

/* PREFIX[/LEN], unbracketed IPv6 too. */
static int parse_loose_prefix(const struct word *word, const struct policy_origin *at,
			      struct rule *rule, struct policy_error *error)
{
	struct word address = *word, length = { 0 };
	int r;

	if (address.len >= 2 && address.text[0] == '[' &&
	    address.text[address.len - 1] == ']')
		address = word_from(&address, 1, address.len - 2);
	split_first(&address, '/', &address, &length);
	if (address.len >= 2 && address.text[0] == '[' &&
	    address.text[address.len - 1] == ']')
		address = word_from(&address, 1, address.len - 2);
	r = parse_address(&address, at, &rule->family, &rule->address, error);
	if (r < 0)
		return r;
	rule->prefix = rule->family == AF_INET ? 32 : 128;
	rule->port_high = 65535;
	if (length.text)
		r = parse_length(&length, at, rule->family, &rule->prefix, error);
	if (r < 0)
		return r;
	if (is_any_address(rule->family, &rule->address) &&
	    rule->prefix == (rule->family == AF_INET ? 32 : 128))
		return policy_fail(error, at,
				   "a wildcard address needs a length; write "
				   "%s for every destination",
				   rule->family == AF_INET ? "0.0.0.0/0" : "::/0");
	return check_prefix(&address, at, rule, error);
}

static unsigned int take_proto_prefix(struct word *word)
{
	static const struct {
		const char *prefix;
		unsigned int proto;
	} prefixes[] = {
		{ "tcp:", POLICY_TCP },
		{ "udp:", POLICY_UDP },
		{ "any:", POLICY_ANY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (word->len < 4 || memcmp(word->text, prefixes[i].prefix, 4) != 0)
			continue;
		*word = word_from(word, 4, word->len - 4);
		return prefixes[i].proto;
	}
	return POLICY_ANY;
}

static int parse_egress(struct word *word, const struct policy_origin *at,
			struct rule_slot *slot, struct policy_error *error)
{
	struct word prefix, target;
	int r;

	slot->rule.origin = *at;
	slot->rule.proto = take_proto_prefix(word);
	if (!split_first(word, '=', &prefix, &target))
		return policy_fail(error, at,
				   "'=' is missing; expected PREFIX/LEN=TARGET");
	r = parse_loose_prefix(&prefix, at, &slot->rule, error);
	if (r == 0)
		r = parse_target(slot, &target, false, at, error);
	if (r == 0 && slot->rule.target == POLICY_ENDPOINT)
		slot->rule.target = POLICY_FROM;
	return r;
}

int policy_add_egress(struct policy *policy, const char *text, struct policy_error *error)
{
	struct rule_slot slot = { .rule.op = POLICY_CONNECT, .egress = true };
	struct word word = word_of(text);
	struct policy_origin at;
	int r;

	r = keep_origin(policy, "-e", &word, &at);
	if (r == 0)
		r = parse_egress(&word, &at, &slot, error);
	if (r == 0)
		r = add_slot(policy, &slot, error);
	return no_memory(r, error);
}

/* What a program connects to to reach what it bound at a wildcard address. */
static void wildcard_to_loopback(struct rule *rule)
{
	static const struct in_addr loopback4 = { .s_addr = 0x7f000001 };
	struct in_addr v4 = { htonl(loopback4.s_addr) };

	if (!is_any_address(rule->family, &rule->address))
		return;
	if (rule->family == AF_INET)
		memcpy(&rule->address, &v4, sizeof(v4));
	else
		rule->address = in6addr_loopback;
}

static int add_conv_pair(struct policy *policy, const struct word *word,
			 struct policy_error *error)
{
	static const enum policy_op ops[] = { POLICY_BIND, POLICY_CONNECT };
	struct policy_origin at;
	int r = keep_origin(policy, "GRAFT_CONV_PAIRS", word, &at);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(ops); i++) {
		struct rule_slot slot = { .rule.op = ops[i] };

		r = parse_pair(word, &at, &slot, error);
		if (r == 0 && ops[i] == POLICY_CONNECT)
			wildcard_to_loopback(&slot.rule);
		if (r == 0)
			r = add_slot(policy, &slot, error);
	}
	return r;
}

int policy_add_conv_pairs(struct policy *policy, const char *text,
			  struct policy_error *error)
{
	static const char blanks[] = " \t\r\n";
	struct policy_mark mark = policy_mark(policy);
	int r = 0;

	for (text += strspn(text, blanks); r == 0 && *text;
	     text += strspn(text, blanks)) {
		struct word word = { text, strcspn(text, blanks), 0 };

		r = add_conv_pair(policy, &word, error);
		text += word.len;
	}
	if (r < 0)
		policy_rollback(policy, &mark);
	return no_memory(r, error);
}
