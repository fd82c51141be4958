// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family "af_graft": its commands, and what it tells. The namespace
 * of a netlink socket is the one whose endpoints it is about. Operations run in parallel:
 * the table has its own lock, and a dump goes on behind the number of the last endpoint
 * it showed, so that it misses none that was there all the time, and shows none twice.
 */
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "compat_netlink.h"
#include "endpoint.h"
#include "netlink.h"
#include "netlink_attr.h"

enum {
	GROUP_ENDPOINTS,
};

int graft_netlink_may_add(const struct sk_buff *skb, const struct net *home,
			  const struct net *target, struct genl_info *info)
{
	if (!netlink_ns_capable(skb, home->user_ns, CAP_NET_ADMIN)) {
		GENL_SET_ERR_MSG(info, "needs CAP_NET_ADMIN over your network namespace");
		return -EPERM;
	}
	if (target != home && !netlink_ns_capable(skb, target->user_ns, CAP_NET_ADMIN)) {
		GENL_SET_ERR_MSG(info, "needs CAP_NET_ADMIN where the endpoint leads to");
		return -EPERM;
	}
	return 0;
}

int graft_netlink_add(struct genl_info *info, struct net *target,
		      struct graft_endpoint_spec *spec)
{
	struct graft_endpoint *endpoint;
	int r = graft_endpoint_add(genl_info_net(info), target, spec, current_cred(),
				   &endpoint);

	if (r == -EEXIST)
		GENL_SET_ERR_MSG(info,
				 "there is an endpoint of this name; delete it first");
	else if (r == -ENOSPC)
		GENL_SET_ERR_MSG(info, "as many endpoints as max_endpoints allows");
	if (r < 0)
		return r;
	graft_netlink_tell(endpoint, GRAFT_CMD_ENDPOINT_NEW);
	graft_endpoint_put(endpoint);
	return 0;
}

int graft_netlink_del(struct genl_info *info, const char *name)
{
	struct graft_endpoint *endpoint = graft_endpoint_del(genl_info_net(info), name);

	if (IS_ERR(endpoint)) {
		GENL_SET_ERR_MSG(info, "no endpoint of this name");
		return PTR_ERR(endpoint);
	}
	graft_netlink_tell(endpoint, GRAFT_CMD_ENDPOINT_DEL);
	graft_endpoint_put(endpoint);
	return 0;
}

/* The next endpoint from number *@id on, with a reference. Return: it or NULL. */
static struct graft_endpoint *next_endpoint(const struct net *home, unsigned long *id)
{
	struct graft_endpoint *endpoint;

	rcu_read_lock();
	while ((endpoint = graft_endpoint_next(home, id)) != NULL) {
		if (kref_get_unless_zero(&endpoint->refs))
			break;
		++*id;
	}
	rcu_read_unlock();
	return endpoint;
}

int graft_netlink_walk(struct sk_buff *skb, struct netlink_callback *cb,
		       int (*put)(struct sk_buff *skb, struct netlink_callback *cb,
				  struct graft_endpoint *endpoint))
{
	const struct net *home = sock_net(skb->sk);
	struct graft_endpoint *endpoint;
	unsigned long id = cb->args[0];
	int r = 0;

	while (r == 0 && (endpoint = next_endpoint(home, &id)) != NULL) {
		r = put(skb, cb, endpoint);
		if (r == 0)
			id++;
		graft_endpoint_put(endpoint);
	}
	cb->args[0] = id;
	return r < 0 && !skb->len ? r : skb->len;
}

/* --- commands --- */

static int do_new(struct sk_buff *skb, struct genl_info *info)
{
	struct graft_endpoint_spec spec = { 0 };
	struct net *target;
	int r = graft_attr_place(info, &spec);

	if (r < 0)
		return r;
	target = graft_attr_target(info, &spec);
	if (IS_ERR(target))
		return PTR_ERR(target);
	r = graft_netlink_may_add(skb, genl_info_net(info), target, info);
	if (r == 0)
		r = graft_attr_access(skb, info, &spec);
	if (r == 0)
		r = graft_netlink_add(info, target, &spec);
	put_net(target);
	return r;
}

