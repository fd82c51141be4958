/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A table of the host's packet filter (nf_tables, inet, flag `owner`) that belongs to a
 * netlink socket of this process: nobody else may change it, `nft flush ruleset` leaves
 * it alone, and it is gone when the process is. What libnftnl needs said for each rule.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mnl_nlmsg_batch;
struct mnl_socket;
struct nftnl_rule;

#define NFT_TABLE_NAME_SIZE 64

struct nft_table {
	struct mnl_socket *socket; /* NULL: none */
	uint32_t seq;
	char name[NFT_TABLE_NAME_SIZE];
};

/* A change, which the kernel makes as a whole or not at all. */
struct nft_batch {
	struct nft_table *table;
	struct mnl_nlmsg_batch *messages;
	void *buffer;
	bool is_full; /* or no memory: nothing is sent */
};

/* A rule while it is written. */
struct nft_rule {
	struct nft_batch *batch;
	struct nftnl_rule *rule;
};

/* Takes CAP_NET_ADMIN, as all changes. The table is not made yet. Return: 0 or -errno.
 * nft_table_close() in either case. */
int nft_table_open(struct nft_table *ret, const char *name);
void nft_table_close(struct nft_table *table);

/* Return: 0 or -ENOMEM. Then nft_batch_commit(). */
int nft_batch_begin(struct nft_batch *ret, struct nft_table *table);
/* Return: 0 or -errno: nothing has changed. */
int nft_batch_commit(struct nft_batch *batch);

void nft_put_table(struct nft_batch *batch);
/* @hook: NF_INET_... */
void nft_put_chain(struct nft_batch *batch, const char *name, const char *type,
		   uint32_t hook, int32_t priority);
/* Without any rule, the chains stay. */
void nft_put_empty(struct nft_batch *batch);

/* What is put between these is the rule's, in that order. */
struct nft_rule nft_rule_begin(struct nft_batch *batch, const char *chain);
void nft_rule_end(struct nft_rule *rule);

/* Conditions. */
void nft_meta_is(struct nft_rule *rule, uint32_t key, const void *data, uint32_t size);
void nft_is_to_port(struct nft_rule *rule, uint16_t port);
void nft_is_to(struct nft_rule *rule, int family, const struct in6_addr *address);
void nft_is_to_local(struct nft_rule *rule);
/* Where it goes was not translated. */
void nft_is_untranslated(struct nft_rule *rule);

/* Statements. */
void nft_drop(struct nft_rule *rule);
/* To @to (NULL: as it is), and @port (0: as it is). */
void nft_dnat(struct nft_rule *rule, int family, const struct in6_addr *to,
	      uint16_t port);
/* To this host, by the address of the interface it comes from. */
void nft_redirect(struct nft_rule *rule, uint16_t port);
/* The source stays as it is. */
void nft_keep_source(struct nft_rule *rule, int family);
