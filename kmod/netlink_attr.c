// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a request of version 1 says of an endpoint. The policies refuse what no endpoint
 * could have, the code what does not go together. Whatever is refused is said in words.
 */
#include <linux/ctype.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "endpoint.h"
#include "netlink_attr.h"

/* The last byte of sun_path is for the NUL that the kernel puts behind a path. */
#define PATH_LEN_MAX (sizeof_field(struct sockaddr_un, sun_path) - 1)

static const struct nla_policy netns_policy[GRAFT_NETNS_A_LABEL + 1] = {
	[GRAFT_NETNS_A_FD] = { .type = NLA_U32 },
	[GRAFT_NETNS_A_PID] = NLA_POLICY_MIN(NLA_U32, 1),
	[GRAFT_NETNS_A_LABEL] = { .type = NLA_NUL_STRING, .len = GRAFT_LABEL_MAX - 1 },
};

static const struct nla_policy rule_policy[GRAFT_RULE_A_MAX + 1] = {
	[GRAFT_RULE_A_USES] = NLA_POLICY_RANGE(NLA_U32, 1, GRAFT_USE_ALL),
	[GRAFT_RULE_A_UID] = { .type = NLA_U32 },
	[GRAFT_RULE_A_GID] = { .type = NLA_U32 },
};

static const struct nla_policy access_policy[GRAFT_A_RULE + 1] = {
	[GRAFT_A_RULE] = NLA_POLICY_NESTED(rule_policy),
};

const struct nla_policy graft_new_policy[GRAFT_NEW_A_MAX + 1] = {
	[GRAFT_A_NAME] = { .type = NLA_NUL_STRING, .len = AF_GRAFT_EPNAME_MAX },
	[GRAFT_A_FAMILY] = { .type = NLA_U16 },
	[GRAFT_A_ADDRESS] = NLA_POLICY_RANGE(NLA_BINARY, sizeof(struct in_addr),
					     sizeof(struct in6_addr)),
	[GRAFT_A_PORT] = { .type = NLA_U16 },
	[GRAFT_A_SCOPE] = NLA_POLICY_MIN(NLA_U32, 1),
	[GRAFT_A_PATH] = NLA_POLICY_RANGE(NLA_BINARY, 1, PATH_LEN_MAX),
	[GRAFT_A_NETNS] = NLA_POLICY_NESTED(netns_policy),
	[GRAFT_A_FLAGS] = NLA_POLICY_MASK(NLA_U32, GRAFT_F_ALL),
	[GRAFT_A_ACCESS] = NLA_POLICY_NESTED(access_policy),
};

const struct nla_policy graft_name_policy[GRAFT_NAME_A_MAX + 1] = {
	[GRAFT_A_NAME] = { .type = NLA_NUL_STRING, .len = AF_GRAFT_EPNAME_MAX },
};

static bool is_name_char(char c)
{
	return isascii(c) && (isalnum(c) || c == '_' || c == '-' || c == '.');
}