static int do_del(struct sk_buff *skb, struct genl_info *info)
{
	char name[AF_GRAFT_EPNAME_MAX];
	int r = graft_attr_name(info, name);

	return r < 0 ? r : graft_netlink_del(info, name);
}

/* An endpoint as asked for by the sender of @request. */
static int put_answer(struct sk_buff *skb, struct graft_endpoint *endpoint,
		      const struct sk_buff *request, u32 seq, int flags)
{
	struct user_namespace *reader = sk_user_ns(NETLINK_CB(request).sk);
	void *header = genlmsg_put(skb, NETLINK_CB(request).portid, seq,
				   &graft_genl_family, flags, GRAFT_CMD_ENDPOINT_NEW);
	u32 uid = from_kuid_munged(reader, endpoint->cred->euid);

	if (!header)
		return -EMSGSIZE;
	if (graft_put_endpoint(skb, endpoint, reader) ||
	    nla_put_u32(skb, GRAFT_A_UID, uid)) {
		genlmsg_cancel(skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return 0;
}

static int do_get(struct sk_buff *skb, struct genl_info *info)
{
	struct graft_endpoint *endpoint;
	char name[AF_GRAFT_EPNAME_MAX];
	struct sk_buff *answer;
	int r = graft_attr_name(info, name);

	if (r < 0)
		return r;
	endpoint = graft_endpoint_find(genl_info_net(info), name);
	if (!endpoint)
		return GRAFT_REFUSE(info->extack, info->attrs[GRAFT_A_NAME], -ENOENT,
				    "no endpoint of this name");
	answer = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	r = answer ? put_answer(answer, endpoint, skb, info->snd_seq, 0) : -ENOMEM;
	graft_endpoint_put(endpoint);
	if (r == 0)
		return genlmsg_reply(answer, info);
	nlmsg_free(answer);
	return r;
}

static int begin_dump(struct netlink_callback *cb)
{
	const struct nlattr *name = graft_dump_attrs(cb)[GRAFT_A_NAME];

	if (!name)
		return 0;
	return GRAFT_REFUSE(cb->extack, name, -EINVAL,
			    "a dump shows all: name one without NLM_F_DUMP");
}

static int put_dumped(struct sk_buff *skb, struct netlink_callback *cb,
		      struct graft_endpoint *endpoint)
{
	return put_answer(skb, endpoint, cb->skb, cb->nlh->nlmsg_seq, NLM_F_MULTI);
}

static int dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	return graft_netlink_walk(skb, cb, put_dumped);
}

/* --- events --- */

/* The number of the calling task as those who listen in @home mostly have it. A network
 * namespace has no pids, so what counts is whether it is the machine's or not. */
static u32 current_pid_in(const struct net *home)
{
	return net_eq(home, &init_net) ? task_tgid_nr(current) : task_tgid_vnr(current);
}

/* Return: 0 or -EMSGSIZE. */
static int put_event(struct sk_buff *skb, struct graft_endpoint *endpoint, u8 event,
		     bool by_current)
{
	bool is_whole =
		event == GRAFT_CMD_ENDPOINT_NEW || event == GRAFT_CMD_ENDPOINT_DEL;
	const struct net *home = endpoint->home;
	void *header = genlmsg_put(skb, 0, 0, &graft_genl_family, 0, event);
	int r;

	if (!header)
		return -EMSGSIZE;
	r = is_whole ? graft_put_endpoint(skb, endpoint, home->user_ns)
		     : graft_put_name(skb, endpoint);
	if (r == 0 && by_current)
		r = nla_put_u32(skb, GRAFT_A_UID,
				from_kuid_munged(home->user_ns, current_euid()));
	if (r == 0 && by_current)
		r = nla_put_u32(skb, GRAFT_A_PID, current_pid_in(home));
	if (r == 0)
		genlmsg_end(skb, header);
	return r;
}

static void tell(struct graft_endpoint *endpoint, u8 event, bool by_current)
{
	struct net *home = endpoint->home;
	struct sk_buff *skb;

	if (!genl_has_listeners(&graft_genl_family, home, GROUP_ENDPOINTS))
		return;
	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (skb && put_event(skb, endpoint, event, by_current) == 0) {
		genlmsg_multicast_netns(&graft_genl_family, home, skb, 0, GROUP_ENDPOINTS,
					GFP_KERNEL);
		return;
	}
	nlmsg_free(skb);
	/* Who listens learns that something is missing, as from a full buffer. */
	genl_set_err(&graft_genl_family, home, 0, GROUP_ENDPOINTS, -ENOBUFS);
}

void graft_netlink_tell(struct graft_endpoint *endpoint, u8 event)
{
	tell(endpoint, event, true);
}

void graft_netlink_tell_gone(struct graft_endpoint *endpoint)
{
	tell(endpoint, GRAFT_CMD_ENDPOINT_DEL, false);
}

/* --- the family --- */

static const struct nla_policy v0_policy[AF_GRAFT_ATTR_ENDPOINT + 1] = {
	[AF_GRAFT_ATTR_ENDPOINT] = { .type = NLA_BINARY,
				     .len = sizeof(struct graft_genl_endpoint) },
};

#define V0_LENIENT                                             \
	(GENL_DONT_VALIDATE_STRICT | GENL_DONT_VALIDATE_DUMP | \
	 GENL_DONT_VALIDATE_DUMP_STRICT)

static const struct genl_ops ops[] = {
	{
		.cmd = AF_GRAFT_CMD_ADD_ENDPOINT,
		.doit = graft_v0_add,
		.policy = v0_policy,
		.maxattr = ARRAY_SIZE(v0_policy) - 1,
		.flags = GENL_UNS_ADMIN_PERM,
		.validate = V0_LENIENT,
	},
	{
		.cmd = AF_GRAFT_CMD_DEL_ENDPOINT,
		.doit = graft_v0_del,
		.policy = v0_policy,
		.maxattr = ARRAY_SIZE(v0_policy) - 1,
		.flags = GENL_UNS_ADMIN_PERM,
		.validate = V0_LENIENT,
	},
	{
		.cmd = AF_GRAFT_CMD_GET_ENDPOINT,
		.dumpit = graft_v0_dump,
		.policy = v0_policy,
		.maxattr = ARRAY_SIZE(v0_policy) - 1,
		.validate = V0_LENIENT,
	},
	{
		.cmd = GRAFT_CMD_ENDPOINT_NEW,
		.doit = do_new,
		.policy = graft_new_policy,
		.maxattr = GRAFT_NEW_A_MAX,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = GRAFT_CMD_ENDPOINT_DEL,
		.doit = do_del,
		.policy = graft_name_policy,
		.maxattr = GRAFT_NAME_A_MAX,
		.flags = GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd = GRAFT_CMD_ENDPOINT_GET,
		.doit = do_get,
		.start = begin_dump,
		.dumpit = dump,
		.policy = graft_name_policy,
		.maxattr = GRAFT_NAME_A_MAX,
	},
};

static const struct genl_multicast_group groups[] = {
	[GROUP_ENDPOINTS] = { .name = GRAFT_MCGRP_ENDPOINTS },
};

struct genl_family graft_genl_family __ro_after_init = {
	.name = AF_GRAFT_GENL_NAME,
	.version = AF_GRAFT_GENL_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.resv_start_op = GRAFT_CMD_ENDPOINT_NEW,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
	.module = THIS_MODULE,
};

int __init graft_netlink_init(void)
{
	return genl_register_family(&graft_genl_family);
}

void graft_netlink_exit(void)
{
	genl_unregister_family(&graft_genl_family);
}
