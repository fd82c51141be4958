// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a grafted socket does otherwise than a native one: it understands names, says its
 * own, has options of IPPROTO_GRAFT, and ends with what it began with.
 *
 * All these may be called on a struct socket that inherited its operations from a grafted
 * one that listens: by accept() when that fails early, and for good by kernel_accept().
 * Such a one has no graft_sock, and is native but for the operations.
 */
#include <linux/ipv6.h>
#include <linux/module.h>
#include <linux/socket.h>
#include <linux/tcp.h>

#include "endpoint.h"
#include "socket.h"

int graft_release(struct socket *sock)
{
	struct graft_sock *gs = graft_of(sock);
	int err;

	err = graft_native(sock)->release(sock);
	if (gs) {
		SOCK_INODE(sock)->i_private = NULL;
		graft_free(gs);
	}
	return err;
}

/* --- names -------------------------------------------------------------------------- */

int graft_bind(struct socket *sock, struct sockaddr_unsized *address, int len)
{
	const struct graft_sock *gs = graft_of(sock);

	if (graft_is_name(address, len))
		return -EINVAL;
	if (gs && !gs->family && !gs->is_placed)
		return gs->name[0] ? -EINVAL : -EAFNOSUPPORT;
	return graft_native(sock)->bind(sock, address, len);
}

int graft_connect(struct socket *sock, struct sockaddr_unsized *address, int len,
		  int flags)
{
	const struct proto_ops *native = graft_native(sock);
	struct graft_route route;
	int err;

	if (!graft_is_name(address, len))
		return native->connect(sock, address, len, flags);
	err = graft_route_begin(&route, sock, address, len);
	return err ?: graft_connect_route(sock, &route, flags);
}

int graft_connect_route(struct socket *sock, struct graft_route *route, int flags)
{
	int err;

	err = graft_native(sock)->connect(sock,
					  (struct sockaddr_unsized *)&route->address,
					  route->len, flags);
	graft_route_end(route);
	return err;
}

int graft_sendmsg_route(struct socket *sock, struct graft_route *route,
			struct msghdr *msg, size_t size)
{
	void *name = msg->msg_name;
	int len = msg->msg_namelen, err;

	msg->msg_name = &route->address;
	msg->msg_namelen = route->len;
	err = graft_native(sock)->sendmsg(sock, msg, size);
	msg->msg_name = name;
	msg->msg_namelen = len;
	graft_route_end(route);
	return err;
}

static noinline int send_to_name(struct socket *sock, struct msghdr *msg, size_t size)
{
	struct graft_route route;
	int err;

	err = graft_route_begin(&route, sock, msg->msg_name, msg->msg_namelen);
	return err ?: graft_sendmsg_route(sock, &route, msg, size);
}

int graft_sendmsg(struct socket *sock, struct msghdr *msg, size_t size)
{
	if (unlikely(msg->msg_name) && graft_is_name(msg->msg_name, msg->msg_namelen))
		return send_to_name(sock, msg, size);
	return graft_native(sock)->sendmsg(sock, msg, size);
}

int graft_getname(struct socket *sock, struct sockaddr *address, int peer)
{
	const struct graft_sock *gs = graft_of(sock);
	bool is_ordinary = !gs || gs->is_transparent || (gs->family && !gs->name[0]);

	if (peer || is_ordinary)
		return graft_native(sock)->getname(sock, address, peer);
	return graft_name_put(gs, address);
}

/*
 * MPTCP waits for a connection in the queue of the socket it listens with, which is that
 * of the struct socket the sk came from, and wakes who waits in the sk's own. So it does
 * not wait, and we do. Return: what accept() is to return.
 */
static int accept_waiting(const struct proto_ops *native, struct socket *sock,
			  struct socket *newsock, graft_accept_args)
{
	long left = sock_rcvtimeo(sock->sk, graft_accept_flags & O_NONBLOCK);
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	int err;

	graft_accept_flags |= O_NONBLOCK;
	add_wait_queue(&sock->wq.wait, &wait);
	for (;;) {
		err = native->accept(sock, newsock, graft_accept_pass);
		if (err != -EAGAIN || !left)
			break;
		if (signal_pending(current)) {
			err = sock_intr_errno(left);
			break;
		}
		left = wait_woken(&wait, TASK_INTERRUPTIBLE, left);
	}
	remove_wait_queue(&sock->wq.wait, &wait);
	return err;
}

/* What is accepted is native altogether. */
int graft_accept(struct socket *sock, struct socket *newsock, graft_accept_args)
{
	const struct proto_ops *native = graft_native(sock);

	if (newsock->ops && newsock->ops->owner == THIS_MODULE) {
		__module_get(native->owner);
		newsock->ops = native;
		module_put(THIS_MODULE);
	}
	if (sock->sk->sk_protocol == IPPROTO_MPTCP)
		return accept_waiting(native, sock, newsock, graft_accept_pass);
	return native->accept(sock, newsock, graft_accept_pass);
}

/* --- options ------------------------------------------------------------------------ */

/* An upper layer protocol or another family replaces socket->ops, and may take those it
 * finds there for the protocol's: TLS makes tables for all sockets out of them. */
static bool may_replace_ops(int level, int optname)
{
	return (level == SOL_TCP && optname == TCP_ULP) || level == SOL_TLS ||
	       (level == SOL_IPV6 && optname == IPV6_ADDRFORM);
}

static int set_and_follow(struct graft_sock *gs, int level, int optname, sockptr_t optval,
			  unsigned int optlen)
{
	struct socket *sock = gs->sock;
	const struct proto_ops *table, *native, *now;
	int err;

	mutex_lock(&gs->lock);
	table = READ_ONCE(sock->ops);
	native = graft_native(sock);
	WRITE_ONCE(sock->ops, native);
	err = graft_option_set_native(sock, native, level, optname, optval, optlen);
	now = READ_ONCE(sock->ops);
	if (now != native) {
		/* The reference to the protocol's module that @home holds is for those
		 * that it has. */
		gs->home->ops = now;
		table = graft_table_get(now, now->family, false);
	}
	WRITE_ONCE(sock->ops, table);
	mutex_unlock(&gs->lock);
	return err;
}

int graft_setsockopt(struct socket *sock, int level, int optname, sockptr_t optval,
		     unsigned int optlen)
{
	struct graft_sock *gs = graft_of(sock);

	if (gs && level == IPPROTO_GRAFT)
		return graft_option_set(gs, optname, optval, optlen);
	if (unlikely(may_replace_ops(level, optname)))
		return gs ? set_and_follow(gs, level, optname, optval, optlen)
			  : -EOPNOTSUPP;
	return graft_option_set_native(sock, graft_native(sock), level, optname, optval,
				       optlen);
}

int graft_getsockopt(struct socket *sock, int level, int optname, char __user *optval,
		     int __user *optlen)
{
	struct graft_sock *gs = graft_of(sock);

	if (gs && level == IPPROTO_GRAFT)
		return graft_option_get(gs, optname, optval, optlen);
	return graft_getsockopt_of(graft_native(sock), sock, level, optname, optval,
				   optlen);
}
