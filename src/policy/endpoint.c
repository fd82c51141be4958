/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One "endpoint" line.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "policy/internal.h"

#define NETNS_TEXT_MAX 1023
#define PID_DIGITS_MAX 9

static const char *const reserved_names[] = { "host", "own", "deny", "from" };

static const struct {
	const char *name;
	unsigned int bit;
} options[] = {
	{ "hold", ENDPOINT_HOLD },
	{ "share", ENDPOINT_SHARE },
	{ "bound", ENDPOINT_BOUND },
};

void endpoint_deinit(struct endpoint *endpoint)
{
	if (endpoint->kind == ENDPOINT_UNIX)
		free(endpoint->path);
	free(endpoint->name);
	free(endpoint->netns.text);
}

static void endpoint_deinitp(struct endpoint *endpoint)
{
	endpoint_deinit(endpoint);
}

bool endpoint_is_wildcard(const struct endpoint *endpoint)
{
	if (endpoint->kind == ENDPOINT_IPV4)
		return endpoint->v4.s_addr == htonl(INADDR_ANY);
	return endpoint->kind == ENDPOINT_IPV6 && IN6_IS_ADDR_UNSPECIFIED(&endpoint->v6);
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

bool name_is_valid(const struct word *word)
{
	if (word->len == 0 || word->len > POLICY_NAME_MAX || word->text[0] == '-' ||
	    word->text[0] == '.')
		return false;
	for (size_t i = 0; i < word->len; i++)
		if (!is_name_char(word->text[i]))
			return false;
	return true;
}

static int parse_name(struct endpoint *endpoint, const struct word *word,
		      const struct policy_origin *at, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);

	if (word->len == 0)
		return policy_fail(error, &here, "the endpoint's name is missing");
	if (!name_is_valid(word))
		return policy_fail(error, &here,
				   "'%.*s' is not a name: up to %d letters, digits, '_', "
				   "'-' and '.', the first one not '-' or '.'",
				   WORD(word), POLICY_NAME_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(reserved_names); i++)
		if (word_is(word, reserved_names[i]))
			return policy_fail(error, &here,
					   "'%s' is a target word and cannot name an "
					   "endpoint",
					   reserved_names[i]);
	endpoint->name = strndup(word->text, word->len);
	return endpoint->name ? 0 : -ENOMEM;
}

static int parse_kind(struct endpoint *endpoint, const struct word *word,
		      const struct policy_origin *at, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);

	if (word_is(word, "ipv4"))
		endpoint->kind = ENDPOINT_IPV4;
	else if (word_is(word, "ipv6"))
		endpoint->kind = ENDPOINT_IPV6;
	else if (word_is(word, "unix"))
		endpoint->kind = ENDPOINT_UNIX;
	else if (word->len == 0)
		return policy_fail(error, &here,
				   "the kind is missing; expected ipv4, ipv6 or unix");
	else
		return policy_fail(error, &here,
				   "'%.*s' is not a kind; expected ipv4, ipv6 or unix",
				   WORD(word));
	return 0;
}

static int parse_path(struct endpoint *endpoint, const struct word *word,
		      const struct policy_origin *at, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	const size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

	if (word->len < 2 || (word->text[0] != '/' && word->text[0] != '@'))
		return policy_fail(error, &here,
				   "'%.*s' is not an absolute path (nor an abstract "
				   "@NAME)",
				   WORD(word));
	if (word->len > max)
		return policy_fail(error, &here,
				   "the path is longer than the %zu bytes a UNIX socket "
				   "takes",
				   max);
	endpoint->path = strndup(word->text, word->len);
	return endpoint->path ? 0 : -ENOMEM;
}

static int take_address(struct endpoint *endpoint, const struct word *address,
			const struct policy_origin *at, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, address);
	struct in6_addr bytes;
	int family, r;

	r = parse_address(address, at, &family, &bytes, error);
	if (r < 0)
		return r;
	if ((family == AF_INET) != (endpoint->kind == ENDPOINT_IPV4))
		return policy_fail(error, &here, "'%.*s' is not an %s address",
				   WORD(address),
				   endpoint->kind == ENDPOINT_IPV4 ? "IPv4" : "IPv6");
	if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&bytes))
		return policy_fail(error, &here,
				   "'%.*s' is an IPv4 address in IPv6 clothes; define the "
				   "endpoint as ipv4",
				   WORD(address));
	if (family == AF_INET)
		memcpy(&endpoint->v4, &bytes, sizeof(endpoint->v4));
	else
		endpoint->v6 = bytes;
	return 0;
}

