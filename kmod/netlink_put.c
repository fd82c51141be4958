// SPDX-License-Identifier: GPL-2.0-only
/*
 * An endpoint as attributes of version 1.
 */
#include <linux/string.h>
#include <linux/user_namespace.h>
#include <net/net_namespace.h>
#include <net/netlink.h>

#include "endpoint.h"
#include "netlink_attr.h"

int graft_put_name(struct sk_buff *skb, const struct graft_endpoint *endpoint)
{
	char name[AF_GRAFT_EPNAME_MAX + 1] = { 0 };

	memcpy(name, endpoint->spec.name, AF_GRAFT_EPNAME_MAX);
	return nla_put_string(skb, GRAFT_A_NAME, name);
}

static int put_path(struct sk_buff *skb, const struct graft_endpoint_spec *spec)
{
	size_t len = spec->address_len - offsetof(struct sockaddr_un, sun_path);

	if (spec->un.sun_path[0])
		len = strnlen(spec->un.sun_path, len);
	return nla_put(skb, GRAFT_A_PATH, len, spec->un.sun_path);
}

static int put_port(struct sk_buff *skb, const struct graft_endpoint_spec *spec)
{
	return spec->in.sin_port ? nla_put_be16(skb, GRAFT_A_PORT, spec->in.sin_port) : 0;
}

static int put_address(struct sk_buff *skb, const struct graft_endpoint_spec *spec)
{
	int r = nla_put_u16(skb, GRAFT_A_FAMILY, spec->family);

	if (r < 0)
		return r;
	switch (spec->family) {
	case AF_INET:
		r = nla_put_in_addr(skb, GRAFT_A_ADDRESS, spec->in.sin_addr.s_addr);
		return r < 0 ? r : put_port(skb, spec);
	case AF_INET6:
		r = nla_put_in6_addr(skb, GRAFT_A_ADDRESS, &spec->in6.sin6_addr);
		if (r == 0 && spec->in6.sin6_scope_id)
			r = nla_put_u32(skb, GRAFT_A_SCOPE, spec->in6.sin6_scope_id);
		return r < 0 ? r : put_port(skb, spec);
	case AF_UNIX:
		return put_path(skb, spec);
	default:
		return 0;
	}
}

static int put_netns(struct sk_buff *skb, const struct graft_endpoint *endpoint)
{
	const struct graft_endpoint_spec *spec = &endpoint->spec;
	struct nlattr *nest = nla_nest_start(skb, GRAFT_A_NETNS);

	if (!nest)
		return -EMSGSIZE;
	if (spec->netns_pid > 0 && nla_put_u32(skb, GRAFT_NETNS_A_PID, spec->netns_pid))
		return -EMSGSIZE;
	if (spec->label[0] && nla_put_string(skb, GRAFT_NETNS_A_LABEL, spec->label))
		return -EMSGSIZE;
	if (nla_put_u64_64bit(skb, GRAFT_NETNS_A_COOKIE, endpoint->target_cookie,
			      GRAFT_NETNS_A_PAD) ||
	    nla_put_u32(skb, GRAFT_NETNS_A_INODE, endpoint->target_inode))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_rule(struct sk_buff *skb, const struct graft_rule *rule,
		    struct user_namespace *reader)
{
	struct nlattr *nest = nla_nest_start(skb, GRAFT_A_RULE);

	if (!nest || nla_put_u32(skb, GRAFT_RULE_A_USES, rule->uses))
		return -EMSGSIZE;
	if (rule->has_uid &&
	    nla_put_u32(skb, GRAFT_RULE_A_UID, from_kuid_munged(reader, rule->uid)))
		return -EMSGSIZE;
	if (rule->has_gid &&
	    nla_put_u32(skb, GRAFT_RULE_A_GID, from_kgid_munged(reader, rule->gid)))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_access(struct sk_buff *skb, const struct graft_endpoint_spec *spec,
		      struct user_namespace *reader)
{
	struct nlattr *nest;

	if (!spec->n_rules)
		return 0;
	nest = nla_nest_start(skb, GRAFT_A_ACCESS);
	if (!nest)
		return -EMSGSIZE;
	for (u32 i = 0; i < spec->n_rules; i++)
		if (put_rule(skb, &spec->rules[i], reader))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_counts(struct sk_buff *skb, struct graft_endpoint *endpoint)
{
	u32 n_binders;
	__be16 port = graft_endpoint_port(endpoint, &n_binders);

	if (graft_endpoint_is_dynamic(endpoint) && port &&
	    nla_put_be16(skb, GRAFT_A_BOUND, port))
		return -EMSGSIZE;
	if (nla_put_u32(skb, GRAFT_A_SOCKETS, n_binders) ||
	    nla_put_u64_64bit(skb, GRAFT_A_BINDS, atomic64_read(&endpoint->n_binds),
			      GRAFT_A_PAD) ||
	    nla_put_u64_64bit(skb, GRAFT_A_CONNECTS, atomic64_read(&endpoint->n_connects),
			      GRAFT_A_PAD) ||
	    nla_put_u64_64bit(skb, GRAFT_A_DENIALS, atomic64_read(&endpoint->n_denials),
			      GRAFT_A_PAD))
		return -EMSGSIZE;
	return 0;
}

int graft_put_endpoint(struct sk_buff *skb, struct graft_endpoint *endpoint,
		       struct user_namespace *reader)
{
	const struct graft_endpoint_spec *spec = &endpoint->spec;

	if (graft_put_name(skb, endpoint) || put_address(skb, spec) ||
	    put_netns(skb, endpoint) || nla_put_u32(skb, GRAFT_A_FLAGS, spec->flags) ||
	    put_access(skb, spec, reader) || put_counts(skb, endpoint))
		return -EMSGSIZE;
	return 0;
}
