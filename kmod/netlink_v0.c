// SPDX-License-Identifier: GPL-2.0-only
/*
 * Version 0: one binary attribute, struct graft_genl_endpoint. It holds a ssize_t, so
 * that 32-bit programs on a 64-bit kernel have another one, which is told by its length
 * in a request, and by the kind of the system call in a dump.
 */
#include <linux/compat.h>
#include <linux/ctype.h>
#include <linux/string.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "endpoint.h"
#include "netlink.h"
#include "netlink_attr.h"

struct endpoint_32 {
	char name[AF_GRAFT_EPNAME_MAX];
	char netns_path[108];
	s32 netns_fd;
	s32 netns_pid;
	s32 addrlen;
	char saddr[128];
} __packed;

#define HEAD_SIZE offsetof(struct graft_genl_endpoint, addrlen) /* the same in both */

static_assert(sizeof(struct endpoint_32) == 264);
static_assert(offsetof(struct endpoint_32, addrlen) == HEAD_SIZE);
static_assert(sizeof_field(struct graft_genl_endpoint, netns_path) == GRAFT_LABEL_MAX);

static int read_request(struct genl_info *info, struct graft_genl_endpoint *ret)
{
	const struct nlattr *attr = info->attrs[AF_GRAFT_ATTR_ENDPOINT];
	const struct endpoint_32 *narrow;

	if (!attr)
		return GRAFT_REFUSE(info->extack, NULL, -EINVAL,
				    "AF_GRAFT_ATTR_ENDPOINT is missing");
	if (nla_len(attr) == sizeof(*ret)) {
		memcpy(ret, nla_data(attr), sizeof(*ret));
		return 0;
	}
	if (nla_len(attr) != sizeof(*narrow))
		return GRAFT_REFUSE(info->extack, attr, -EINVAL,
				    "struct graft_genl_endpoint has 268 or 264 bytes");
	narrow = nla_data(attr);
	memcpy(ret, narrow, HEAD_SIZE);
	ret->addrlen = narrow->addrlen;
	memcpy(ret->saddr, narrow->saddr, sizeof(ret->saddr));
	return 0;
}

static int read_name(struct genl_info *info, const char *name,
		     char ret[AF_GRAFT_EPNAME_MAX])
{
	const struct nlattr *attr = info->attrs[AF_GRAFT_ATTR_ENDPOINT];
	size_t len = strnlen(name, AF_GRAFT_EPNAME_MAX);

	if (!len)
		return GRAFT_REFUSE(info->extack, attr, -EINVAL, "the name is empty");
	for (size_t i = 0; i < len; i++)
		if (iscntrl(name[i]))
			return GRAFT_REFUSE(info->extack, attr, -EINVAL,
					    "the name has a control character");
	memset(ret, 0, AF_GRAFT_EPNAME_MAX);
	memcpy(ret, name, len);
	return 0;
}

/* struct sockaddr_un was always given whole; an abstract name has its own length. */
static int read_path(struct genl_info *info, const struct graft_genl_endpoint *from,
		     struct graft_endpoint_spec *spec)
{
	const struct nlattr *attr = info->attrs[AF_GRAFT_ATTR_ENDPOINT];
	const size_t offset = offsetof(struct sockaddr_un, sun_path);
	const char *path = from->saddr + offset;
	size_t len;

	if (from->addrlen < (ssize_t)offset ||
	    from->addrlen > (ssize_t)sizeof(struct sockaddr_un))
		return GRAFT_REFUSE(info->extack, attr, -EINVAL,
				    "addrlen is not that of a struct sockaddr_un");
	len = from->addrlen - offset;
	if (len && path[0])
		len = strnlen(path, len);
	else if (from->addrlen == sizeof(struct sockaddr_un))
		len = 0;
	return graft_spec_set_path(spec, path, len, attr, info->extack);
}

static int read_address(struct genl_info *info, const struct graft_genl_endpoint *from,
			struct graft_endpoint_spec *spec)
{
	const struct nlattr *attr = info->attrs[AF_GRAFT_ATTR_ENDPOINT];
	sa_family_t family;

