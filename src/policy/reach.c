/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the rules can do to a socket at all, and the guess at socket() time.
 */
#include <arpa/inet.h>
#include <string.h>

#include "policy/internal.h"

static void add_rule(struct policy_reach *reach, const struct rule *rule)
{
	if (rule->family == AF_UNIX) {
		reach->has_paths = true;
		return;
	}
	if (rule->target == POLICY_DENY)
		reach->denies |= rule->proto;
	if (!rule_leaves(rule))
		return;
	if (rule->op == POLICY_BIND)
		reach->bind_leaves |= rule->proto;
	else
		reach->connect_leaves |= rule->proto;
	if (rule->op == POLICY_CONNECT &&
	    !(rule->endpoint && rule->endpoint->options & ENDPOINT_BOUND))
		reach->connect_roams |= rule->proto;
	if (!rule->endpoint)
		return;
	/* What the registry answers may be anything. */
	if (rule->endpoint->kind == ENDPOINT_UNIX ||
	    rule->endpoint->kind == ENDPOINT_NAMED)
		reach->has_unix = true;
	if (rule->endpoint->netns.kind != NETNS_DEFAULT ||
	    rule->endpoint->kind == ENDPOINT_NAMED)
		reach->has_netns = true;
}

static bool ends_in_host(const struct policy *policy, const struct policy_query *query)
{
	struct policy_verdict verdict;

	policy_resolve(policy, query, NULL, NULL, &verdict);
	if (verdict.target == POLICY_HOST)
		return true;
	return (verdict.target == POLICY_ENDPOINT || verdict.target == POLICY_FROM) &&
	       verdict.endpoint->kind != ENDPOINT_UNIX &&
	       verdict.endpoint->netns.kind == NETNS_DEFAULT;
}

/*
 * "An arbitrary outside address" is one that no rule singles out. These are spread over
 * the public unicast space; the guess is what most of them come out as, so that
 * 0.0.0.0/1 and 128.0.0.0/1 together count as a default and 10.0.0.0/8 does not.
 */
static const char *const outside4[] = {
	"8.81.3.17",   "37.9.201.5",    "66.170.12.9",   "93.40.77.130", "131.2.18.77",
	"158.65.9.41", "185.99.140.22", "217.30.71.201", "203.17.250.3"
};
static const char *const outside6[] = { "2001:4f8:17::81",   "2400:9d20:5::3",
					"2607:e1c0:77::9",   "2804:3a10:1::52",
					"2a01:7c40:200::1f", "2a0c:b840:9::6",
					"2c0f:e440:31::a" };
static const uint16_t ports[] = { 443, 80, 8080, 5353, 40123 };

static bool most_end_in_host(const struct policy *policy, unsigned int proto, int family)
{
	struct policy_query query = { .op = POLICY_CONNECT,
				      .proto = (enum policy_proto)proto,
				      .family = family };
	struct sockaddr_in *in = (struct sockaddr_in *)&query.address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&query.address;
	const char *const *outside = family == AF_INET ? outside4 : outside6;
	size_t n = family == AF_INET ? ARRAY_SIZE(outside4) : ARRAY_SIZE(outside6);
	size_t in_host = 0;

	query.address.ss_family = (sa_family_t)family;
	for (size_t i = 0; i < n; i++) {
		inet_pton(family, outside[i],
			  family == AF_INET ? (void *)&in->sin_addr
					    : (void *)&in6->sin6_addr);
		for (size_t j = 0; j < ARRAY_SIZE(ports); j++) {
			in->sin_port = htons(ports[j]); /* where sin6_port is too */
			in_host += ends_in_host(policy, &query);
		}
	}
	return in_host * 2 > n * ARRAY_SIZE(ports);
}

void policy_get_reach(const struct policy *policy, struct policy_reach *ret_reach)
{
	static const unsigned int protos[] = { POLICY_TCP, POLICY_UDP, POLICY_OTHER };
	struct policy_reach reach = { .has_endpoints = policy->n_endpoints > 0 };

	for (size_t i = 0; i < policy->n_rules; i++)
		add_rule(&reach, &policy->rules[i].rule);
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++) {
		if (most_end_in_host(policy, protos[i], AF_INET))
			reach.default_host_v4 |= protos[i];
		if (most_end_in_host(policy, protos[i], AF_INET6))
			reach.default_host_v6 |= protos[i];
	}
	*ret_reach = reach;
}

/* --- without a namespace --- */

static const char *endpoint_needs(const struct rule *rule)
{
	const struct endpoint *endpoint = rule->endpoint;

	if (!endpoint)
		return NULL;
	if (endpoint->kind == ENDPOINT_UNIX)
		return "a rule leads to a UNIX socket";
	if (endpoint->netns.kind != NETNS_DEFAULT)
		return "a rule leads to another network namespace";
	if (endpoint->options & (ENDPOINT_HOLD | ENDPOINT_SHARE))
		return "a rule leads to an endpoint with hold or share";
	return NULL;
}

static bool is_in_loopback(const struct rule *rule)
{
	if (rule->family == AF_INET)
		return rule->prefix >= 8 && rule->address.s6_addr[0] == IN_LOOPBACKNET;
	return rule->prefix == 128 && IN6_IS_ADDR_LOOPBACK(&rule->address);
}

/* Is every address and port connected to as @rule says, by every socket of its family, if
 * not by an earlier rule? */
static bool is_for_all(const struct rule *rule)
{
	enum endpoint_kind kind = rule->family == AF_INET ? ENDPOINT_IPV4 : ENDPOINT_IPV6;

	if (rule->op != POLICY_CONNECT || rule->prefix || rule->port_low ||
	    rule->port_high != UINT16_MAX)
		return false;
	return rule->target == POLICY_HOST || rule->target == POLICY_DENY ||
	       (rule->target == POLICY_FROM && rule->endpoint->kind == kind &&
		!(rule->endpoint->options & ENDPOINT_BOUND));
}

const char *policy_needs_namespace(const struct policy *policy)
{
	const unsigned int wanted = POLICY_TCP | POLICY_UDP;
	unsigned int v4 = 0, v6 = 0;

	if (policy_setting(policy, POLICY_LOOPBACK, NULL) != POLICY_LOOPBACK_OWN)
		return "the policy does not say 'loopback own'";
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct rule *rule = &policy->rules[i].rule;
		const char *need = endpoint_needs(rule);

		if (rule->family == AF_UNIX)
			continue;
		if (need)
			return need;
		if (rule->op == POLICY_CONNECT && rule->target == POLICY_OWN &&
		    !is_in_loopback(rule))
			return "a rule connects to own addresses outside loopback";
		if (is_for_all(rule))
			*(rule->family == AF_INET ? &v4 : &v6) |= rule->proto;
	}
	if ((v4 & v6 & wanted) != wanted)
		return "no rules connect to every address, tcp and udp, IPv4 and IPv6";
	return NULL;
}
