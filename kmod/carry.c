// SPDX-License-Identifier: GPL-2.0-only
/*
 * Options of SOL_SOCKET, from one socket to another.
 *
 * The core sets them on socket->sk without asking the protocol, so a fresh socket does
 * not see them set; what they made of the sk is told to the next one here, by the
 * options' own code where that does more than to store a value.
 *
 * Not carried: SO_ATTACH_REUSEPORT_*BPF, whose program belongs to a group of sockets that
 * share a port; that is reported as a result. What only AF_UNIX has is in socket->flags
 * until Linux 6.15, and a fresh socket refuses it from then on.
 */
#include <linux/filter.h>
#include <linux/netdevice.h>
#include <net/busy_poll.h>

#include "socket.h"

static const int options[] = {
	SO_DEBUG,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SO_DONTROUTE,
	SO_BROADCAST,
	SO_KEEPALIVE,
	SO_OOBINLINE,
	SO_NO_CHECK,
	SO_PRIORITY,
	SO_MARK,
	SO_RCVLOWAT,
	SO_RXQ_OVFL,
	SO_PEEK_OFF,
	SO_NOFCS,
	SO_WIFI_STATUS,
	SO_SELECT_ERR_QUEUE,
	SO_BUSY_POLL,
	SO_INCOMING_CPU,
	SO_ZEROCOPY,
	SO_TIMESTAMP_OLD,
	SO_TIMESTAMPNS_OLD,
	SO_TIMESTAMP_NEW,
	SO_TIMESTAMPNS_NEW,
	SO_TIMESTAMPING_OLD,
	SO_TIMESTAMPING_NEW,
	SO_RCVMARK,
	SO_TXREHASH,
	SO_LOCK_FILTER,
};

static int timestamp(const struct sock *sk, bool is_ns, bool is_new)
{
	return sock_flag(sk, SOCK_RCVTSTAMP) &&
	       sock_flag(sk, SOCK_RCVTSTAMPNS) == is_ns &&
	       sock_flag(sk, SOCK_TSTAMP_NEW) == is_new;
}

static int timestamping(const struct sock *sk, bool is_new)
{
	return sock_flag(sk, SOCK_TSTAMP_NEW) == is_new ? READ_ONCE(sk->sk_tsflags) : 0;
}

static int value_of(const struct sock *sk, int optname)
{
	switch (optname) {
	case SO_DEBUG:
		return sock_flag(sk, SOCK_DBG);
	case SO_REUSEADDR:
		return sk->sk_reuse != SK_NO_REUSE;
	case SO_REUSEPORT:
		return sk->sk_reuseport;
	case SO_DONTROUTE:
		return sock_flag(sk, SOCK_LOCALROUTE);
	case SO_BROADCAST:
		return sock_flag(sk, SOCK_BROADCAST);
	case SO_KEEPALIVE:
		return sock_flag(sk, SOCK_KEEPOPEN);
	case SO_OOBINLINE:
		return sock_flag(sk, SOCK_URGINLINE);
	case SO_NO_CHECK:
		return sk->sk_no_check_tx;
	case SO_PRIORITY:
		return READ_ONCE(sk->sk_priority);
	case SO_MARK:
		return READ_ONCE(sk->sk_mark);
	case SO_RCVLOWAT:
		return READ_ONCE(sk->sk_rcvlowat);
	case SO_RXQ_OVFL:
		return sock_flag(sk, SOCK_RXQ_OVFL);
	case SO_PEEK_OFF:
		return READ_ONCE(sk->sk_peek_off);
	case SO_NOFCS:
		return sock_flag(sk, SOCK_NOFCS);
	case SO_WIFI_STATUS:
		return sock_flag(sk, SOCK_WIFI_STATUS);
	case SO_SELECT_ERR_QUEUE:
		return sock_flag(sk, SOCK_SELECT_ERR_QUEUE);
#ifdef CONFIG_NET_RX_BUSY_POLL
	case SO_BUSY_POLL:
		return READ_ONCE(sk->sk_ll_usec);
#endif
	case SO_INCOMING_CPU:
		return READ_ONCE(sk->sk_incoming_cpu);
	case SO_ZEROCOPY:
		return sock_flag(sk, SOCK_ZEROCOPY);
	case SO_TIMESTAMP_OLD:
		return timestamp(sk, false, false);
	case SO_TIMESTAMPNS_OLD:
		return timestamp(sk, true, false);
	case SO_TIMESTAMP_NEW:
		return timestamp(sk, false, true);
	case SO_TIMESTAMPNS_NEW:
		return timestamp(sk, true, true);
	case SO_TIMESTAMPING_OLD:
		return timestamping(sk, false);
	case SO_TIMESTAMPING_NEW:
		return timestamping(sk, true);
	case SO_RCVMARK:
		return sock_flag(sk, SOCK_RCVMARK);
	case SO_TXREHASH:
		/* What the namespace says, until a protocol or a program does. */
		if (READ_ONCE(sk->sk_txrehash) == SOCK_TXREHASH_DEFAULT)
			return READ_ONCE(sock_net(sk)->core.sysctl_txrehash);
		return READ_ONCE(sk->sk_txrehash);
	case SO_LOCK_FILTER:
		return sock_flag(sk, SOCK_FILTER_LOCKED);
	}
	return 0;
}

static int set(struct socket *to, int optname, const void *value, unsigned int size)
{
	return graft_option_set_native(to, to->ops, SOL_SOCKET, optname,
				       KERNEL_SOCKPTR((void *)value), size);
}

