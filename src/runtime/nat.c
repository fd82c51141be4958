/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel gives a connection its translation once: the first chain of type nat that
 * says one has decided, and the later ones are not asked. Docker's rules are at the
 * priorities dstnat and srcnat (-100, 100), so ours are one before:
 *
 *			KEEP			PORT			MOVE
 *	prerouting	dnat to ip daddr	redirect to :to_port	dnat to to:to_port
 *	output		dnat to ip daddr	dnat to ip daddr:to_port	the same
 *	postrouting	loopback: snat to ip saddr, in all three
 *	input		-			drop what comes to to_port by itself
 *
 * A datagram's answer has the address that the kernel chooses for its way, so what comes
 * from outside is translated to the address of the interface it came by.
 */
#include "runtime/nat.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>

#include "runtime/nft.h"

#define DESTINATION (-101) /* before dstnat */
#define SOURCE      99     /* before srcnat */
#define FILTER      0

struct nat {
	struct nft_table table;
};

/* Family, protocol, port. */
static void match(struct nft_rule *rule, const struct nat_rule *what, uint16_t port)
{
	uint8_t protocol = what->is_udp ? IPPROTO_UDP : IPPROTO_TCP;
	uint8_t family = what->family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6;

	nft_meta_is(rule, NFT_META_NFPROTO, &family, sizeof(family));
	nft_meta_is(rule, NFT_META_L4PROTO, &protocol, sizeof(protocol));
	nft_is_to_port(rule, port);
}

static void put_destination(struct nft_batch *batch, const char *chain,
			    const struct nat_rule *what, bool is_here)
{
	struct nft_rule rule = nft_rule_begin(batch, chain);

	if (what->from && !is_here)
		nft_meta_is(&rule, NFT_META_IIF, &what->from, sizeof(what->from));
	match(&rule, what, what->port);
	if (what->is_any)
		nft_is_to_local(&rule);
	else
		nft_is_to(&rule, what->family, &what->address);
	switch (what->kind) {
	case NAT_KEEP:
		nft_dnat(&rule, what->family, NULL, 0);
		break;
	case NAT_PORT:
		if (is_here)
			nft_dnat(&rule, what->family, NULL, what->to_port);
		else
			nft_redirect(&rule, what->to_port);
		break;
	case NAT_MOVE:
		nft_dnat(&rule, what->family, &what->to, what->to_port);
		break;
	}
	nft_rule_end(&rule);
}

/* An engine gives what its containers' addresses are in the address of where it leaves,
 * the host's own in them, too. */
static void put_source(struct nft_batch *batch, const struct nat_rule *what)
{
	struct nft_rule rule = nft_rule_begin(batch, "postrouting");
	uint16_t loopback = ARPHRD_LOOPBACK;

	nft_meta_is(&rule, NFT_META_OIFTYPE, &loopback, sizeof(loopback));
	match(&rule, what, what->kind == NAT_KEEP ? what->port : what->to_port);
	nft_keep_source(&rule, what->family);
	nft_rule_end(&rule);
}

static void put_drop(struct nft_batch *batch, const struct nat_rule *what)
{
	struct nft_rule rule = nft_rule_begin(batch, "input");

	match(&rule, what, what->to_port);
	if (what->kind == NAT_MOVE)
		nft_is_to(&rule, what->family, &what->to);
	nft_is_untranslated(&rule);
	nft_drop(&rule);
	nft_rule_end(&rule);
}

int nat_set(struct nat *nat, const struct nat_rule *rules, size_t n)
{
	struct nft_batch batch;
	int r = nft_batch_begin(&batch, &nat->table);

	if (r < 0)
		return r;
	nft_put_empty(&batch);
	for (size_t i = 0; i < n; i++) {
		put_destination(&batch, "prerouting", &rules[i], false);
		put_destination(&batch, "output", &rules[i], true);
		put_source(&batch, &rules[i]);
		if (rules[i].kind != NAT_KEEP)
			put_drop(&batch, &rules[i]);
	}
	return nft_batch_commit(&batch);
}

static int make(struct nat *nat)
{
	struct nft_batch batch;
	int r = nft_batch_begin(&batch, &nat->table);

	if (r < 0)
		return r;
	nft_put_table(&batch);
	nft_put_chain(&batch, "prerouting", "nat", NF_INET_PRE_ROUTING, DESTINATION);
	nft_put_chain(&batch, "output", "nat", NF_INET_LOCAL_OUT, DESTINATION);
	nft_put_chain(&batch, "postrouting", "nat", NF_INET_POST_ROUTING, SOURCE);
	nft_put_chain(&batch, "input", "filter", NF_INET_LOCAL_IN, FILTER);
	return nft_batch_commit(&batch);
}

int nat_new(struct nat **ret, const char *name)
{
	struct nat *nat = malloc(sizeof(*nat));
	int r;

	if (!nat)
		return -ENOMEM;
	r = nft_table_open(&nat->table, name);
	if (r == 0)
		r = make(nat);
	if (r < 0)
		nat_free(nat);
	else
		*ret = nat;
	return r;
}

struct nat *nat_free(struct nat *nat)
{
	if (nat) {
		nft_table_close(&nat->table);
		free(nat);
	}
	return NULL;
}
