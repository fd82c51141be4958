/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Before <linux/in.h>, which leaves out what this has. */
#include <netinet/in.h>

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/nft.h"

#define BATCH_SIZE (2u << 20)
#define ROOM       (8 << 20)

/* --- the table --- */

/* For a batch, and for its answers. */
static int set_room(const struct nft_table *table)
{
	int fd = mnl_socket_get_fd(table->socket), size = ROOM;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		return -1;
	return setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
}

int nft_table_open(struct nft_table *ret, const char *name)
{
	*ret = (struct nft_table){ 0 };
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	ret->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!ret->socket || mnl_socket_bind(ret->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    set_room(ret) < 0)
		return -errno;
	return 0;
}

void nft_table_close(struct nft_table *table)
{
	if (table->socket)
		mnl_socket_close(table->socket);
	table->socket = NULL;
}

/* --- batches --- */

int nft_batch_begin(struct nft_batch *ret, struct nft_table *table)
{
	/* libmnl lets one message more be written than it counts. */
	void *buffer = malloc(BATCH_SIZE + MNL_SOCKET_BUFFER_SIZE);

	if (!buffer)
		return -ENOMEM;
	*ret = (struct nft_batch){ .table = table, .buffer = buffer };
	ret->messages = mnl_nlmsg_batch_start(buffer, BATCH_SIZE);
	if (!ret->messages) {
		free(buffer);
		return -ENOMEM;
	}
	nftnl_batch_begin(mnl_nlmsg_batch_current(ret->messages), ++table->seq);
	mnl_nlmsg_batch_next(ret->messages);
	return 0;
}

/* The kernel has answered each message, or the whole, before the send is over. */
static int hear(const struct nft_table *table)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];
	bool is_heard = false;
	int error = 0;

	for (;;) {
		ssize_t n = mnl_socket_recvfrom(table->socket, buffer, sizeof(buffer));
		const struct nlmsghdr *at = (const struct nlmsghdr *)buffer;
		int left = (int)n;

		if (n < 0 && errno == EAGAIN)
			return is_heard ? error : -EIO;
		if (n < 0)
			return -errno;
		for (; mnl_nlmsg_ok(at, left); at = mnl_nlmsg_next(at, &left)) {
			const struct nlmsgerr *said = mnl_nlmsg_get_payload(at);

			if (at->nlmsg_type != NLMSG_ERROR)
				continue;
			is_heard = true;
			if (!error)
				error = said->error;
		}
	}
}

int nft_batch_commit(struct nft_batch *batch)
{
	struct nft_table *table = batch->table;
	int r = 0;

	nftnl_batch_end(mnl_nlmsg_batch_current(batch->messages), ++table->seq);
	if (batch->is_full || !mnl_nlmsg_batch_next(batch->messages))
		r = -EMSGSIZE;
	if (r == 0 &&
	    mnl_socket_sendto(table->socket, mnl_nlmsg_batch_head(batch->messages),
			      mnl_nlmsg_batch_size(batch->messages)) < 0)
		r = -errno;
	if (r == 0)
		r = hear(table);
	mnl_nlmsg_batch_stop(batch->messages);
	free(batch->buffer);
	return r;
}

/* There is room for one more always, as nothing is put into a batch that is full. */
static struct nlmsghdr *put(struct nft_batch *batch, uint16_t type, uint16_t flags)
{
	return nftnl_nlmsg_build_hdr(mnl_nlmsg_batch_current(batch->messages), type,
				     NFPROTO_INET, flags | NLM_F_ACK,
				     ++batch->table->seq);
}

static void next(struct nft_batch *batch)
{
	if (!mnl_nlmsg_batch_next(batch->messages))
		batch->is_full = true;
}

void nft_put_table(struct nft_batch *batch)
{
	struct nftnl_table *table = nftnl_table_alloc();

	if (!table || batch->is_full) {
		batch->is_full = true;
	} else {
		nftnl_table_set_u32(table, NFTNL_TABLE_FAMILY, NFPROTO_INET);
		nftnl_table_set_str(table, NFTNL_TABLE_NAME, batch->table->name);
		nftnl_table_set_u32(table, NFTNL_TABLE_FLAGS, NFT_TABLE_F_OWNER);
		nftnl_table_nlmsg_build_payload(put(batch, NFT_MSG_NEWTABLE,
						    NLM_F_CREATE | NLM_F_EXCL),
						table);
		next(batch);
	}
	if (table)
		nftnl_table_free(table);
}

