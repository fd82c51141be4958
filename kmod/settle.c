// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a fresh socket becomes a grafted one: see socket.h.
 */
#include <linux/bitops.h>
#include <linux/cred.h>
#include <linux/fdtable.h>
#include <linux/fs.h>
#include <linux/rcupdate.h>

#include "endpoint.h"
#include "netlink.h"
#include "socket.h"

/* --- moving in ---------------------------------------------------------------------- */

/*
 * Whether nobody else can have the file, so that it is not in a message either. AF_UNIX
 * counts sockets of its own that are in messages, and decides by ops->family what is one:
 * that must not change while this one is in a message. If it may be, it never counts as
 * one, and sockets that hold each other in messages through it are not collected.
 */
static bool is_exclusive(const struct socket *sock)
{
	return sock->file && file_count(sock->file) == 1 && current->files &&
	       atomic_read(&current->files->count) == 1;
}

static const struct proto_ops *table_for(struct graft_sock *gs, struct socket *from)
{
	int family = from->ops->family;

	if (family == PF_UNIX && !is_exclusive(gs->sock))
		family = graft_family;
	return graft_table_get(from->ops, family, true);
}

/*
 * Makes @ops those of @sock, whose sk is in place. Callers all over the kernel read ops
 * and then sk, without a barrier. Where loads may be reordered, every CPU is brought to
 * execute one between our two stores, unless nobody else has the file.
 */
static void publish(struct socket *sock, const struct proto_ops *ops)
{
	if (!IS_ENABLED(CONFIG_X86) && !is_exclusive(sock))
		synchronize_rcu_expedited();
	/* With graft_is_fresh(), whose callers then use what is behind ops. */
	smp_store_release(&sock->ops, ops);
	/* Who waits in recv(), or has polled a fresh socket. */
	if (wq_has_sleeper(&sock->wq.wait))
		wake_up_interruptible_all(&sock->wq.wait);
}

static void move_flags(struct socket *sock, const struct socket *from)
{
	unsigned long flags = READ_ONCE(from->flags);
	unsigned int bit;

	graft_ask_sol_socket_no_more(sock);
	for_each_set_bit(bit, &flags, BITS_PER_LONG)
		set_bit(bit, &sock->flags);
}

/* Gives @gs the sk of @from, an own or inner one, and its operations. */
static void move_in(struct graft_sock *gs, struct socket *from)
{
	struct socket *sock = gs->sock;
	struct sock *sk = from->sk, *old = sock->sk;

	write_lock_bh(&sk->sk_callback_lock);
	rcu_assign_pointer(sk->sk_wq, &sock->wq);
	sk_set_socket(sk, sock);
	WRITE_ONCE(sk->sk_uid, SOCK_INODE(sock)->i_uid);
	write_unlock_bh(&sk->sk_callback_lock);
	move_flags(sock, from);
	/* What MPTCP's own sockets were made with is still theirs: TCP looks here to know
	 * whether the sk waits for room. As if it always did. */
	if (sk->sk_protocol == IPPROTO_MPTCP)
		set_bit(SOCK_NOSPACE, &from->flags);
	sock->state = from->state;
	WRITE_ONCE(sock->sk, sk);
	WRITE_ONCE(from->sk, NULL);
	gs->home = from;
	/* sock_fasync() holds the lock of the sk it found. */
	if (!is_exclusive(sock) || sock->wq.fasync_list) {
		lock_sock(old);
		if (sock->wq.fasync_list)
			sock_set_flag(sk, SOCK_FASYNC);
		release_sock(old);
	}
	publish(sock, table_for(gs, from));
}

/* --- the caller's own namespace ----------------------------------------------------- */