static bool is_new_name(const char *name)
{
	size_t len = strnlen(name, AF_GRAFT_EPNAME_MAX);

	if (name[0] == '-' || name[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_name_char(name[i]))
			return false;
	return true;
}

int graft_attr_name(struct genl_info *info, char ret[AF_GRAFT_EPNAME_MAX])
{
	const struct nlattr *attr = info->attrs[GRAFT_A_NAME];
	size_t len;

	if (GENL_REQ_ATTR_CHECK(info, GRAFT_A_NAME))
		return GRAFT_REFUSE(info->extack, NULL, -EINVAL,
				    "name an endpoint: GRAFT_A_NAME is missing");
	len = strnlen(nla_data(attr), nla_len(attr));
	if (!len || len != nla_len(attr) - 1)
		return GRAFT_REFUSE(info->extack, attr, -EINVAL,
				    "a name has 1 to 16 characters and one NUL, its end");
	memset(ret, 0, AF_GRAFT_EPNAME_MAX);
	memcpy(ret, nla_data(attr), len);
	return 0;
}

/* --- addresses --- */

static int set_ipv4(struct genl_info *info, struct graft_endpoint_spec *spec)
{
	const struct nlattr *attr = info->attrs[GRAFT_A_ADDRESS];

	if (attr && nla_len(attr) != sizeof(spec->in.sin_addr))
		return GRAFT_REFUSE(info->extack, attr, -EINVAL,
				    "an AF_INET address has 4 bytes");
	if (attr)
		spec->in.sin_addr.s_addr = nla_get_in_addr(attr);
	spec->address_len = sizeof(spec->in);
	return 0;
}

static int set_ipv6(struct genl_info *info, struct graft_endpoint_spec *spec)
{
	const struct nlattr *attr = info->attrs[GRAFT_A_ADDRESS];
	const struct nlattr *scope = info->attrs[GRAFT_A_SCOPE];

	if (attr && nla_len(attr) != sizeof(spec->in6.sin6_addr))
		return GRAFT_REFUSE(info->extack, attr, -EINVAL,
				    "an AF_INET6 address has 16 bytes");
	if (attr)
		spec->in6.sin6_addr = nla_get_in6_addr(attr);
	if (scope && !(ipv6_addr_type(&spec->in6.sin6_addr) & IPV6_ADDR_LINKLOCAL))
		return GRAFT_REFUSE(info->extack, scope, -EINVAL,
				    "a scope goes with a link-local address only");
	if (scope)
		spec->in6.sin6_scope_id = nla_get_u32(scope);
	spec->address_len = sizeof(spec->in6);
	return 0;
}

int graft_spec_set_path(struct graft_endpoint_spec *spec, const char *path, size_t len,
			const struct nlattr *attr, struct netlink_ext_ack *extack)
{
	bool is_abstract = len && !path[0];

	if (len > PATH_LEN_MAX)
		return GRAFT_REFUSE(extack, attr, -EINVAL,
				    "a path has at most 107 bytes");
	if (!is_abstract && (!len || path[0] != '/'))
		return GRAFT_REFUSE(extack, attr, -EINVAL,
				    "a path begins with '/', an abstract name with NUL");
	if (memchr(path + 1, '\0', len - 1))
		return GRAFT_REFUSE(extack, attr, -EINVAL,
				    "no NUL in a path but to begin an abstract name");
	if (is_abstract && len == 1)
		return GRAFT_REFUSE(extack, attr, -EINVAL,
				    "an abstract name has characters behind its NUL");
	spec->un.sun_family = AF_UNIX;
	memcpy(spec->un.sun_path, path, len);
	spec->address_len = offsetof(struct sockaddr_un, sun_path) + len + !is_abstract;
	return 0;
}

static int set_path(struct genl_info *info, struct graft_endpoint_spec *spec)
{
	const struct nlattr *attr = info->attrs[GRAFT_A_PATH];

	if (GENL_REQ_ATTR_CHECK(info, GRAFT_A_PATH))
		return GRAFT_REFUSE(info->extack, NULL, -EINVAL,
				    "an AF_UNIX endpoint has a path: GRAFT_A_PATH");
	return graft_spec_set_path(spec, nla_data(attr), nla_len(attr), attr,
				   info->extack);
}

/* What an endpoint of @family cannot have. */
static int check_fits(struct genl_info *info, u16 family)
{
	bool is_inet = family == AF_INET || family == AF_INET6;
	struct nlattr **attrs = info->attrs;

	if (attrs[GRAFT_A_ADDRESS] && !is_inet)
		return GRAFT_REFUSE(info->extack, attrs[GRAFT_A_ADDRESS], -EINVAL,
				    "an address goes with AF_INET and AF_INET6 only");
	if (attrs[GRAFT_A_PORT] && !is_inet)
		return GRAFT_REFUSE(info->extack, attrs[GRAFT_A_PORT], -EINVAL,
				    "a port goes with AF_INET and AF_INET6 only");
	if (attrs[GRAFT_A_SCOPE] && family != AF_INET6)
		return GRAFT_REFUSE(info->extack, attrs[GRAFT_A_SCOPE], -EINVAL,
				    "a scope goes with AF_INET6 only");
	if (attrs[GRAFT_A_PATH] && family != AF_UNIX)
		return GRAFT_REFUSE(info->extack, attrs[GRAFT_A_PATH], -EINVAL,
				    "a path goes with AF_UNIX only");
	return 0;
}

static int set_address(struct genl_info *info, struct graft_endpoint_spec *spec)
{
	int r = check_fits(info, spec->family);

	if (r < 0)
		return r;
	spec->address.ss_family = spec->family;
	if (info->attrs[GRAFT_A_PORT]) /* at the same place in both */
		spec->in.sin_port = nla_get_be16(info->attrs[GRAFT_A_PORT]);
	switch (spec->family) {
	case AF_UNSPEC:
		return 0;
	case AF_INET:
		return set_ipv4(info, spec);
	case AF_INET6:
		return set_ipv6(info, spec);
	case AF_UNIX:
		return set_path(info, spec);
	default:
		return GRAFT_REFUSE(info->extack, info->attrs[GRAFT_A_FAMILY],
				    -EAFNOSUPPORT,
				    "neither AF_INET, AF_INET6, AF_UNIX nor AF_UNSPEC");
	}
}

int graft_attr_place(struct genl_info *info, struct graft_endpoint_spec *ret)
{
	int r = graft_attr_name(info, ret->name);

	if (r < 0)
		return r;
	if (!is_new_name(ret->name))
		return GRAFT_REFUSE(info->extack, info->attrs[GRAFT_A_NAME], -EINVAL,
				    "a name is [A-Za-z0-9_][A-Za-z0-9_.-]*, 16 at most");
	if (GENL_REQ_ATTR_CHECK(info, GRAFT_A_FAMILY))
		return GRAFT_REFUSE(info->extack, NULL, -EINVAL,
				    "of which family? GRAFT_A_FAMILY is missing");
	ret->family = nla_get_u16(info->attrs[GRAFT_A_FAMILY]);
	if (info->attrs[GRAFT_A_FLAGS])
		ret->flags = nla_get_u32(info->attrs[GRAFT_A_FLAGS]);
	return set_address(info, ret);
}

/* --- where it leads --- */

int graft_spec_set_label(struct graft_endpoint_spec *spec, const char *label,
			 const struct nlattr *attr, struct netlink_ext_ack *extack)
{
	size_t len = strnlen(label, GRAFT_LABEL_MAX - 1);

	for (size_t i = 0; i < len; i++)
		if (iscntrl(label[i]) || label[i] == ' ')
			return GRAFT_REFUSE(extack, attr, -EINVAL,
					    "a label has no blank or control character");
	memcpy(spec->label, label, len);
	return 0;
}

static int set_label(struct genl_info *info, struct graft_endpoint_spec *spec,
		     const struct nlattr *attr)
{
	char label[GRAFT_LABEL_MAX];

	if (strnlen(nla_data(attr), nla_len(attr)) != nla_len(attr) - 1)
		return GRAFT_REFUSE(info->extack, attr, -EINVAL,
				    "a label goes on behind its NUL");
	nla_strscpy(label, attr, sizeof(label));
	return graft_spec_set_label(spec, label, attr, info->extack);
}

static struct net *find_target(struct genl_info *info, struct graft_endpoint_spec *spec,
			       const struct nlattr *fd, const struct nlattr *pid)
{
	struct net *target;

	if (fd) {
		spec->netns_fd = nla_get_u32(fd);
		target = get_net_ns_by_fd(spec->netns_fd);
		if (IS_ERR(target))
			NL_SET_ERR_MSG_ATTR(info->extack, fd,
					    "not a descriptor of a network namespace");
		return target;
	}
	spec->netns_pid = nla_get_u32(pid);
	target = get_net_ns_by_pid(spec->netns_pid);
	if (IS_ERR(target))
		NL_SET_ERR_MSG_ATTR(info->extack, pid,
				    "no process of this number has a network");
	return target;
}

struct net *graft_attr_target(struct genl_info *info, struct graft_endpoint_spec *spec)
{
	const struct nlattr *attr = info->attrs[GRAFT_A_NETNS];
	struct nlattr *tb[ARRAY_SIZE(netns_policy)];
	int r;

	if (!attr)
		return get_net(genl_info_net(info));
	r = nla_parse_nested(tb, ARRAY_SIZE(tb) - 1, attr, netns_policy, info->extack);
	if (r < 0)
		return ERR_PTR(r);
	if (!tb[GRAFT_NETNS_A_FD] == !tb[GRAFT_NETNS_A_PID])
		r = GRAFT_REFUSE(info->extack, attr, -EINVAL,
				 "give a descriptor or a process, one of the two");
	else if (tb[GRAFT_NETNS_A_LABEL])
		r = set_label(info, spec, tb[GRAFT_NETNS_A_LABEL]);
	if (r < 0)
		return ERR_PTR(r);
	return find_target(info, spec, tb[GRAFT_NETNS_A_FD], tb[GRAFT_NETNS_A_PID]);
}

/* --- who may --- */

static int set_rule(struct genl_info *info, const struct nlattr *attr,
		    struct user_namespace *sender, struct graft_rule *ret)
{
	struct nlattr *tb[ARRAY_SIZE(rule_policy)];
	int r = nla_parse_nested(tb, ARRAY_SIZE(tb) - 1, attr, rule_policy, info->extack);

	if (r < 0)
		return r;
	if (!tb[GRAFT_RULE_A_USES])
		return GRAFT_REFUSE(info->extack, attr, -EINVAL,
				    "a rule for what? GRAFT_RULE_A_USES is missing");
	ret->uses = nla_get_u32(tb[GRAFT_RULE_A_USES]);
	ret->has_uid = tb[GRAFT_RULE_A_UID];
	ret->has_gid = tb[GRAFT_RULE_A_GID];
	if (ret->has_uid)
		ret->uid = make_kuid(sender, nla_get_u32(tb[GRAFT_RULE_A_UID]));
	if (ret->has_uid && !uid_valid(ret->uid))
		return GRAFT_REFUSE(info->extack, tb[GRAFT_RULE_A_UID], -EINVAL,
				    "your user namespace has no such user");
	if (ret->has_gid)
		ret->gid = make_kgid(sender, nla_get_u32(tb[GRAFT_RULE_A_GID]));
	if (ret->has_gid && !gid_valid(ret->gid))
		return GRAFT_REFUSE(info->extack, tb[GRAFT_RULE_A_GID], -EINVAL,
				    "your user namespace has no such group");
	return 0;
}

int graft_attr_access(const struct sk_buff *skb, struct genl_info *info,
		      struct graft_endpoint_spec *ret)
{
	struct user_namespace *sender = sk_user_ns(NETLINK_CB(skb).sk);
	const struct nlattr *access = info->attrs[GRAFT_A_ACCESS], *attr;
	struct graft_rule *rules;
	u32 n = 0;
	int rem, r = 0;

	if (!access)
		return 0;
	nla_for_each_nested(attr, access, rem)
		n++;
	if (!n)
		return 0;
	if (n > GRAFT_RULES_MAX)
		return GRAFT_REFUSE(info->extack, access, -EINVAL,
				    "an endpoint has at most 16 rules");
	rules = kcalloc(n, sizeof(*rules), GFP_KERNEL_ACCOUNT);
	if (!rules)
		return -ENOMEM;
	n = 0;
	nla_for_each_nested(attr, access, rem) {
		r = set_rule(info, attr, sender, &rules[n++]);
		if (r < 0) {
			kfree(rules);
			return r;
		}
	}
	ret->rules = rules;
	ret->n_rules = n;
	return 0;
}
