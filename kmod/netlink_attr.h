/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The attributes of version 1: from a request to what is said of an endpoint, and from an
 * endpoint to an answer.
 */
#ifndef _GRAFT_NETLINK_ATTR_H
#define _GRAFT_NETLINK_ATTR_H

#include <linux/netlink.h>
#include <net/netlink.h>

struct genl_info;
struct graft_endpoint;
struct graft_endpoint_spec;
struct net;
struct sk_buff;
struct user_namespace;

/* Tells the sender of a request what is wrong with @attr. Its value is @error. */
#define GRAFT_REFUSE(extack, attr, error, text)              \
	({                                                   \
		NL_SET_ERR_MSG_ATTR((extack), (attr), text); \
		(error);                                     \
	})

#define GRAFT_NEW_A_MAX  GRAFT_A_ACCESS
#define GRAFT_NAME_A_MAX GRAFT_A_NAME

extern const struct nla_policy graft_new_policy[GRAFT_NEW_A_MAX + 1];
extern const struct nla_policy graft_name_policy[GRAFT_NAME_A_MAX + 1];

/* GRAFT_A_NAME, padded with NUL, of a request that must have one: any that there may be,
 * version 0's included. Return: 0 or -EINVAL. */
int graft_attr_name(struct genl_info *info, char ret[AF_GRAFT_EPNAME_MAX]);
/* Name, address and flags. Return: 0; -EINVAL or -EAFNOSUPPORT, the sender told why. */
int graft_attr_place(struct genl_info *info, struct graft_endpoint_spec *ret);
/* Label, fd and pid into @spec. Return: the namespace with a reference, or ERR_PTR. */
struct net *graft_attr_target(struct genl_info *info, struct graft_endpoint_spec *spec);
/* The rules, which the caller has to kfree(). Return: 0, -EINVAL, -ENOMEM. */
int graft_attr_access(const struct sk_buff *skb, struct genl_info *info,
		      struct graft_endpoint_spec *ret);

/* --- for version 0 too; @attr is where it stands --- */

int graft_spec_set_path(struct graft_endpoint_spec *spec, const char *path, size_t len,
			const struct nlattr *attr, struct netlink_ext_ack *extack);
/* @label has GRAFT_LABEL_MAX bytes, and is cut if there is no NUL. */
int graft_spec_set_label(struct graft_endpoint_spec *spec, const char *label,
			 const struct nlattr *attr, struct netlink_ext_ack *extack);

/* --- netlink_put.c --- */

/* Everything of @endpoint, ids as @reader has them. Return: 0 or -EMSGSIZE. */
int graft_put_endpoint(struct sk_buff *skb, struct graft_endpoint *endpoint,
		       struct user_namespace *reader);
int graft_put_name(struct sk_buff *skb, const struct graft_endpoint *endpoint);

#endif
