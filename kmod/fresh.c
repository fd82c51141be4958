// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a fresh socket does: it answers as an unbound native one would, and asks its own
 * one where that takes one; or it becomes grafted, and the call goes on there.
 *
 * A call that began when the socket was fresh may run on after another thread has
 * grafted it. So nothing here believes socket->sk to be of any kind, and what takes the
 * lock looks again whether the socket is fresh.
 */
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>

#include "socket.h"

/* Return: 0 with the lock held and the socket fresh, 1 if it is grafted, -ERESTARTSYS. */
static int begin(struct graft_sock *gs)
{
	if (mutex_lock_killable(&gs->lock))
		return -ERESTARTSYS;
	if (graft_is_fresh(gs->sock))
		return 0;
	mutex_unlock(&gs->lock);
	return 1;
}

/* The same, with an own socket. */
static int begin_own(struct graft_sock *gs)
{
	int err = begin(gs);

	if (err)
		return err;
	err = graft_make_own(gs, AF_INET);
	if (err)
		mutex_unlock(&gs->lock);
	return err;
}

static void end(struct graft_sock *gs)
{
	mutex_unlock(&gs->lock);
}

static int fresh_release(struct socket *sock)
{
	struct graft_sock *gs = graft_of(sock);

	if (!gs)
		return 0;
	SOCK_INODE(sock)->i_private = NULL;
	sock->sk = NULL;
	graft_free(gs);
	return 0;
}

/* --- what grafts it ----------------------------------------------------------------- */

static int bind_name(struct graft_sock *gs, struct sockaddr_unsized *address, int len)
{
	char name[AF_GRAFT_EPNAME_MAX];
	int err;

	err = graft_name_take(name, address, len);
	if (!err)
		err = begin(gs);
	if (err)
		return err == 1 ? -EINVAL : err;
	err = graft_settle_bind(gs, name);
	end(gs);
	return err;
}

/* An ordinary bind of a socket that has a family: binds the own one first, so that it is
 * fresh still if that fails. Return: as begin(). */
static int bind_address(struct graft_sock *gs, struct sockaddr_unsized *address, int len)
{
	int err = begin_own(gs);

	if (err)
		return err;
	graft_options_replay(gs, gs->own, GRAFT_REPLAY_DELAYED);
	err = gs->own->ops->bind(gs->own, address, len);
	if (!err)
		err = graft_settle_own(gs, gs->family);
	end(gs);
	return err;
}

static int fresh_bind(struct socket *sock, struct sockaddr_unsized *address, int len)
{
	struct graft_sock *gs = graft_of(sock);
	int err;

	if (len < (int)sizeof(sa_family_t))
		return -EINVAL;
	if (address->sa_family == graft_family)
		return bind_name(gs, address, len);
	if (!READ_ONCE(gs->family))
		return len < (int)sizeof(struct sockaddr_gr) ? -EINVAL : -EAFNOSUPPORT;
	err = bind_address(gs, address, len);
	return err == 1 ? READ_ONCE(sock->ops)->bind(sock, address, len) : err;
}

/* Grafts it for a peer at @address, or anywhere. Return: 0, grafted, and if a name took
 * it there route->endpoint is set; -errno. */
static int settle(struct graft_sock *gs, const struct sockaddr_unsized *address, int len,
		  struct graft_route *route)
{
	int err = begin(gs);

	route->endpoint = NULL;
	if (err)
		return err < 0 ? err : 0;
	err = graft_settle_connect(gs, address, len, route);
	end(gs);
	return err;
}

/* Takes away what an unbound socket does not have, and so leaves it as it is. */
static int disconnect(struct graft_sock *gs, struct sockaddr_unsized *address, int len,
		      int flags)
{
	int err = begin_own(gs);

	if (err)
		return err;
	err = gs->own->ops->connect(gs->own, address, len, flags);
	end(gs);
	return err;
}

static int fresh_connect(struct socket *sock, struct sockaddr_unsized *address, int len,
			 int flags)
{
	struct graft_sock *gs = graft_of(sock);
	struct graft_route route;
	int err = 0;

	if (len < (int)sizeof(sa_family_t))
		return -EINVAL;
	if (address->sa_family == AF_UNSPEC) {
		err = disconnect(gs, address, len, flags);
		if (err != 1)
			return err;
	}
	err = settle(gs, address, len, &route);
	if (!err && route.endpoint)
		return graft_connect_route(sock, &route, flags);
	return err ?: READ_ONCE(sock->ops)->connect(sock, address, len, flags);
}

static int fresh_sendmsg(struct socket *sock, struct msghdr *msg, size_t size)
{
	struct graft_route route;
	int err = settle(graft_of(sock), msg->msg_name, msg->msg_namelen, &route);

	if (!err && route.endpoint)
		return graft_sendmsg_route(sock, &route, msg, size);
	return err ?: READ_ONCE(sock->ops)->sendmsg(sock, msg, size);
}

static int fresh_listen(struct socket *sock, int backlog)
{
	struct graft_sock *gs = graft_of(sock);
	int err = begin(gs);

	if (!err) {
		err = graft_settle_own(gs, AF_INET);
		end(gs);
	} else if (err == 1) {
		err = 0;
	}
	return err ?: READ_ONCE(sock->ops)->listen(sock, backlog);
}

/* --- what it answers by itself ------------------------------------------------------ */

static int fresh_accept(struct socket *sock, struct socket *newsock, graft_accept_args)
{
	return sock->type == SOCK_DGRAM ? -EOPNOTSUPP : -EINVAL;
}

