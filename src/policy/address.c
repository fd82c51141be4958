/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ADDR[/LEN][:PORT[-PORT]] from text, with messages that say what would be right.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "policy/internal.h"

#define PORT_MAX 65535

bool word_is(const struct word *word, const char *text)
{
	return word->len == strlen(text) && !memcmp(word->text, text, word->len);
}

void mask_address(int family, struct in6_addr *address, unsigned int prefix)
{
	unsigned int bits = family == AF_INET ? 32 : 128;

	for (unsigned int i = prefix / 8; i < bits / 8; i++) {
		unsigned int keep = i == prefix / 8 ? prefix % 8 : 0;

		address->s6_addr[i] &= (uint8_t)(0xff00 >> keep);
	}
}

struct word strip_brackets(const struct word *word)
{
	if (word->len < 2 || word->text[0] != '[' || word->text[word->len - 1] != ']')
		return *word;
	return word_from(word, 1, word->len - 2);
}

bool is_any_address(int family, const struct in6_addr *address)
{
	static const struct in6_addr zero;

	return !memcmp(address, &zero, family == AF_INET ? 4 : 16);
}

int parse_address(const struct word *word, const struct policy_origin *at,
		  int *ret_family, struct in6_addr *ret_address,
		  struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	struct in6_addr address = { 0 };
	char text[INET6_ADDRSTRLEN];
	int family = memchr(word->text, ':', word->len) ? AF_INET6 : AF_INET;

	if (word->len == 0)
		return policy_fail(error, &here, "an address is missing");
	if (memchr(word->text, '%', word->len))
		return policy_fail(error, &here, "'%.*s': addresses take no zone",
				   WORD(word));
	if (word->len < sizeof(text)) {
		memcpy(text, word->text, word->len);
		text[word->len] = '\0';
		if (strlen(text) == word->len && inet_pton(family, text, &address) == 1) {
			*ret_family = family;
			*ret_address = address;
			return 0;
		}
	}
	return policy_fail(error, &here, "'%.*s' is not an IP%s address", WORD(word),
			   family == AF_INET6 ? "v6" : "v4");
}