static void carry_linger(struct graft_sock *gs, const struct sock *from,
			 struct socket *to)
{
	struct linger linger = {
		.l_onoff = sock_flag(from, SOCK_LINGER),
		.l_linger = READ_ONCE(from->sk_lingertime) / HZ,
	};

	if (linger.l_onoff)
		graft_result_note(gs, SOL_SOCKET, SO_LINGER,
				  set(to, SO_LINGER, &linger, sizeof(linger)));
}

/* An index is one namespace's; a name may have a meaning in another. */
static void carry_device(struct graft_sock *gs, const struct sock *from,
			 struct socket *to)
{
	int index = READ_ONCE(from->sk_bound_dev_if);
	struct net_device *dev;
	char name[IFNAMSIZ];
	int err = -ENODEV;

	if (!index)
		return;
	dev = dev_get_by_index(sock_net(from), index);
	if (dev) {
		strscpy(name, dev->name, sizeof(name));
		dev_put(dev);
		err = set(to, SO_BINDTODEVICE, name, strlen(name));
	}
	graft_result_note(gs, SOL_SOCKET, SO_BINDTODEVICE, err);
}

/* Sizes as they are, for SO_SNDBUFFORCE may have made them. */
static void carry_buffers(const struct sock *from, struct socket *to)
{
	struct sock *sk = to->sk;
	int value;

	if (from->sk_userlocks & SOCK_SNDBUF_LOCK) {
		value = READ_ONCE(from->sk_sndbuf) / 2;
		set(to, SO_SNDBUF, &value, sizeof(value));
		WRITE_ONCE(sk->sk_sndbuf, READ_ONCE(from->sk_sndbuf));
	}
	if (from->sk_userlocks & SOCK_RCVBUF_LOCK) {
		value = READ_ONCE(from->sk_rcvbuf) / 2;
		set(to, SO_RCVBUF, &value, sizeof(value));
		WRITE_ONCE(sk->sk_rcvbuf, READ_ONCE(from->sk_rcvbuf));
	}
	sk->sk_userlocks |= from->sk_userlocks & (SOCK_SNDBUF_LOCK | SOCK_RCVBUF_LOCK);
	WRITE_ONCE(sk->sk_rcvtimeo, READ_ONCE(from->sk_rcvtimeo));
	WRITE_ONCE(sk->sk_sndtimeo, READ_ONCE(from->sk_sndtimeo));
	if (READ_ONCE(from->sk_max_pacing_rate) != ~0UL) {
		unsigned long rate = READ_ONCE(from->sk_max_pacing_rate);

		set(to, SO_MAX_PACING_RATE, &rate, sizeof(rate));
	}
}

/* Both have it from here on, as a socket and those it accepts. */
static void carry_filter(struct sock *from, struct socket *to)
{
	struct sk_filter *filter;

	lock_sock(from);
	filter = rcu_dereference_protected(from->sk_filter, lockdep_sock_is_held(from));
	if (filter) {
		refcount_inc(&filter->refcnt);
		atomic_add(bpf_prog_size(filter->prog->len), &to->sk->sk_omem_alloc);
		rcu_assign_pointer(to->sk->sk_filter, filter);
	}
	release_sock(from);
}

/*
 * Whether nothing was set on the sk a graft socket was born with, as is usual: a look at
 * what all options above leave behind, which is quicker than to compare each.
 */
static bool is_untouched(const struct graft_sock *gs, const struct sock *from,
			 const struct sock *to)
{
	const unsigned long born = BIT(SOCK_ZAPPED) | BIT(SOCK_FASYNC);

	return from == &gs->sk && !(from->sk_flags & ~born) && !from->sk_userlocks &&
	       !from->sk_reuse && !from->sk_reuseport && !from->sk_no_check_tx &&
	       !READ_ONCE(from->sk_priority) && !READ_ONCE(from->sk_mark) &&
	       !READ_ONCE(from->sk_tsflags) && !READ_ONCE(from->sk_bound_dev_if) &&
	       READ_ONCE(from->sk_rcvlowat) == 1 &&
	       READ_ONCE(from->sk_rcvtimeo) == MAX_SCHEDULE_TIMEOUT &&
	       READ_ONCE(from->sk_sndtimeo) == MAX_SCHEDULE_TIMEOUT &&
	       READ_ONCE(from->sk_max_pacing_rate) == ~0UL &&
	       READ_ONCE(from->sk_peek_off) == -1 &&
	       READ_ONCE(from->sk_incoming_cpu) == -1 &&
	       READ_ONCE(from->sk_txrehash) == SOCK_TXREHASH_DEFAULT &&
#ifdef CONFIG_NET_RX_BUSY_POLL
	       READ_ONCE(from->sk_ll_usec) == READ_ONCE(to->sk_ll_usec) &&
#endif
	       !rcu_access_pointer(from->sk_filter) &&
	       !rcu_access_pointer(from->sk_reuseport_cb);
}

void graft_carry(struct graft_sock *gs, struct sock *from, struct socket *to)
{
	int value, err;

	lockdep_assert_held(&gs->lock);
	if (is_untouched(gs, from, to->sk))
		return;
	carry_filter(from, to);
	carry_buffers(from, to);
	carry_linger(gs, from, to);
	carry_device(gs, from, to);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		value = value_of(from, options[i]);
		if (value == value_of(to->sk, options[i]))
			continue;
		if (options[i] == SO_TXREHASH && !sk_is_inet(to->sk))
			continue;
		err = set(to, options[i], &value, sizeof(value));
		graft_result_note(gs, SOL_SOCKET, options[i], err);
	}
	if (rcu_access_pointer(from->sk_reuseport_cb))
		graft_result_note(gs, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, -EOPNOTSUPP);
}
