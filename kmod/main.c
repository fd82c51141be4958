// SPDX-License-Identifier: GPL-2.0-only
/*
 * af_graft: sockets whose addresses are names of endpoints; see linux/graft.h, and
 * socket.h for how it works.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/net.h>
#include <net/genetlink.h>

#include "endpoint.h"
#include "netlink.h"
#include "socket.h"

int graft_family = AF_GRAFT;
module_param_named(family, graft_family, int, 0444);
MODULE_PARM_DESC(family, "number of the address family (default: 4, once AF_IPX)");

module_param_named(max_endpoints, graft_max_endpoints, uint, 0644);
MODULE_PARM_DESC(max_endpoints, "most endpoints of one network namespace");

static int __init graft_init(void)
{
	int err;

	err = graft_endpoint_init();
	if (err)
		return err;
	err = graft_netlink_init();
	if (err)
		goto err_endpoint;
	err = graft_socket_init();
	if (err)
		goto err_netlink;
	pr_info("address family %d\n", graft_family);
	return 0;

err_netlink:
	graft_netlink_exit();
err_endpoint:
	graft_endpoint_exit();
	rcu_barrier();
	return err;
}

static void __exit graft_exit(void)
{
	graft_socket_exit();
	graft_netlink_exit();
	graft_endpoint_exit();
	rcu_barrier();
}

module_init(graft_init);
module_exit(graft_exit);

MODULE_AUTHOR("The graft authors");
MODULE_DESCRIPTION("Sockets grafted onto those of other network namespaces");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
MODULE_ALIAS_NETPROTO(AF_GRAFT);
MODULE_ALIAS_GENL_FAMILY("af_graft");
