/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One "bind" or "connect" line, and what makes a rule sensible.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

/* What a denied call may fail with. */
static const struct {
	const char *name;
	int number;
} errnos[] = {
#define E(name)             \
	{                   \
#		name, name \
	}
	E(EACCES),        E(EPERM),
	E(ECONNREFUSED),  E(ENETUNREACH),
	E(EHOSTUNREACH),  E(ETIMEDOUT),
	E(EADDRNOTAVAIL), E(EADDRINUSE),
	E(EAFNOSUPPORT),  E(EAGAIN),
	E(EALREADY),      E(EBADF),
	E(EBUSY),         E(ECONNABORTED),
	E(ECONNRESET),    E(EDESTADDRREQ),
	E(EFAULT),        E(EHOSTDOWN),
	E(EINPROGRESS),   E(EINTR),
	E(EINVAL),        E(EIO),
	E(EISCONN),       E(EMFILE),
	E(EMSGSIZE),      E(ENETDOWN),
	E(ENETRESET),     E(ENFILE),
	E(ENOBUFS),       E(ENODEV),
	E(ENOENT),        E(ENOMEM),
	E(ENOPROTOOPT),   E(ENOSYS),
	E(ENOTCONN),      E(ENOTSOCK),
	E(ENOTSUP),       E(EOPNOTSUPP),
	E(EPFNOSUPPORT),  E(EPIPE),
	E(EPROTO),        E(EPROTONOSUPPORT),
	E(EPROTOTYPE),    E(EROFS),
	E(ESHUTDOWN),     E(ESOCKTNOSUPPORT),
	E(EWOULDBLOCK),   E(ENOTUNIQ),
	E(EKEYREJECTED),  E(ENONET),
	E(ECOMM),         E(EREMOTEIO),
#undef E
};

int errno_from_name(const struct word *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(errnos); i++)
		if (word_is(word, errnos[i].name))
			return errnos[i].number;
	return 0;
}

const char *errno_name(int number)
{
	for (size_t i = 0; i < ARRAY_SIZE(errnos); i++)
		if (errnos[i].number == number)
			return errnos[i].name;
	return "an error";
}

bool rule_leaves(const struct rule *rule)
{
	return rule->target == POLICY_HOST || rule->target == POLICY_ENDPOINT ||
	       rule->target == POLICY_FROM;
}

static int parse_deny(struct rule *rule, const struct word *word,
		      const struct policy_origin *at, struct policy_error *error)
{
	struct word name = word_from(word, 5, word->len - 5);
	struct policy_origin here = origin_at(at, &name);

	rule->target = POLICY_DENY;
	rule->deny_errno = errno_from_name(&name);
	if (rule->deny_errno)
		return 0;
	return policy_fail(error, &here,
			   "'%.*s' is not an errno name such as ECONNREFUSED",
			   WORD(&name));
}

/* @from: the word before was "from". */
int parse_target(struct rule_slot *slot, const struct word *word, bool from,
		 const struct policy_origin *at, struct policy_error *error)
{
	struct rule *rule = &slot->rule;
	struct policy_origin here = origin_at(at, word);
	bool is_word = word_is(word, "host") || word_is(word, "own") ||
		       word_is(word, "deny") || word_is(word, "from");

	slot->target_column = word->column;
	if (is_word && (from || word_is(word, "from")))
		return policy_fail(error, &here, "'from' needs the name of an endpoint");
	if (!is_word && word->len > 5 && !memcmp(word->text, "deny:", 5) && !from)
		return parse_deny(rule, word, at, error);
	if (!is_word && !name_is_valid(word))
		return policy_fail(error, &here,
				   word->len
					   ? "'%.*s' is not a target; expected NAME, "
					     "host, own, deny[:ERRNO] or from NAME"
					   : "%.*sthe target is missing; expected NAME, "
					     "host, own, deny[:ERRNO] or from NAME",
				   WORD(word));
	if (word_is(word, "host")) {
		rule->target = POLICY_HOST;
	} else if (word_is(word, "own")) {
		rule->target = POLICY_OWN;
	} else if (word_is(word, "deny")) {
		rule->target = POLICY_DENY;
		rule->deny_errno = DENY_DEFAULT;
	} else {
		rule->target = from ? POLICY_FROM : POLICY_ENDPOINT;
		rule->endpoint_name = strndup(word->text, word->len);
		if (!rule->endpoint_name)
			return -ENOMEM;
	}
	return 0;
}

