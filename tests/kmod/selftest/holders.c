// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Says on the console who still holds a network namespace, of each but the first: where
 * its references were taken, and what TCP sockets there are that still have something to
 * say. Loaded when one does not go, and never stays.
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/ref_tracker.h>
#include <linux/rtnetlink.h>
#include <net/inet_hashtables.h>
#include <net/net_namespace.h>
#include <net/tcp.h>

#define SHOWN 20 /* stacks of a namespace */

static void show(const struct sock *sk)
{
	pr_info("namespace %u: TCP, state %d, flags %lx, %d bytes to send, %lu bytes/s\n",
		sock_net(sk)->ns.inum, sk->sk_state, sk->sk_flags,
		READ_ONCE(sk->sk_wmem_queued), READ_ONCE(sk->sk_max_pacing_rate));
}

static void show_tcp(void)
{
	unsigned int i;

	rcu_read_lock();
	for (i = 0; i <= tcp_hashinfo.ehash_mask; i++) {
		const struct hlist_nulls_node *node;
		struct sock *sk;

		sk_nulls_for_each_rcu(sk, node,
				      &tcp_hashinfo.ehash[i]
					       .chain) if (sk_fullsock(sk) &&
							   !net_eq(sock_net(sk),
								   &init_net)) show(sk);
	}
	rcu_read_unlock();
}

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
	show_tcp();
	return -ECANCELED;
}

module_init(holders_init);
MODULE_DESCRIPTION("Who holds network namespaces");
MODULE_LICENSE("GPL");
