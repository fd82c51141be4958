/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One "endpoint" line, and its parts.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "policy/internal.h"

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

void endpoint_release(struct endpoint *endpoint)
{
	if (endpoint->kind == ENDPOINT_UNIX)
		free(endpoint->path);
	free(endpoint->name);
	free(endpoint->netns.text);
	for (size_t i = 0; i < endpoint->n_access; i++)
		access_deinit(&endpoint->access[i]);
	free(endpoint->access);
}

const char *endpoint_is_for_module(const struct endpoint *endpoint)
{
	if (endpoint->kind == ENDPOINT_ANY)
		return "no address";
	return endpoint->zone ? "a zone" : NULL;
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

int parse_endpoint_name(struct endpoint *endpoint, const struct word *word,
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

int parse_endpoint_kind(struct endpoint *endpoint, const struct word *word,
			const struct policy_origin *at, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);

	if (word_is(word, "ipv4"))
		endpoint->kind = ENDPOINT_IPV4;
	else if (word_is(word, "ipv6"))
		endpoint->kind = ENDPOINT_IPV6;
	else if (word_is(word, "unix"))
		endpoint->kind = ENDPOINT_UNIX;
	else if (word_is(word, "any"))
		endpoint->kind = ENDPOINT_ANY;
	else if (word->len == 0)
		return policy_fail(error, &here,
				   "the kind is missing; expected ipv4, ipv6 or unix");
	else
		return policy_fail(error, &here,
				   "'%.*s' is not a kind; expected ipv4, ipv6 or unix",
				   WORD(word));
	return 0;
}

int parse_endpoint_path(struct endpoint *endpoint, const struct word *word,
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

/* Takes a zone that is a number off @address; what else it may be is no address. */
static uint32_t take_zone(struct word *address)
{
	struct word plain, zone;
	uint64_t number;

	if (!split_last(address, '%', &plain, &zone) ||
	    !parse_number(&zone, UINT32_MAX, &number) || !number || number > UINT32_MAX)
		return 0;
	*address = plain;
	return (uint32_t)number;
}

int parse_endpoint_address(struct endpoint *endpoint, const struct word *address,
			   const struct policy_origin *at, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, address);
	struct word plain = *address;
	struct in6_addr bytes;
	int family, r;

	if (endpoint->kind == ENDPOINT_IPV6)
		endpoint->zone = take_zone(&plain);
	r = parse_address(&plain, at, &family, &bytes, error);
	if (r < 0)
		return r;
	if (endpoint->zone && !IN6_IS_ADDR_LINKLOCAL(&bytes) &&
	    !IN6_IS_ADDR_MC_LINKLOCAL(&bytes))
		return policy_fail(error, &here,
				   "'%.*s': a zone goes with a link-local address only",
				   WORD(address));
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
	r = parse_endpoint_address(endpoint, &address, at, error);
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

int parse_netns(struct netns_ref *netns, const struct word *word,
		const struct policy_origin *at, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
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

static int parse_flag(struct endpoint *endpoint, const struct word *word,
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
			   "'%.*s' is not an option; expected netns REF, hold, share, "
			   "bound, or owner, binder or connector WHO",
			   WORD(word));
}

int parse_endpoint_option(struct endpoint *endpoint, struct scanner *scanner,
			  const struct word *word, struct policy_error *error)
{
	unsigned int uses = access_uses(word);
	struct word value;
	int r;

	if (!uses && !word_is(word, "netns"))
		return parse_flag(endpoint, word, &scanner->at, error);
	r = scan_word(scanner, &value, error);
	if (r < 0)
		return r;
	if (uses)
		return parse_access(endpoint, uses, &value, &scanner->at, error);
	return parse_netns(&endpoint->netns, &value, &scanner->at, error);
}

static int parse_place(struct endpoint *endpoint, struct scanner *scanner,
		       struct policy_error *error)
{
	struct word place;
	int r;

	if (endpoint->kind == ENDPOINT_ANY)
		return 0;
	r = scan_word(scanner, &place, error);
	if (r < 0)
		return r;
	if (endpoint->kind == ENDPOINT_UNIX)
		return parse_endpoint_path(endpoint, &place, &scanner->at, error);
	return parse_address_port(endpoint, &place, &scanner->at, error);
}

int parse_endpoint(struct endpoint *endpoint, struct scanner *scanner,
		   struct policy_error *error)
{
	struct word word;
	int r = scan_word(scanner, &word, error);

	if (r >= 0)
		r = parse_endpoint_kind(endpoint, &word, &scanner->at, error);
	if (r == 0)
		r = parse_place(endpoint, scanner, error);
	while (r == 0) {
		r = scan_word(scanner, &word, error);
		if (r <= 0)
			return r;
		r = parse_endpoint_option(endpoint, scanner, &word, error);
	}
	return r;
}

int parse_endpoint_line(struct policy *policy, struct scanner *scanner,
			struct policy_error *error)
{
	_cleanup_(endpoint_release) struct endpoint endpoint = { 0 };
	struct word name;
	int r = scan_word(scanner, &name, error);

	if (r < 0)
		return r;
	endpoint.origin = origin_at(&scanner->at, &name);
	r = parse_endpoint_name(&endpoint, &name, &scanner->at, error);
	if (r == 0)
		r = parse_endpoint(&endpoint, scanner, error);
	if (r == 0 && endpoint_is_for_module(&endpoint))
		r = policy_fail(error, &endpoint.origin,
				"'%s' has %s: only the module af_graft keeps such "
				"endpoints",
				endpoint.name, endpoint_is_for_module(&endpoint));
	if (r == 0)
		r = policy_take_endpoint(policy, &endpoint, error);
	if (r == 0)
		endpoint = (struct endpoint){ 0 };
	return r;
}
