// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Says on the console who still holds a network namespace, of each but the first: where
 * its references were taken. Loaded when one does not go, and never stays.
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/ref_tracker.h>
#include <linux/rtnetlink.h>
#include <net/net_namespace.h>

#define SHOWN 20 /* stacks of a namespace */

static int __init holders_init(void)
{
	struct net *net;

	down_read(&net_rwsem);
	for_each_net(net)
	{
		if (net_eq(net, &init_net))
			continue;
		pr_info("namespace %u, held %u times, by\n", net->ns.inum,
			refcount_read(&net->ns.count));
		ref_tracker_dir_print(&net->refcnt_tracker, SHOWN);
	}
	up_read(&net_rwsem);
	return -ECANCELED;
}

module_init(holders_init);
MODULE_DESCRIPTION("Who holds network namespaces");
MODULE_LICENSE("GPL");