static int scan_proto(struct rule *rule, struct scanner *scanner,
		      struct policy_error *error)
{
	struct policy_origin here;
	struct word word;
	int r = scan_word(scanner, &word, error);

	if (r < 0)
		return r;
	if (word_is(&word, "tcp"))
		rule->proto = POLICY_TCP;
	else if (word_is(&word, "udp"))
		rule->proto = POLICY_UDP;
	else if (word_is(&word, "any"))
		rule->proto = POLICY_ANY;
	else if (word_is(&word, "unix") && rule->op == POLICY_CONNECT)
		rule->family = AF_UNIX;
	else if (word_is(&word, "unix")) {
		here = origin_at(&scanner->at, &word);
		return policy_fail(error, &here,
				   "the kernel has no hook for bind() to a UNIX path; a "
				   "rule on one begins with 'connect unix'");
	} else {
		here = origin_at(&scanner->at, &word);
		return policy_fail(error, &here,
				   word.len ? "'%.*s' is not a protocol; expected %s"
					    : "%.*sthe protocol is missing; expected %s",
				   WORD(&word),
				   rule->op == POLICY_BIND ? "tcp, udp or any"
							   : "tcp, udp, any or unix");
	}
	return 0;
}

static int scan_selector(struct rule *rule, struct scanner *scanner,
			 struct policy_error *error)
{
	struct policy_origin here;
	struct word word;
	int r = scan_word(scanner, &word, error);

	if (r < 0)
		return r;
	if (rule->family == AF_UNIX)
		r = parse_path(&word, &scanner->at, rule, error);
	else
		r = parse_selector(&word, &scanner->at, rule, error);
	if (r < 0)
		return r;
	if (rule->family != AF_UNIX && rule->op == POLICY_CONNECT &&
	    is_any_address(rule->family, &rule->address) &&
	    rule->prefix == (rule->family == AF_INET ? 32 : 128)) {
		here = origin_at(&scanner->at, &word);
		return policy_fail(
			error, &here,
			"connect to a wildcard address means loopback; write %s",
			rule->family == AF_INET ? "127.0.0.1" : "[::1]");
	}
	r = scan_word(scanner, &word, error);
	if (r < 0 || word_is(&word, "="))
		return r < 0 ? r : 0;
	here = origin_at(&scanner->at, &word);
	if (word.len)
		return policy_fail(error, &here, "'%.*s' where '=' belongs", WORD(&word));
	return policy_fail(error, &here, "'= TARGET' is missing");
}

static int scan_target(struct rule_slot *slot, struct scanner *scanner,
		       struct policy_error *error)
{
	struct policy_origin here;
	struct word word;
	bool from;
	int r;

	r = scan_word(scanner, &word, error);
	if (r < 0)
		return r;
	from = word_is(&word, "from");
	if (from) {
		r = scan_word(scanner, &word, error);
		if (r < 0)
			return r;
	}
	r = parse_target(slot, &word, from, &scanner->at, error);
	if (r < 0)
		return r;
	r = scan_word(scanner, &word, error);
	if (r <= 0)
		return r;
	here = origin_at(&scanner->at, &word);
	return policy_fail(error, &here, "'%.*s' after the target", WORD(&word));
}

struct policy_origin target_origin(const struct rule_slot *slot)
{
	struct policy_origin here = slot->rule.origin;

	if (here.line)
		here.column = slot->target_column;
	return here;
}