void nft_put_chain(struct nft_batch *batch, const char *name, const char *type,
		   uint32_t hook, int32_t priority)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();

	if (!chain || batch->is_full) {
		batch->is_full = true;
	} else {
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_FAMILY, NFPROTO_INET);
		nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, batch->table->name);
		nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name);
		nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, type);
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, hook);
		nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, priority);
		nftnl_chain_nlmsg_build_payload(put(batch, NFT_MSG_NEWCHAIN,
						    NLM_F_CREATE),
						chain);
		next(batch);
	}
	if (chain)
		nftnl_chain_free(chain);
}

/* --- rules --- */

struct nft_rule nft_rule_begin(struct nft_batch *batch, const char *chain)
{
	struct nft_rule rule = { batch, nftnl_rule_alloc() };

	if (!rule.rule) {
		batch->is_full = true;
		return rule;
	}
	nftnl_rule_set_u32(rule.rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	nftnl_rule_set_str(rule.rule, NFTNL_RULE_TABLE, batch->table->name);
	if (chain)
		nftnl_rule_set_str(rule.rule, NFTNL_RULE_CHAIN, chain);
	return rule;
}

static void end(struct nft_rule *rule, uint16_t type, uint16_t flags)
{
	if (!rule->batch->is_full) {
		nftnl_rule_nlmsg_build_payload(put(rule->batch, type, flags), rule->rule);
		next(rule->batch);
	}
	if (rule->rule)
		nftnl_rule_free(rule->rule);
}

void nft_rule_end(struct nft_rule *rule)
{
	end(rule, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
}

void nft_put_empty(struct nft_batch *batch)
{
	struct nft_rule rule = nft_rule_begin(batch, NULL);

	end(&rule, NFT_MSG_DELRULE, 0);
}

/* What could not be added fails the batch, so that nobody has to look. */
static struct nftnl_expr *add(struct nft_rule *rule, const char *name)
{
	struct nftnl_expr *expression = rule->rule ? nftnl_expr_alloc(name) : NULL;

	if (expression)
		nftnl_rule_add_expr(rule->rule, expression);
	else
		rule->batch->is_full = true;
	return expression;
}

static void set(struct nftnl_expr *expression, uint16_t attribute, uint32_t value)
{
	if (expression)
		nftnl_expr_set_u32(expression, attribute, value);
}

static void set_data(struct nftnl_expr *expression, uint16_t attribute, const void *data,
		     uint32_t size)
{
	if (expression)
		nftnl_expr_set(expression, attribute, data, size);
}

static uint32_t address_size(int family)
{
	return family == AF_INET ? 4 : 16;
}

static uint32_t nfproto(int family)
{
	return family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

/* Of register 1. */
static void compare(struct nft_rule *rule, const void *data, uint32_t size)
{
	struct nftnl_expr *expression = add(rule, "cmp");

	set(expression, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	set(expression, NFTNL_EXPR_CMP_OP, NFT_CMP_EQ);
	set_data(expression, NFTNL_EXPR_CMP_DATA, data, size);
}

void nft_meta_is(struct nft_rule *rule, uint32_t key, const void *data, uint32_t size)
{
	struct nftnl_expr *expression = add(rule, "meta");

	set(expression, NFTNL_EXPR_META_DREG, NFT_REG_1);
	set(expression, NFTNL_EXPR_META_KEY, key);
	compare(rule, data, size);
}

static void load(struct nft_rule *rule, uint32_t base, uint32_t offset, uint32_t size)
{
	struct nftnl_expr *expression = add(rule, "payload");

	set(expression, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
	set(expression, NFTNL_EXPR_PAYLOAD_BASE, base);
	set(expression, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	set(expression, NFTNL_EXPR_PAYLOAD_LEN, size);
}

static void load_destination(struct nft_rule *rule, int family)
{
	load(rule, NFT_PAYLOAD_NETWORK_HEADER, family == AF_INET ? 16 : 24,
	     address_size(family));
}

static void load_source(struct nft_rule *rule, int family)
{
	load(rule, NFT_PAYLOAD_NETWORK_HEADER, family == AF_INET ? 12 : 8,
	     address_size(family));
}

void nft_is_to_port(struct nft_rule *rule, uint16_t port)
{
	uint16_t there = htons(port);

	load(rule, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(there));
	compare(rule, &there, sizeof(there));
}

void nft_is_to(struct nft_rule *rule, int family, const struct in6_addr *address)
{
	load_destination(rule, family);
	compare(rule, address, address_size(family));
}

void nft_is_to_local(struct nft_rule *rule)
{
	struct nftnl_expr *expression = add(rule, "fib");
	uint32_t type = RTN_LOCAL;

	set(expression, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
	set(expression, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	set(expression, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
	compare(rule, &type, sizeof(type));
}

void nft_is_untranslated(struct nft_rule *rule)
{
	const uint32_t bit = IPS_DST_NAT, none = 0;
	struct nftnl_expr *expression = add(rule, "ct");

	set(expression, NFTNL_EXPR_CT_KEY, NFT_CT_STATUS);
	set(expression, NFTNL_EXPR_CT_DREG, NFT_REG_1);
	expression = add(rule, "bitwise");
	set(expression, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	set(expression, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	set(expression, NFTNL_EXPR_BITWISE_LEN, sizeof(bit));
	set_data(expression, NFTNL_EXPR_BITWISE_MASK, &bit, sizeof(bit));
	set_data(expression, NFTNL_EXPR_BITWISE_XOR, &none, sizeof(none));
	compare(rule, &none, sizeof(none));
}

void nft_drop(struct nft_rule *rule)
{
	struct nftnl_expr *expression = add(rule, "immediate");

	set(expression, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	set(expression, NFTNL_EXPR_IMM_VERDICT, NF_DROP);
}

static void set_register(struct nft_rule *rule, uint32_t number, const void *data,
			 uint32_t size)
{
	struct nftnl_expr *expression = add(rule, "immediate");

	set(expression, NFTNL_EXPR_IMM_DREG, number);
	set_data(expression, NFTNL_EXPR_IMM_DATA, data, size);
}

/* To the address in register 1 and, if it @has_port, the port in register 2. */
static void translate(struct nft_rule *rule, uint32_t type, int family, bool has_port)
{
	struct nftnl_expr *expression = add(rule, "nat");

	set(expression, NFTNL_EXPR_NAT_TYPE, type);
	set(expression, NFTNL_EXPR_NAT_FAMILY, nfproto(family));
	set(expression, NFTNL_EXPR_NAT_REG_ADDR_MIN, NFT_REG_1);
	set(expression, NFTNL_EXPR_NAT_REG_ADDR_MAX, NFT_REG_1);
	if (!has_port)
		return;
	set(expression, NFTNL_EXPR_NAT_REG_PROTO_MIN, NFT_REG_2);
	set(expression, NFTNL_EXPR_NAT_REG_PROTO_MAX, NFT_REG_2);
}

void nft_dnat(struct nft_rule *rule, int family, const struct in6_addr *to, uint16_t port)
{
	uint16_t there = htons(port);

	if (to)
		set_register(rule, NFT_REG_1, to, address_size(family));
	else
		load_destination(rule, family);
	if (port)
		set_register(rule, NFT_REG_2, &there, sizeof(there));
	translate(rule, NFT_NAT_DNAT, family, port);
}

void nft_redirect(struct nft_rule *rule, uint16_t port)
{
	uint16_t there = htons(port);
	struct nftnl_expr *expression;

	set_register(rule, NFT_REG_1, &there, sizeof(there));
	expression = add(rule, "redir");
	set(expression, NFTNL_EXPR_REDIR_REG_PROTO_MIN, NFT_REG_1);
	set(expression, NFTNL_EXPR_REDIR_REG_PROTO_MAX, NFT_REG_1);
}

void nft_keep_source(struct nft_rule *rule, int family)
{
	load_source(rule, family);
	translate(rule, NFT_NAT_SNAT, family, false);
}