/* Registers with the wait queue it keeps; who polls now is woken when it is grafted. */
static __poll_t fresh_poll(struct file *file, struct socket *sock,
			   struct poll_table_struct *wait)
{
	sock_poll_wait(file, sock, wait);
	if (!graft_is_fresh(sock))
		return READ_ONCE(sock->ops)->poll(file, sock, wait);
	if (sock->type == SOCK_DGRAM)
		return EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
	return EPOLLOUT | EPOLLWRNORM | EPOLLHUP;
}

/* Datagrams may come once another thread binds it. */
static int fresh_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags)
{
	long timeout;

	if (sock->type != SOCK_DGRAM && graft_is_fresh(sock))
		return -ENOTCONN;
	timeout = sock_rcvtimeo(READ_ONCE(sock->sk), flags & MSG_DONTWAIT);
	if (timeout &&
	    wait_event_interruptible_timeout(sock->wq.wait, !graft_is_fresh(sock),
					     timeout) < 0)
		return sock_intr_errno(timeout);
	if (graft_is_fresh(sock))
		return -EAGAIN;
	return READ_ONCE(sock->ops)->recvmsg(sock, msg, size, flags);
}

/* --- what takes an own socket to answer --------------------------------------------- */

static int fresh_getname(struct socket *sock, struct sockaddr *address, int peer)
{
	struct graft_sock *gs = graft_of(sock);
	bool is_native = gs->is_transparent || gs->family;
	int err = is_native && !peer ? begin_own(gs) : begin(gs);

	if (err == 1)
		return READ_ONCE(sock->ops)->getname(sock, address, peer);
	if (err)
		return err;
	if (peer)
		err = -ENOTCONN;
	else if (is_native)
		err = gs->own->ops->getname(gs->own, address, peer);
	else
		err = graft_name_put(gs, address);
	end(gs);
	return err;
}

static int fresh_shutdown(struct socket *sock, int how)
{
	struct graft_sock *gs = graft_of(sock);
	int err = begin_own(gs);

	if (err == 1)
		return READ_ONCE(sock->ops)->shutdown(sock, how);
	if (!err) {
		err = gs->own->ops->shutdown(gs->own, how);
		end(gs);
	}
	return err;
}

static int fresh_ioctl(struct socket *sock, unsigned int command, unsigned long argument)
{
	struct graft_sock *gs = graft_of(sock);
	int err = begin_own(gs);

	if (err == 1)
		return READ_ONCE(sock->ops)->ioctl(sock, command, argument);
	if (!err) {
		err = gs->own->ops->ioctl(gs->own, command, argument);
		end(gs);
	}
	return err;
}

#ifdef CONFIG_COMPAT
static int compat_ioctl(struct socket *sock, const struct proto_ops *ops,
			unsigned int command, unsigned long argument)
{
	return ops->compat_ioctl ? ops->compat_ioctl(sock, command, argument)
				 : -ENOIOCTLCMD;
}

static int fresh_compat_ioctl(struct socket *sock, unsigned int command,
			      unsigned long argument)
{
	struct graft_sock *gs = graft_of(sock);
	int err = begin_own(gs);

	if (err == 1)
		return compat_ioctl(sock, READ_ONCE(sock->ops), command, argument);
	if (!err) {
		err = compat_ioctl(gs->own, gs->own->ops, command, argument);
		end(gs);
	}
	return err;
}
#endif

/* --- options ------------------------------------------------------------------------ */

static int fresh_setsockopt(struct socket *sock, int level, int optname, sockptr_t optval,
			    unsigned int optlen)
{
	struct graft_sock *gs = graft_of(sock);
	int err;

	if (level == IPPROTO_GRAFT)
		return graft_option_set(gs, optname, optval, optlen);
	err = begin(gs);
	if (err == 1)
		return graft_option_set_native(sock, READ_ONCE(sock->ops), level, optname,
					       optval, optlen);
	if (!err) {
		err = graft_option_set_fresh(gs, level, optname, optval, optlen);
		end(gs);
	}
	return err;
}

static int fresh_getsockopt(struct socket *sock, int level, int optname,
			    char __user *optval, int __user *optlen)
{
	struct graft_sock *gs = graft_of(sock);
	int err;

	if (level == IPPROTO_GRAFT)
		return graft_option_get(gs, optname, optval, optlen);
	err = begin_own(gs);
	if (err == 1)
		return READ_ONCE(sock->ops)->getsockopt(sock, level, optname, optval,
							optlen);
	if (!err) {
		err = graft_getsockopt_of(gs->own->ops, gs->own, level, optname, optval,
					  optlen);
		end(gs);
	}
	return err;
}

const struct proto_ops graft_fresh_ops = {
	.family = PF_GRAFT,
	.owner = THIS_MODULE,
	.release = fresh_release,
	.bind = fresh_bind,
	.connect = fresh_connect,
	.socketpair = sock_no_socketpair,
	.accept = fresh_accept,
	.getname = fresh_getname,
	.poll = fresh_poll,
	.ioctl = fresh_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = fresh_compat_ioctl,
#endif
	.gettstamp = sock_gettstamp,
	.listen = fresh_listen,
	.shutdown = fresh_shutdown,
	.setsockopt = fresh_setsockopt,
	.getsockopt = fresh_getsockopt,
	.sendmsg = fresh_sendmsg,
	.recvmsg = fresh_recvmsg,
	.mmap = sock_no_mmap,
};
