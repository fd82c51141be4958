// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Says on the console who still holds a network namespace, of each but the first: where
 * its references were taken, and what TCP sockets there are. Loaded when one does not go,
 * and never stays.
 *
 * One kind of those sockets it ends. When close() finds no memory for the FIN, TCP sends
 * none and waits for its acknowledgment for ever, without a timer: tcp_send_fin() of
 * Linux 6.1. Whoever makes allocations fail has some of them, of whatever family.
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/ref_tracker.h>
#include <linux/rtnetlink.h>
#include <net/inet_hashtables.h>
#include <net/net_namespace.h>
#include <net/tcp.h>

#define SHOWN 20 /* stacks of a namespace */

/* Closed, and waits for an answer to nothing. */
static bool has_lost_fin(const struct sock *sk)
{
	const int waits = TCPF_FIN_WAIT1 | TCPF_CLOSING | TCPF_LAST_ACK;

	return sock_flag(sk, SOCK_DEAD) && (1 << sk->sk_state) & waits &&
	       tcp_rtx_and_write_queues_empty(sk);
}

static void end(struct sock *sk)
{
	local_bh_disable();
	bh_lock_sock(sk);
	if (!sock_owned_by_user(sk) && has_lost_fin(sk)) {
		pr_info("namespace %u: TCP, state %d, lost its FIN\n",
			sock_net(sk)->ns.inum, sk->sk_state);
		tcp_done(sk);
	}
	bh_unlock_sock(sk);
	local_bh_enable();
}

/* Of those in one chain. What changes it meanwhile is met the next time. */
static void end_in(unsigned int chain)
{
	const struct hlist_nulls_node *node;
	struct sock *sk, *found = NULL;

	do {
		found = NULL;
		rcu_read_lock();
		sk_nulls_for_each_rcu(sk, node, &tcp_hashinfo.ehash[chain].chain)
		{
			if (!sk_fullsock(sk) || !has_lost_fin(sk) ||
			    !refcount_inc_not_zero(&sk->sk_refcnt))
				continue;
			found = sk;
			break;
		}
		rcu_read_unlock();
		if (found) {
			end(found);
			sock_put(found);
		}
	} while (found);
}

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
	unsigned int chain;
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
	for (chain = 0; chain <= tcp_hashinfo.ehash_mask; chain++)
		end_in(chain);
	return -ECANCELED;
}

module_init(holders_init);
MODULE_DESCRIPTION("Who holds network namespaces");
MODULE_LICENSE("GPL");