/* Of a rule on UNIX paths. */
static int check_path_endpoint(const struct rule_slot *slot, struct policy_error *error)
{
	const struct endpoint *endpoint = slot->rule.endpoint;
	struct policy_origin here = target_origin(slot);

	if (endpoint->kind == ENDPOINT_NAMED)
		return policy_fail(error, &here,
				   "endpoint '%s' is not defined; a UNIX path leads to a "
				   "unix endpoint of the policy, not to one of graftd's",
				   endpoint->name);
	if (endpoint->kind != ENDPOINT_UNIX)
		return policy_fail(error, &here,
				   "endpoint '%s' is %s; a UNIX socket cannot reach it",
				   endpoint->name,
				   endpoint->kind == ENDPOINT_IPV4 ? "ipv4" : "ipv6");
	if (endpoint->options & ENDPOINT_BOUND)
		return policy_fail(error, &here,
				   "endpoint '%s' is 'bound': who is bound to a UNIX path "
				   "is not known",
				   endpoint->name);
	if (endpoint->netns.kind != NETNS_DEFAULT)
		return policy_fail(error, &here,
				   "endpoint '%s' is in another network namespace; a UNIX "
				   "path leads to one without netns",
				   endpoint->name);
	return 0;
}

static int check_endpoint(const struct rule_slot *slot, struct policy_error *error)
{
	const struct rule *rule = &slot->rule;
	const struct endpoint *endpoint = rule->endpoint;
	struct policy_origin here = target_origin(slot);

	if (rule->family == AF_UNIX)
		return check_path_endpoint(slot, error);
	if (endpoint->kind == ENDPOINT_NAMED)
		return 0;
	if (rule->target == POLICY_FROM && endpoint->kind == ENDPOINT_UNIX)
		return policy_fail(error, &here,
				   "'from %s': a unix endpoint is no source address",
				   endpoint->name);
	if (rule->target == POLICY_FROM &&
	    (rule->family == AF_INET) != (endpoint->kind == ENDPOINT_IPV4))
		return policy_fail(error, &here,
				   "'from %s': the source is %s and the destination %s",
				   endpoint->name,
				   endpoint->kind == ENDPOINT_IPV4 ? "IPv4" : "IPv6",
				   rule->family == AF_INET ? "IPv4" : "IPv6");
	if (rule->target == POLICY_ENDPOINT && rule->family == AF_INET &&
	    endpoint->kind == ENDPOINT_IPV6 &&
	    !(rule->op == POLICY_CONNECT && endpoint_is_wildcard(endpoint)))
		return policy_fail(error, &here,
				   "endpoint '%s' is ipv6; an IPv4 socket cannot %s it",
				   endpoint->name,
				   rule->op == POLICY_BIND ? "be bound to" : "reach");
	return 0;
}

int check_rule(const struct rule_slot *slot, struct policy_error *error)
{
	const struct rule *rule = &slot->rule;
	struct policy_origin here = target_origin(slot);

	if (rule->target == POLICY_FROM && rule->op == POLICY_BIND)
		return policy_fail(error, &here,
				   "'from' is for connect rules; a bind rule names the "
				   "endpoint alone");
	if (rule->target == POLICY_FROM && rule->family == AF_UNIX)
		return policy_fail(error, &here,
				   "'from' is for addresses; a UNIX path leads to the "
				   "endpoint alone");
	return rule->endpoint ? check_endpoint(slot, error) : 0;
}

int parse_rule_line(struct policy *policy, struct scanner *scanner, enum policy_op op,
		    struct policy_error *error)
{
	struct rule_slot slot = { .rule = { .op = op, .origin = scanner->at } };
	int r;

	scanner->split_equals = true;
	r = scan_proto(&slot.rule, scanner, error);
	if (r == 0)
		r = scan_selector(&slot.rule, scanner, error);
	if (r == 0)
		r = scan_target(&slot, scanner, error);
	if (r == 0)
		r = check_rule(&slot, error);
	if (r == 0)
		r = policy_take_rule(policy, &slot, error);
	if (r < 0) {
		free(slot.rule.endpoint_name);
		free(slot.rule.path);
	}
	return r;
}
