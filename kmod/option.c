// SPDX-License-Identifier: GPL-2.0-only
/*
 * Options of IPPROTO_GRAFT, and what setsockopt() of another level does on a fresh
 * socket.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "socket.h"

int graft_option_set_native(struct socket *sock, const struct proto_ops *ops, int level,
			    int optname, sockptr_t optval, unsigned int optlen)
{
	if (level == SOL_SOCKET && !graft_is_asked_sol_socket(sock))
		return sock_setsockopt(sock, level, optname, optval, optlen);
	if (!ops->setsockopt)
		return -EOPNOTSUPP;
	return ops->setsockopt(sock, level, optname, optval, optlen);
}

/* --- another level, while fresh ----------------------------------------------------- */

static int delay(struct graft_sock *gs, int level, int optname, sockptr_t optval,
		 unsigned int optlen)
{
	struct graft_option *option;

	if (optlen > GRAFT_OPTION_SIZE)
		return -EINVAL;
	option = graft_option_new(level, optname, optval, optlen);
	if (IS_ERR(option))
		return PTR_ERR(option);
	option->is_delayed = true;
	return graft_option_keep(gs, option);
}

/* On the own socket, which says whether it is right, and kept for another one. */
static int set_own(struct graft_sock *gs, int level, int optname, sockptr_t optval,
		   unsigned int optlen)
{
	struct graft_option *option;
	int err;

	err = graft_make_own(gs, AF_INET);
	if (err)
		return err;
	/* Of these graft_carry() sees what they did. */
	if (level == SOL_SOCKET)
		return graft_option_set_native(gs->own, gs->own->ops, level, optname,
					       optval, optlen);
	option = graft_option_new(level, optname, optval, optlen);
	if (IS_ERR(option))
		return PTR_ERR(option);
	/* What is too large to be kept is too large to be copied, too. */
	if (optlen <= GRAFT_OPTION_SIZE)
		optval = KERNEL_SOCKPTR(option->value);
	err = graft_option_set_native(gs->own, gs->own->ops, level, optname, optval,
				      optlen);
	if (err) {
		kfree(option);
		return err;
	}
	return graft_option_keep(gs, option);
}

int graft_option_set_fresh(struct graft_sock *gs, int level, int optname,
			   sockptr_t optval, unsigned int optlen)
{
	lockdep_assert_held(&gs->lock);
	if (gs->is_delayed && level != SOL_SOCKET)
		return delay(gs, level, optname, optval, optlen);
	return set_own(gs, level, optname, optval, optlen);
}

/* --- IPPROTO_GRAFT ------------------------------------------------------------------ */

static int set_any(struct graft_sock *gs, int level, int optname, sockptr_t optval,
		   unsigned int optlen)
{
	if (graft_is_fresh(gs->sock))
		return gs->is_delayed ? delay(gs, level, optname, optval, optlen)
				      : set_own(gs, level, optname, optval, optlen);
	/* Some replace socket->ops, and are not for the lock: they come as they are. */
	if (level != SOL_SOCKET)
		return -EISCONN;
	return graft_option_set_native(gs->sock, gs->home->ops, level, optname, optval,
				       optlen);
}

/* struct graft_sso_trans: the option it holds, set as if it were set by itself. */
static int set_transparent(struct graft_sock *gs, sockptr_t optval, unsigned int optlen)
{
	union {
		struct graft_sso_trans head;
		char all[GRAFT_SSO_TRANS_SIZE];
	} carrier;

	if (optlen < sizeof(carrier.head) || optlen > sizeof(carrier))
		return -EINVAL;
	if (copy_from_sockptr(&carrier, optval, optlen))
		return -EFAULT;
	if (carrier.head.optlen > optlen - sizeof(carrier.head))
		return -EINVAL;
	if (carrier.head.level == IPPROTO_GRAFT)
		return -ENOPROTOOPT;
	return set_any(gs, carrier.head.level, carrier.head.optname,
		       KERNEL_SOCKPTR(carrier.head.optval), carrier.head.optlen);
}

