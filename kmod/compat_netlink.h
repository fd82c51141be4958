/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels in generic netlink.
 */
#ifndef _GRAFT_COMPAT_NETLINK_H
#define _GRAFT_COMPAT_NETLINK_H

#include <linux/version.h>
#include <net/genetlink.h>

/* Return: the attributes of the request that a dump answers. */
static inline struct nlattr **graft_dump_attrs(struct netlink_callback *cb)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
	return genl_dumpit_info(cb)->attrs;
#else
	return genl_dumpit_info(cb)->info.attrs;
#endif
}

#endif
