/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rules that end in an endpoint whose address the policy knows, sorted by operation
 * and port or path. Made once, when the library starts; read-only afterwards.
 */
#include <stdlib.h>
#include <string.h>

#include "intercept/preload/reverse.h"

struct entry {
	const struct rule *rule;
	const char *path; /* AF_UNIX, or NULL */
	uint16_t port;
	uint8_t op;
};

static struct entry *entries;
static size_t n_entries;

static int compare(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;

	if (a->op != b->op)
		return a->op < b->op ? -1 : 1;
	if (!a->path != !b->path)
		return a->path ? 1 : -1;
	if (a->path)
		return strcmp(a->path, b->path);
	return a->port < b->port ? -1 : a->port > b->port;
}

static bool is_known(const struct rule *rule)
{
	return rule->target == POLICY_ENDPOINT && !rule->endpoint->dynamic &&
	       rule->endpoint->kind != ENDPOINT_NAMED;
}

bool reverse_start(const struct policy *policy)
{
	size_t n = 0;

	for (size_t i = 0; i < policy_n_rules(policy); i++)
		n += is_known(policy_rule(policy, i));
	entries = n ? calloc(n, sizeof(*entries)) : NULL;
	if (!entries)
		return false;
	for (size_t i = 0; i < policy_n_rules(policy); i++) {
		const struct rule *rule = policy_rule(policy, i);

		if (!is_known(rule))
			continue;
		entries[n_entries++] = (struct entry){
			.rule = rule,
			.path = rule->endpoint->kind == ENDPOINT_UNIX
					? rule->endpoint->path
					: NULL,
			.port = rule->endpoint->port,
			.op = (uint8_t)rule->op,
		};
	}
	qsort(entries, n_entries, sizeof(*entries), compare);
	return true;
}

static size_t first_at(const struct entry *key)
{
	size_t low = 0, high = n_entries;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&entries[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool reverse_is_same(const union address *a, const union address *b)
{
	union address left = *a, right = *b;

	address_unmap(&left);
	address_unmap(&right);
	if (left.any.sa_family != right.any.sa_family)
		return false;
	return left.any.sa_family == AF_INET
		       ? left.v4.sin_addr.s_addr == right.v4.sin_addr.s_addr
		       : IN6_ARE_ADDR_EQUAL(&left.v6.sin6_addr, &right.v6.sin6_addr);
}

/* Whoever is bound to a wildcard address accepts at any. */
static bool leads_to(const struct rule *rule, int family, const union address *actual)
{
	struct policy_verdict verdict;
	union address there = { 0 };

	if (rule->endpoint->kind == ENDPOINT_UNIX)
		return true;
	policy_endpoint_verdict(rule->endpoint, rule->op, family, &verdict);
	memcpy(&there, &verdict.address, verdict.address_len);
	if (rule->op == POLICY_BIND && address_is_wildcard(&there))
		return there.any.sa_family == actual->any.sa_family;
	return reverse_is_same(&there, actual);
}

bool reverse_is_single(const struct rule *rule)
{
	return rule->port_low == rule->port_high &&
	       rule->prefix == (rule->family == AF_INET ? 32 : 128);
}

void reverse_set_asked(const struct rule *rule, int family, union address *ret)
{
	const uint8_t *v4 = rule->address.s6_addr;

	memset(ret, 0, sizeof(*ret));
	if (rule->family == AF_INET && family != AF_INET6) {
		ret->v4.sin_family = AF_INET;
		memcpy(&ret->v4.sin_addr, v4, 4);
	} else {
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_addr = rule->address;
	}
	/* A bind to [::] comes under a rule for 0.0.0.0. */
	if (rule->family == AF_INET && family == AF_INET6) {
		memset(&ret->v6.sin6_addr, 0, sizeof(ret->v6.sin6_addr));
		if (rule->op == POLICY_CONNECT || memcmp(v4, "\0\0\0", 4) != 0) {
			memcpy(&ret->v6.sin6_addr.s6_addr[12], v4, 4);
			memset(&ret->v6.sin6_addr.s6_addr[10], 0xff, 2);
		}
	}
	address_set_port(ret, rule->port_low);
}

static bool same_question(const struct rule *a, const struct rule *b)
{
	return a->family == b->family && a->port_low == b->port_low &&
	       !memcmp(&a->address, &b->address, a->family == AF_INET ? 4 : 16);
}

/*
 * The rule of @rule_family among the entries from @i on that are like @key.
 * Return: false when more than one thing may have been asked for.
 */
static bool only_rule(size_t i, const struct entry *key, unsigned int proto, int family,
		      int rule_family, const union address *actual,
		      const struct rule **ret)
{
	*ret = NULL;
	for (; i < n_entries && compare(&entries[i], key) == 0; i++) {
		const struct rule *rule = entries[i].rule;

		if (!(rule->proto & proto) || rule->family != rule_family ||
		    !leads_to(rule, family, actual))
			continue;
		if (!reverse_is_single(rule) || (*ret && !same_question(*ret, rule)))
			return false;
		*ret = rule;
	}
	return true;
}

/* An AF_UNIX socket does not say which of the two it was: IPv4, if the port is the same.
 */
static const struct rule *either(const struct rule *v4, const struct rule *v6)
{
	if (!v4 || !v6)
		return v4 ? v4 : v6;
	return v4->port_low == v6->port_low ? v4 : NULL;
}

static bool path_of(const union address *actual, char *ret, size_t size)
{
	const char *path = actual->un.sun_path;
	size_t len = strnlen(path + 1, sizeof(actual->un.sun_path) - 1) + 1;

	if (len >= size)
		return false;
	memcpy(ret, path, len);
	ret[len] = '\0';
	if (!path[0])
		ret[0] = '@';
	return true;
}

bool reverse_find(enum policy_op op, unsigned int proto, int family,
		  const union address *actual, union address *ret)
{
	char path[sizeof(actual->un.sun_path) + 1];
	struct entry key = { .op = (uint8_t)op };
	const struct rule *rule, *v4, *v6;
	size_t i;

	if (!n_entries)
		return false;
	if (actual->any.sa_family == AF_UNIX) {
		if (!path_of(actual, path, sizeof(path)))
			return false;
		key.path = path;
	} else {
		key.port = address_port(actual);
	}
	i = first_at(&key);
	if (!only_rule(i, &key, proto, family, AF_INET6, actual, &v6) ||
	    !only_rule(i, &key, proto, family, AF_INET, actual, &v4))
		return false;
	if (family == AF_INET)
		rule = v4;
	else if (family == AF_INET6)
		rule = v6 ? v6 : v4;
	else
		rule = either(v4, v6);
	if (rule)
		reverse_set_asked(rule, family, ret);
	return rule != NULL;
}