static int set_family(struct graft_sock *gs, int family)
{
	int err;

	if (family != AF_INET && family != AF_INET6)
		return -EINVAL;
	if (!graft_is_fresh(gs->sock) || (gs->own && gs->former))
		return gs->family == family ? 0 : -EISCONN;
	if (gs->own && READ_ONCE(gs->own->sk->sk_family) != family) {
		gs->former = gs->own;
		gs->own = NULL;
	}
	swap(gs->family, family);
	err = graft_make_own(gs, AF_INET);
	if (!err)
		return 0;
	gs->family = family;
	if (!gs->own && gs->former)
		swap(gs->own, gs->former);
	return err;
}

static int execute_delayed(struct graft_sock *gs)
{
	int err;

	if (!graft_is_fresh(gs->sock))
		return 0;
	err = graft_make_own(gs, AF_INET);
	if (!err)
		graft_options_replay(gs, gs->own, GRAFT_REPLAY_DELAYED);
	return err;
}

static int set_int(struct graft_sock *gs, int optname, sockptr_t optval,
		   unsigned int optlen)
{
	int value;

	if (optlen < sizeof(value))
		return -EINVAL;
	if (copy_from_sockptr(&value, optval, sizeof(value)))
		return -EFAULT;
	if (optname == GRAFT_SO_FAMILY)
		return set_family(gs, value);
	if (optname == GRAFT_SO_DELAYED)
		gs->is_delayed = value;
	else
		gs->is_transparent = value;
	return 0;
}

static int set(struct graft_sock *gs, int optname, sockptr_t optval, unsigned int optlen)
{
	switch (optname) {
	case GRAFT_SO_DELAYED:
	case GRAFT_NAME_TRANSPARENT:
	case GRAFT_SO_FAMILY:
		return set_int(gs, optname, optval, optlen);
	case GRAFT_SO_DELAYED_EXECUTE:
		return execute_delayed(gs);
	case GRAFT_SO_TRANSPARENT:
		return set_transparent(gs, optval, optlen);
	}
	return -ENOPROTOOPT;
}

int graft_option_set(struct graft_sock *gs, int optname, sockptr_t optval,
		     unsigned int optlen)
{
	int err;

	if (mutex_lock_killable(&gs->lock))
		return -ERESTARTSYS;
	err = set(gs, optname, optval, optlen);
	mutex_unlock(&gs->lock);
	return err;
}

static int get_int(int value, char __user *optval, int __user *optlen)
{
	int len;

	if (get_user(len, optlen))
		return -EFAULT;
	if (len < 0)
		return -EINVAL;
	len = min_t(int, len, sizeof(value));
	if (copy_to_user(optval, &value, len) || put_user(len, optlen))
		return -EFAULT;
	return 0;
}

/* As many as fit. One that cannot be written stays. */
static int get_results(struct graft_sock *gs, char __user *optval, int __user *optlen)
{
	struct graft_result *result;
	int len, given = 0;

	if (get_user(len, optlen))
		return -EFAULT;
	if (len < 0)
		return -EINVAL;
	while (len - given >= (int)sizeof(result->what)) {
		result =
			list_first_entry_or_null(&gs->results, struct graft_result, list);
		if (!result)
			break;
		if (copy_to_user(optval + given, &result->what, sizeof(result->what)))
			return -EFAULT;
		given += sizeof(result->what);
		kfree(graft_result_take(gs));
	}
	return put_user(given, optlen);
}

int graft_option_get(struct graft_sock *gs, int optname, char __user *optval,
		     int __user *optlen)
{
	int err = -ENOPROTOOPT;

	if (mutex_lock_killable(&gs->lock))
		return -ERESTARTSYS;
	if (optname == GRAFT_SO_DELAYED)
		err = get_int(gs->is_delayed, optval, optlen);
	else if (optname == GRAFT_NAME_TRANSPARENT)
		err = get_int(gs->is_transparent, optval, optlen);
	else if (optname == GRAFT_SO_FAMILY)
		err = get_int(gs->family, optval, optlen);
	else if (optname == GRAFT_SO_DELAYED_RESULT)
		err = get_results(gs, optval, optlen);
	mutex_unlock(&gs->lock);
	return err;
}
