/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One endpoint by itself: as the line of a policy, or in the words of `graft add`, which
 * begin with a key each and stand in any order, but that addr comes after type.
 */
#include <errno.h>
#include <string.h>

#include "policy/internal.h"

/* What was read of the words of one endpoint; no text: not given. */
struct words {
	struct scanner scanner;
	struct word type, addr, port, path;
};

/* Whether @word is @key or its beginning. */
static bool is_short_for(const struct word *word, const char *key)
{
	return word->len && word->len <= strlen(key) &&
	       !memcmp(word->text, key, word->len);
}

/* Where the value of the key @word goes, or NULL. "p" is path once the type is unix. */
static struct word *find_key(struct words *words, const struct endpoint *endpoint,
			     const struct word *word)
{
	bool is_unix = words->type.text && endpoint->kind == ENDPOINT_UNIX;

	if (is_short_for(word, "type"))
		return &words->type;
	if (is_short_for(word, "addr"))
		return &words->addr;
	if (is_unix && is_short_for(word, "path"))
		return &words->path;
	if (is_short_for(word, "port"))
		return &words->port;
	return is_short_for(word, "path") ? &words->path : NULL;
}

static int parse_word(struct words *words, struct endpoint *endpoint,
		      const struct word *word, struct policy_error *error)
{
	struct policy_origin here = origin_at(&words->scanner.at, word);
	struct word *value = find_key(words, endpoint, word);
	int r;

	if (!value)
		return parse_endpoint_option(endpoint, &words->scanner, word, error);
	if (value->text)
		return policy_fail(error, &here, "'%.*s' is given twice", WORD(word));
	if (value == &words->addr && !words->type.text)
		return policy_fail(error, &here,
				   "'%.*s' before the type; write type first",
				   WORD(word));
	r = scan_word(&words->scanner, value, error);
	if (r < 0)
		return r;
	if (r == 0)
		return policy_fail(error, &here, "'%.*s' needs a value after it",
				   WORD(word));
	if (value == &words->type)
		return parse_endpoint_kind(endpoint, value, &words->scanner.at, error);
	return 0;
}

static int take_any(const struct words *words, struct policy_error *error)
{
	if (words->addr.text || words->port.text || words->path.text)
		return policy_fail(error, &words->scanner.at,
				   "an endpoint of type any has no addr, port or path");
	return 0;
}

static int take_unix(const struct words *words, struct endpoint *endpoint,
		     struct policy_error *error)
{
	struct policy_origin here = words->scanner.at;

	if (words->addr.text || words->port.text)
		return policy_fail(error, &here,
				   "a unix endpoint has a path, no addr and no port");
	if (!words->path.text)
		return policy_fail(error, &here,
				   "the path is missing; expected type unix path PATH");
	return parse_endpoint_path(endpoint, &words->path, &here, error);
}

/* Without addr any address, which is all zero; without port, or with 0, dynamic. */
static int take_inet(const struct words *words, struct endpoint *endpoint,
		     struct policy_error *error)
{
	struct word addr = strip_brackets(&words->addr);
	const struct policy_origin *at = &words->scanner.at;
	int r = 0;

	if (words->path.text)
		return policy_fail(error, at, "a path is for type unix alone");
	if (addr.text)
		r = parse_endpoint_address(endpoint, &addr, at, error);
	if (r == 0 && words->port.text && !word_is(&words->port, "dynamic"))
		r = parse_port(&words->port, at, &endpoint->port, error);
	endpoint->dynamic = endpoint->port == 0;
	return r;
}

static int parse_words(struct endpoint *endpoint, const struct scanner *scanner,
		       struct policy_error *error)
{
	struct words words = { .scanner = *scanner };
	struct word word;
	int r;

	while ((r = scan_word(&words.scanner, &word, error)) > 0) {
		r = parse_word(&words, endpoint, &word, error);
		if (r < 0)
			break;
	}
	if (r < 0)
		return r;
	if (!words.type.text)
		return policy_fail(error, &scanner->at,
				   "the type is missing; expected type ipv4, ipv6 or "
				   "unix");
	if (endpoint->kind == ENDPOINT_ANY)
		return take_any(&words, error);
	return endpoint->kind == ENDPOINT_UNIX ? take_unix(&words, endpoint, error)
					       : take_inet(&words, endpoint, error);
}

static bool is_kind(const struct word *word)
{
	return word_is(word, "ipv4") || word_is(word, "ipv6") || word_is(word, "unix") ||
	       word_is(word, "any");
}

/* A line's comment may hold anything; that a '#' cuts a word in two is a mistake here,
 * where words may come from a command line. */
static int refuse_hash(const struct scanner *scanner, struct policy_error *error)
{
	const char *hash =
		memchr(scanner->line, '#', (size_t)(scanner->end - scanner->line));

	if (!hash || hash == scanner->line || strchr(" \t\r", hash[-1]))
		return 0;
	return policy_fail(error, &scanner->at,
			   "'#' begins a comment and cannot be part of a word");
}

int endpoint_parse(struct endpoint *ret, const char *source, const char *text,
		   size_t size, struct policy_error *error)
{
	_cleanup_(endpoint_release) struct endpoint endpoint = { 0 };
	struct scanner scanner = {
		.at = { .source = source }, .line = text, .next = text, .end = text + size
	};
	struct scanner ahead;
	struct word word;
	int r = refuse_hash(&scanner, error);

	endpoint.origin = scanner.at;
	if (r == 0)
		r = scan_word(&scanner, &word, error);
	if (r >= 0)
		r = parse_endpoint_name(&endpoint, &word, &scanner.at, error);
	ahead = scanner;
	if (r == 0)
		r = scan_word(&ahead, &word, error);
	if (r >= 0)
		r = is_kind(&word) ? parse_endpoint(&endpoint, &scanner, error)
				   : parse_words(&endpoint, &scanner, error);
	if (r < 0)
		return no_memory(r, error);
	*ret = endpoint;
	endpoint = (struct endpoint){ 0 };
	return 0;
}
