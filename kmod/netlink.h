/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The generic netlink family "af_graft": see linux/graft.h.
 */
#ifndef _GRAFT_NETLINK_H
#define _GRAFT_NETLINK_H

#include <linux/types.h>

struct graft_endpoint;
struct genl_info;
struct netlink_callback;
struct sk_buff;

/* Tells the group of @endpoint's home of @event, a GRAFT_CMD_ENDPOINT_*, done by the
 * calling task. May sleep, and does nothing when nobody listens. */
void graft_netlink_tell(struct graft_endpoint *endpoint, u8 event);
/* The same as -_DEL, of an endpoint whose target is gone: by nobody. */
void graft_netlink_tell_gone(struct graft_endpoint *endpoint);

int graft_netlink_init(void);
void graft_netlink_exit(void);

/* --- netlink_v0.c: version 0's binary attribute --- */

int graft_v0_add(struct sk_buff *skb, struct genl_info *info);
int graft_v0_del(struct sk_buff *skb, struct genl_info *info);
int graft_v0_dump(struct sk_buff *skb, struct netlink_callback *cb);

/* --- netlink.c, for netlink_v0.c --- */

struct graft_endpoint_spec;
struct net;

/* Whether the sender of @skb may add what leads from @home to @target. Return: 0 or
 * -EPERM. */
int graft_netlink_may_add(const struct sk_buff *skb, const struct net *home,
			  const struct net *target, struct genl_info *info);
/* Adds and tells. Takes @spec->rules. Return: 0 or -errno. */
int graft_netlink_add(struct genl_info *info, struct net *target,
		      struct graft_endpoint_spec *spec);
int graft_netlink_del(struct genl_info *info, const char *name);
/* Walks the endpoints of the socket's namespace, @put one after the other, until the
 * message is full. Return: as a dumpit() does. */
int graft_netlink_walk(struct sk_buff *skb, struct netlink_callback *cb,
		       int (*put)(struct sk_buff *skb, struct netlink_callback *cb,
				  struct graft_endpoint *endpoint));
extern struct genl_family graft_genl_family;

#endif
