/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The short notation publish (-p), docker's.
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
#include <string.h>

#include "policy/internal.h"

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
	struct out out = { name, size, 0, 0 };

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