/* Of the protocol that was asked for, in @family. */
static int create(struct graft_sock *gs, struct net *net, int family, struct socket **ret)
{
	int protocol = gs->asked_protocol;

	if (family == AF_UNIX) {
		/* A stream or datagrams are what these two ask for. */
		if (protocol && protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
			return -EPROTOTYPE;
		protocol = 0;
	}
	return __sock_create(net, family, gs->sock->type, protocol, ret, 0);
}

int graft_make_own(struct graft_sock *gs, int family)
{
	struct socket *own;
	int err;

	lockdep_assert_held(&gs->lock);
	if (gs->family)
		family = gs->family;
	if (gs->own)
		return 0;
	err = create(gs, sock_net(&gs->sk), family, &own);
	/* Without SCTP only AF_UNIX has sequenced packets. */
	if (err && gs->sock->type == SOCK_SEQPACKET && !gs->asked_protocol && !gs->family)
		err = create(gs, sock_net(&gs->sk), AF_UNIX, &own);
	if (err)
		return err;
	graft_carry(gs, gs->sock->sk, own);
	graft_options_replay(gs, own, GRAFT_REPLAY_DONE);
	gs->own = own;
	WRITE_ONCE(gs->sock->sk, own->sk);
	return 0;
}

int graft_settle_own(struct graft_sock *gs, int family)
{
	int err;

	err = graft_make_own(gs, family);
	if (err)
		return err;
	graft_options_replay(gs, gs->own, GRAFT_REPLAY_DELAYED);
	move_in(gs, gs->own);
	return 0;
}

/* --- an endpoint -------------------------------------------------------------------- */

/* Makes the socket that will be the inner one, in the endpoint's namespace. */
static int make_inner(struct graft_sock *gs, struct graft_endpoint *endpoint,
		      struct socket **ret)
{
	int family = endpoint->spec.family ?: gs->family ?: AF_INET, err;
	struct net *net = graft_endpoint_target(endpoint);

	if (!net)
		return -ENOENT;
	err = create(gs, net, family, ret);
	put_net(net);
	switch (err) {
	case -EAFNOSUPPORT:
	case -EPROTONOSUPPORT:
	case -ESOCKTNOSUPPORT:
		return -EPROTOTYPE;
	}
	return err;
}

static int share(struct socket *inner)
{
	int on = 1;

	return graft_option_set_native(inner, inner->ops, SOL_SOCKET, SO_REUSEPORT,
				       KERNEL_SOCKPTR(&on), sizeof(on));
}

/* Binds with the rights of who added the endpoint where a rule of his allowed it. */
static int bind_inner(struct socket *inner, struct graft_endpoint *endpoint,
		      bool is_ruled)
{
	struct sockaddr_storage address = endpoint->spec.address;
	const struct cred *saved = NULL;
	struct graft_root root;
	int err;

	graft_root_enter(&root, endpoint);
	if (is_ruled)
		saved = override_creds(endpoint->cred);
	err = inner->ops->bind(inner, (struct sockaddr_unsized *)&address,
			       endpoint->spec.address_len);
	if (saved)
		revert_creds(saved);
	graft_root_leave(&root);
	return err;
}

static __be16 port_of(struct socket *inner)
{
	struct sockaddr_storage address;
	int len = inner->ops->getname(inner, (struct sockaddr *)&address, 0);

	if (len < 0 || (address.ss_family != AF_INET && address.ss_family != AF_INET6))
		return 0;
	return ((struct sockaddr_in *)&address)->sin_port;
}

/* A socket at @endpoint with all that was set; bound, if @is_bind. */
static int prepare_inner(struct graft_sock *gs, struct graft_endpoint *endpoint,
			 bool is_bind, bool is_ruled, struct socket **ret)
{
	struct socket *inner;
	int err;

	err = make_inner(gs, endpoint, &inner);
	if (err)
		return err;
	graft_carry(gs, gs->sock->sk, inner);
	graft_options_replay(gs, inner, GRAFT_REPLAY_ALL);
	if (is_bind && endpoint->spec.family) {
		if (endpoint->spec.flags & GRAFT_F_SHARE)
			err = share(inner);
		if (!err)
			err = bind_inner(inner, endpoint, is_ruled);
	}
	if (err)
		sock_release(inner);
	else
		*ret = inner;
	return err;
}

static int settle_at(struct graft_sock *gs, struct graft_endpoint *endpoint, bool is_bind,
		     bool is_ruled)
{
	struct socket *inner;
	int err;

	err = prepare_inner(gs, endpoint, is_bind, is_ruled, &inner);
	if (err)
		return err;
	gs->inner = inner;
	if (is_bind) {
		memcpy(gs->name, endpoint->spec.name, sizeof(gs->name));
		gs->is_placed = !endpoint->spec.family;
		gs->port = port_of(inner);
		graft_endpoint_bound(endpoint, gs);
	}
	move_in(gs, inner);
	return 0;
}

int graft_settle_bind(struct graft_sock *gs, const char *name)
{
	struct graft_endpoint *endpoint;
	bool is_ruled;
	int err;

	lockdep_assert_held(&gs->lock);
	endpoint = graft_endpoint_use(sock_net(&gs->sk), name, GRAFT_USE_BIND, &is_ruled);
	if (IS_ERR(endpoint))
		return PTR_ERR(endpoint);
	err = settle_at(gs, endpoint, true, is_ruled);
	graft_endpoint_put(endpoint);
	return err;
}

/* Unbound, where @name leads to: @route says where that is. */
static int settle_to(struct graft_sock *gs, const char *name, struct graft_route *route)
{
	int err = graft_route_find(route, sock_net(&gs->sk), name);

	if (err)
		return err;
	err = settle_at(gs, route->endpoint, false, false);
	if (err)
		graft_endpoint_put(route->endpoint);
	else
		graft_route_take(route);
	return err;
}

int graft_settle_connect(struct graft_sock *gs, const struct sockaddr_unsized *address,
			 int len, struct graft_route *route)
{
	const char *source = graft_default_source;
	bool is_name = address && graft_is_name(address, len);
	char name[AF_GRAFT_EPNAME_MAX];
	int err = -ENOENT, family = AF_INET;

	lockdep_assert_held(&gs->lock);
	route->endpoint = NULL;
	if (is_name) {
		err = graft_name_take(name, address, len);
		if (err)
			return err;
		err = -ENOENT;
	}
	/* One that has a family is an ordinary one when it speaks addresses. */
	if ((is_name || !gs->family) && graft_has_source(sock_net(&gs->sk)))
		err = graft_settle_bind(gs, source);
	if (err != -ENOENT)
		return err;
	if (is_name)
		return settle_to(gs, name, route);
	if (address && len >= (int)sizeof(sa_family_t) && address->sa_family == AF_INET6)
		family = AF_INET6;
	return graft_settle_own(gs, family);
}