	memcpy(&family, from->saddr, sizeof(family));
	spec->family = family;
	switch (family) {
	case AF_UNIX:
		return read_path(info, from, spec);
	case AF_INET:
		spec->address_len = sizeof(spec->in);
		break;
	case AF_INET6:
		spec->address_len = sizeof(spec->in6);
		break;
	default:
		return GRAFT_REFUSE(info->extack, attr, -EAFNOSUPPORT,
				    "an endpoint is of AF_INET, AF_INET6 or AF_UNIX");
	}
	if (from->addrlen < spec->address_len ||
	    from->addrlen > (ssize_t)sizeof(from->saddr))
		return GRAFT_REFUSE(info->extack, attr, -EINVAL,
				    "addrlen does not fit the family");
	memcpy(&spec->address, from->saddr, spec->address_len);
	return 0;
}

static struct net *find_target(struct genl_info *info,
			       const struct graft_genl_endpoint *from)
{
	const struct nlattr *attr = info->attrs[AF_GRAFT_ATTR_ENDPOINT];
	struct net *target;

	if (from->netns_fd <= 0 && from->netns_pid <= 0)
		return get_net(&init_net);
	target = from->netns_fd > 0 ? get_net_ns_by_fd(from->netns_fd)
				    : get_net_ns_by_pid(from->netns_pid);
	if (IS_ERR(target))
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "netns_fd and netns_pid lead to no network");
	return target;
}

int graft_v0_add(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *attr = info->attrs[AF_GRAFT_ATTR_ENDPOINT];
	struct graft_endpoint_spec spec = { 0 };
	struct graft_genl_endpoint from;
	struct net *target;
	int r = read_request(info, &from);

	if (r == 0)
		r = read_name(info, from.name, spec.name);
	if (r == 0)
		r = read_address(info, &from, &spec);
	if (r == 0)
		r = graft_spec_set_label(&spec, from.netns_path, attr, info->extack);
	if (r < 0)
		return r;
	spec.netns_fd = from.netns_fd;
	spec.netns_pid = from.netns_pid;
	target = find_target(info, &from);
	if (IS_ERR(target))
		return PTR_ERR(target);
	r = graft_netlink_may_add(skb, genl_info_net(info), target, info);
	if (r == 0)
		r = graft_netlink_add(info, target, &spec);
	put_net(target);
	return r;
}

int graft_v0_del(struct sk_buff *skb, struct genl_info *info)
{
	struct graft_genl_endpoint from;
	char name[AF_GRAFT_EPNAME_MAX];
	int r = read_request(info, &from);

	if (r == 0)
		r = read_name(info, from.name, name);
	return r < 0 ? r : graft_netlink_del(info, name);
}

static void write_endpoint(const struct graft_endpoint_spec *spec,
			   struct graft_genl_endpoint *ret)
{
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->name, spec->name, sizeof(ret->name));
	memcpy(ret->netns_path, spec->label, sizeof(ret->netns_path));
	ret->netns_fd = spec->netns_fd;
	ret->netns_pid = spec->netns_pid;
	ret->addrlen = spec->address_len;
	if (spec->family == AF_UNIX && spec->un.sun_path[0])
		ret->addrlen = sizeof(spec->un);
	memcpy(ret->saddr, &spec->address, spec->address_len);
}

static int put_attr(struct sk_buff *skb, const struct graft_endpoint_spec *spec)
{
	struct graft_genl_endpoint wide;
	struct endpoint_32 narrow;

	write_endpoint(spec, &wide);
	if (!in_compat_syscall())
		return nla_put(skb, AF_GRAFT_ATTR_ENDPOINT, sizeof(wide), &wide);
	memcpy(&narrow, &wide, HEAD_SIZE);
	narrow.addrlen = wide.addrlen;
	memcpy(narrow.saddr, wide.saddr, sizeof(narrow.saddr));
	return nla_put(skb, AF_GRAFT_ATTR_ENDPOINT, sizeof(narrow), &narrow);
}

static int put_dumped(struct sk_buff *skb, struct netlink_callback *cb,
		      struct graft_endpoint *endpoint)
{
	void *header =
		genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			    &graft_genl_family, NLM_F_MULTI, AF_GRAFT_CMD_GET_ENDPOINT);

	if (!header)
		return -EMSGSIZE;
	if (put_attr(skb, &endpoint->spec)) {
		genlmsg_cancel(skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return 0;
}

int graft_v0_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	return graft_netlink_walk(skb, cb, put_dumped);
}
