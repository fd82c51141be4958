/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "intercept/preload/graft_member.h"
#include "intercept/preload/hijack.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/module.h"
#include "intercept/preload/notes.h"
#include "intercept/preload/reverse.h"
#include "intercept/preload/reverse_named.h"
#include "intercept/preload/state.h"
#include "intercept/preload/view.h"

#define RULES_MAX 256 /* more are not asked about */

struct question {
	uint64_t rule;
	uint32_t type, protocol;
	uint64_t generation;
};

/* netns 0: it cannot be told. */
struct place_there {
	struct sockaddr_in6 address; /* or a sockaddr_in */
	uint32_t unused;
	uint64_t netns;
};

static struct notes places = NOTES_OF(struct question, struct place_there, 6, 6);

static bool is_asked_about(const struct rule *rule)
{
	return rule->op == POLICY_BIND && rule->target == POLICY_ENDPOINT &&
	       rule->endpoint->kind == ENDPOINT_NAMED && reverse_is_single(rule);
}

static size_t n_rules(void)
{
	size_t n = policy_n_rules(state.policy);

	return n < RULES_MAX ? n : RULES_MAX;
}

static void ask_module(const char *name, struct place_there *ret)
{
	struct module_place place;

	*ret = (struct place_there){ .netns = 0 };
	if (module_find(name, &place) < 0 || !address_is_inet(&place.address))
		return;
	memcpy(&ret->address, &place.address, sizeof(ret->address));
	ret->netns = place.netns;
}

/* Return: 0, or -errno: nobody can be asked. */
static int find_place(const struct rule *rule, const struct subject *subject,
		      struct place_there *ret)
{
	struct wire_ask ask = {
		.op = WIRE_OP_CONNECT,
		.family = (uint32_t)subject->domain,
		.type = (uint32_t)subject->type,
		.protocol = (uint32_t)(subject->protocol == IPPROTO_MPTCP
					       ? IPPROTO_TCP
					       : subject->protocol),
	};
	struct question question = { rule->index, ask.type, ask.protocol,
				     page_generation() };
	struct grant grant;
	int r;

	if (state_has_module()) {
		ask_module(rule->endpoint->name, ret);
		return 0;
	}
	if (notes_find(&places, &question, ret))
		return 0;
	*ret = (struct place_there){ .netns = 0 };
	wire_set_text(ask.name, sizeof(ask.name), rule->endpoint->name);
	r = channel_ask(&ask, -1, &grant);
	if (r == -ENETDOWN)
		return r;
	if (r == 0) {
		memcpy(&ret->address, &grant.said.address.address, sizeof(ret->address));
		ret->netns = grant.netns;
		grant_release(&grant);
		page_want();
		question.generation = page_generation();
	}
	notes_set(&places, &question, ret);
	return 0;
}

/* Whoever is bound to a wildcard address accepts at any. */
static bool is_there(const struct place_there *place, const struct subject *subject,
		     const union address *local)
{
	union address there = { .v6 = place->address };

	return place->netns == subject->netns && address_is_inet(&there) &&
	       address_port(&there) == address_port(local) &&
	       (address_is_wildcard(&there) || reverse_is_same(&there, local));
}

static bool ask_rules(const struct subject *subject, const union address *local,
		      union address *ret)
{
	const struct rule *found = NULL;
	struct place_there place;

	for (size_t i = 0; i < n_rules(); i++) {
		const struct rule *rule = policy_rule(state.policy, i);

		if (!is_asked_about(rule) ||
		    !(rule->proto & (unsigned int)subject->proto))
			continue;
		if (find_place(rule, subject, &place) < 0)
			return false;
		if (!is_there(&place, subject, local))
			continue;
		if (found)
			return false;
		found = rule;
	}
	if (found)
		reverse_set_asked(found, subject->domain, ret);
	return found != NULL;
}

/* Who made the socket has notes, and knows better. */
static bool ask_bind(int fd, const union address *local, union address *ret)
{
	struct sockaddr_gr name = { .sgr_family = AF_GRAFT };
	struct subject subject;
	struct member member;

	if (subject_open(fd, &subject) < 0 || subject.is_known || subject.is_unix ||
	    subject.place != PLACE_HOST)
		return false;
	if (!member_find(fd, &member))
		return ask_rules(&subject, local, ret);
	if (member.flags & MEMBER_TRANSPARENT)
		return false;
	memcpy(name.sgr_epname, member.name, sizeof(name.sgr_epname));
	memcpy(ret, &name, sizeof(name));
	return true;
}

void reverse_named_start(void)
{
	view_ask_bind = ask_bind;
}