bool parse_number(const struct word *word, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;

	if (word->len == 0)
		return false;
	for (size_t i = 0; i < word->len; i++) {
		if (word->text[i] < '0' || word->text[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(word->text[i] - '0');
		if (n > max)
			n = max + 1;
	}
	*ret = n;
	return true;
}

int parse_length(const struct word *word, const struct policy_origin *at, int family,
		 uint8_t *ret_prefix, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	unsigned int max = family == AF_INET ? 32 : 128;
	uint64_t n;

	if (!parse_number(word, max, &n))
		return policy_fail(error, &here, "prefix length '%.*s' is not a number",
				   WORD(word));
	if (n > max)
		return policy_fail(error, &here, "prefix length %.*s is not in 0-%u",
				   WORD(word), max);
	*ret_prefix = (uint8_t)n;
	return 0;
}

int parse_port(const struct word *word, const struct policy_origin *at,
	       uint16_t *ret_port, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	uint64_t n;

	if (!parse_number(word, PORT_MAX, &n))
		return policy_fail(error, &here, "port '%.*s' is not a number",
				   WORD(word));
	if (n > PORT_MAX)
		return policy_fail(error, &here, "port %.*s is not in 0-65535",
				   WORD(word));
	*ret_port = (uint16_t)n;
	return 0;
}

int parse_ports(const struct word *word, const struct policy_origin *at,
		uint16_t *ret_low, uint16_t *ret_high, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	const char *dash = memchr(word->text, '-', word->len);
	size_t len = dash ? (size_t)(dash - word->text) : word->len;
	struct word low = word_from(word, 0, len), high = low;
	uint16_t from, to;
	int r;

	if (dash)
		high = word_from(word, len + 1, word->len - len - 1);
	r = parse_port(&low, at, &from, error);
	if (r < 0)
		return r;
	r = parse_port(&high, at, &to, error);
	if (r < 0)
		return r;
	if (from > to)
		return policy_fail(error, &here,
				   "port range %u-%u runs backwards; write %u-%u", from,
				   to, to, from);
	*ret_low = from;
	*ret_high = to;
	return 0;
}

static void unmap(struct rule *rule)
{
	struct in6_addr v4 = { 0 };

	if (rule->family != AF_INET6 || rule->prefix < 96 ||
	    !IN6_IS_ADDR_V4MAPPED(&rule->address))
		return;
	memcpy(&v4, &rule->address.s6_addr[12], 4);
	rule->family = AF_INET;
	rule->address = v4;
	rule->prefix = (uint8_t)(rule->prefix - 96);
}

int check_prefix(const struct word *word, const struct policy_origin *at,
		 struct rule *rule, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	struct in6_addr network = rule->address;
	char text[INET6_ADDRSTRLEN];

	mask_address(rule->family, &network, rule->prefix);
	if (memcmp(&network, &rule->address, sizeof(network)) != 0) {
		inet_ntop(rule->family, &network, text, sizeof(text));
		return policy_fail(error, &here,
				   "the address has bits set beyond /%u; the network is "
				   "%s/%u",
				   rule->prefix, text, rule->prefix);
	}
	unmap(rule);
	return 0;
}

/* "[ADDR]..." or "[ADDR/LEN]...": finds its parts. @length has no text when absent. */
static int split_brackets(const struct word *word, const struct policy_origin *at,
			  struct word *address, struct word *length, struct word *rest,
			  struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	const char *close = memchr(word->text, ']', word->len);
	const char *slash;
	size_t inner;

	if (!close)
		return policy_fail(error, &here, "']' is missing after '%.*s'",
				   WORD(word));
	inner = (size_t)(close - word->text) - 1;
	*address = word_from(word, 1, inner);
	*rest = word_from(word, inner + 2, word->len - inner - 2);
	slash = memchr(address->text, '/', address->len);
	if (slash) {
		size_t len = (size_t)(slash - address->text);

		*length = word_from(address, len + 1, address->len - len - 1);
		address->len = len;
	}
	here = origin_at(at, address);
	if (!memchr(address->text, ':', address->len))
		return policy_fail(error, &here,
				   "'%.*s': only IPv6 addresses stand in brackets",
				   WORD(address));
	return 0;
}

static int split_plain(const struct word *word, const struct policy_origin *at,
		       struct word *address, struct word *rest,
		       struct policy_error *error)
{
	struct policy_origin here = origin_at(at, word);
	const char *colon = memchr(word->text, ':', word->len);
	size_t len = 0;

	if (colon && memchr(colon + 1, ':', word->len - (size_t)(colon + 1 - word->text)))
		return policy_fail(error, &here,
				   "'%.*s': an IPv6 address stands in brackets, as in "
				   "[2001:db8::1]:80",
				   WORD(word));
	while (len < word->len && word->text[len] != ':' && word->text[len] != '/')
		len++;
	*address = word_from(word, 0, len);
	*rest = word_from(word, len, word->len - len);
	return 0;
}

/* Takes "/LEN" off the front of @rest. */
static int split_length(const struct policy_origin *at, struct word *length,
			struct word *rest, struct policy_error *error)
{
	struct policy_origin here = origin_at(at, rest);
	size_t len = 1;

	if (rest->len == 0 || rest->text[0] != '/')
		return 0;
	if (length->text)
		return policy_fail(error, &here, "the prefix length is given twice");
	while (len < rest->len && rest->text[len] != ':')
		len++;
	*length = word_from(rest, 1, len - 1);
	*rest = word_from(rest, len, rest->len - len);
	return 0;
}

int parse_selector(const struct word *word, const struct policy_origin *at,
		   struct rule *rule, struct policy_error *error)
{
	struct word address, length = { 0 }, rest;
	int r;

	if (word->len && word->text[0] == '[')
		r = split_brackets(word, at, &address, &length, &rest, error);
	else
		r = split_plain(word, at, &address, &rest, error);
	if (r == 0)
		r = split_length(at, &length, &rest, error);
	if (r == 0)
		r = parse_address(&address, at, &rule->family, &rule->address, error);
	if (r < 0)
		return r;
	rule->prefix = rule->family == AF_INET ? 32 : 128;
	rule->port_low = 0;
	rule->port_high = PORT_MAX;
	if (length.text)
		r = parse_length(&length, at, rule->family, &rule->prefix, error);
	if (r == 0)
		r = check_prefix(word, at, rule, error);
	if (r < 0 || rest.len == 0)
		return r;
	if (rest.text[0] != ':') {
		struct policy_origin here = origin_at(at, &rest);

		return policy_fail(error, &here,
				   "'%.*s' after the address; expected :PORT",
				   WORD(&rest));
	}
	rest = word_from(&rest, 1, rest.len - 1);
	return parse_ports(&rest, at, &rule->port_low, &rule->port_high, error);
}
