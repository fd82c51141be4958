/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels this module is for, Linux 6.1 to 7.3: all of it.
 */
#ifndef _GRAFT_COMPAT_H
#define _GRAFT_COMPAT_H

#include <linux/fs_struct.h>
#include <linux/net.h>
#include <linux/seqlock.h>
#include <linux/socket.h>
#include <linux/spinlock.h>
#include <linux/version.h>
#include <net/sock.h>

/* 6.10: what accept() is told became a struct. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#	define graft_accept_args  int flags, bool kern
#	define graft_accept_pass  flags, kern
#	define graft_accept_flags flags
#else
#	define graft_accept_args  struct proto_accept_arg *arg
#	define graft_accept_pass  arg
#	define graft_accept_flags arg->flags
#endif

/* 6.19: addresses that are longer than they look have a type of their own. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#	define sockaddr_unsized sockaddr
#endif

/*
 * 6.7: a protocol may say that options of SOL_SOCKET are for its setsockopt(); until then
 * that was MPTCP's alone.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
static inline void graft_ask_sol_socket(struct socket *sock)
{
}

static inline void graft_ask_sol_socket_no_more(struct socket *sock)
{
}

static inline bool graft_is_asked_sol_socket(const struct socket *sock)
{
	return sock->sk->sk_protocol == IPPROTO_MPTCP;
}
#else
static inline void graft_ask_sol_socket(struct socket *sock)
{
	set_bit(SOCK_CUSTOM_SOCKOPT, &sock->flags);
}

static inline void graft_ask_sol_socket_no_more(struct socket *sock)
{
	clear_bit(SOCK_CUSTOM_SOCKOPT, &sock->flags);
}

static inline bool graft_is_asked_sol_socket(const struct socket *sock)
{
	return test_bit(SOCK_CUSTOM_SOCKOPT, &sock->flags);
}
#endif

/* 6.18: the two locks of a root directory became one. */
static inline void graft_fs_struct_init(struct fs_struct *fs)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
	spin_lock_init(&fs->lock);
	seqcount_spinlock_init(&fs->seq, &fs->lock);
#else
	seqlock_init(&fs->seq);
#endif
}

/*
 * 7.1: a protocol's getsockopt() may take a sockopt_t and nothing else. @ops are those of
 * @sock's protocol, whatever sock->ops are.
 */
static inline int graft_getsockopt_of(const struct proto_ops *ops, struct socket *sock,
				      int level, int optname, char __user *optval,
				      int __user *optlen)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
	if (ops->getsockopt_iter) {
		sockopt_t opt;
		int err = sockopt_init_user(&opt, optval, optlen);

		if (!err)
			err = ops->getsockopt_iter(sock, level, optname, &opt);
		if (!err && put_user(opt.optlen, optlen))
			err = -EFAULT;
		return err;
	}
#endif
	if (!ops->getsockopt)
		return -EOPNOTSUPP;
	return ops->getsockopt(sock, level, optname, optval, optlen);
}

/* Makes the core ask our getsockopt(), which asks the protocol's, whichever it has. */
static inline void
graft_set_getsockopt(struct proto_ops *ops,
		     int (*getsockopt)(struct socket *sock, int level, int optname,
				       char __user *optval, int __user *optlen))
{
	ops->getsockopt = getsockopt;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
	ops->getsockopt_iter = NULL;
#endif
}

#endif