/* ADDR:PORT or [ADDR]:PORT; PORT may be "dynamic". */
static int parse_address_port(struct endpoint *endpoint, const struct word *word,
			      const struct policy_origin *at, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	const char *colon = memrchr(word->text, ':', word->len);
	struct word address, port;
	size_t len;
	int r;

	if (!colon || (word->text[0] == '[' && colon[-1] != ']'))
		return policy_fail(error, &here,
				   "'%.*s' has no port; expected ADDR:PORT or "
				   "ADDR:dynamic",
				   WORD(word));
	len = (size_t)(colon - word->text);
	address = word_from(word, 0, len);
	port = word_from(word, len + 1, word->len - len - 1);
	if (word->text[0] == '[')
		address = word_from(&address, 1, len - 2);
	else if (memchr(address.text, ':', address.len))
		return policy_fail(error, &here,
				   "'%.*s': an IPv6 address stands in brackets, as in "
				   "[2001:db8::1]:80",
				   WORD(word));
	r = take_address(endpoint, &address, at, error);
	if (r < 0)
		return r;
	endpoint->dynamic = word_is(&port, "dynamic");
	if (endpoint->dynamic)
		return 0;
	r = parse_port(&port, at, &endpoint->port, error);
	if (r == 0 && endpoint->port == 0) {
		here = origin_at(at, &port);
		return policy_fail(error, &here,
				   "port 0: write 'dynamic' for a port the kernel picks");
	}
	return r;
}

static int parse_netns(struct endpoint *endpoint, const struct word *word,
		       const struct policy_origin *at, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	struct netns_ref *netns = &endpoint->netns;
	size_t digits = 0;

	if (word->len == 0)
		return policy_fail(error, &here,
				   "netns needs a pid, a name or a path after it");
	if (netns->kind != NETNS_DEFAULT)
		return policy_fail(error, &here, "netns is given twice");
	while (digits < word->len && word->text[digits] >= '0' &&
	       word->text[digits] <= '9')
		digits++;
	if (digits == word->len && digits <= PID_DIGITS_MAX) {
		for (size_t i = 0; i < digits; i++)
			netns->pid = netns->pid * 10 + (word->text[i] - '0');
		netns->kind = NETNS_PID;
		if (netns->pid > 0)
			return 0;
	}
	if (digits == word->len)
		return policy_fail(error, &here, "'%.*s' is not a pid", WORD(word));
	if (memchr(word->text, '/', word->len) && word->len <= NETNS_TEXT_MAX)
		netns->kind = NETNS_PATH;
	else if (name_is_valid(word))
		netns->kind = NETNS_NAME;
	else
		return policy_fail(error, &here,
				   "'%.*s' is not a pid, nor a name under /run/netns, nor "
				   "a path",
				   WORD(word));
	netns->text = strndup(word->text, word->len);
	return netns->text ? 0 : -ENOMEM;
}

static int parse_option(struct endpoint *endpoint, const struct word *word,
			const struct policy_origin *at, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (!word_is(word, options[i].name))
			continue;
		if (endpoint->options & options[i].bit)
			return policy_fail(error, &here, "option '%s' is given twice",
					   options[i].name);
		endpoint->options |= options[i].bit;
		return 0;
	}
	return policy_fail(error, &here,
			   "'%.*s' is not an option; expected netns REF, hold, share or "
			   "bound",
			   WORD(word));
}

static int parse_tail(struct endpoint *endpoint, struct scanner *scanner,
		      struct policy_error *error)
{
	struct word word;
	int r;

	for (;;) {
		r = scan_word(scanner, &word, error);
		if (r <= 0)
			return r;
		if (word_is(&word, "netns")) {
			r = scan_word(scanner, &word, error);
			if (r >= 0)
				r = parse_netns(endpoint, &word, &scanner->at, error);
		} else {
			r = parse_option(endpoint, &word, &scanner->at, error);
		}
		if (r < 0)
			return r;
	}
}

int parse_endpoint_line(struct policy *policy, struct scanner *scanner,
			struct policy_error *error)
{
	_cleanup_(endpoint_deinitp) struct endpoint endpoint = { 0 };
	struct word name, kind, place;
	int r;

	r = scan_word(scanner, &name, error);
	if (r < 0)
		return r;
	endpoint.origin = origin_at(&scanner->at, &name);
	r = parse_name(&endpoint, &name, &scanner->at, error);
	if (r == 0)
		r = scan_word(scanner, &kind, error);
	if (r >= 0)
		r = parse_kind(&endpoint, &kind, &scanner->at, error);
	if (r == 0)
		r = scan_word(scanner, &place, error);
	if (r >= 0 && endpoint.kind == ENDPOINT_UNIX)
		r = parse_path(&endpoint, &place, &scanner->at, error);
	else if (r >= 0)
		r = parse_address_port(&endpoint, &place, &scanner->at, error);
	if (r == 0)
		r = parse_tail(&endpoint, scanner, error);
	if (r == 0)
		r = policy_take_endpoint(policy, &endpoint, error);
	if (r == 0)
		endpoint = (struct endpoint){ 0 };
	return r;
}
