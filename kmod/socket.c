// SPDX-License-Identifier: GPL-2.0-only
/*
 * socket(AF_GRAFT, ...): making and releasing.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/in.h>
#include <linux/module.h>
#include <net/tcp.h>

#include "endpoint.h"
#include "socket.h"

static struct proto graft_proto = {
	.name = "GRAFT",
	.owner = THIS_MODULE,
	.obj_size = sizeof(struct graft_sock),
};

static void init(struct graft_sock *gs, struct socket *sock, int protocol)
{
	struct sock *sk = &gs->sk;

	sock_init_data(sock, sk);
	sk->sk_protocol = protocol;
	sk->sk_txrehash = SOCK_TXREHASH_DEFAULT;
	/* What getsockopt() tells until there is a native socket: that one's defaults. */
	if (!protocol && sock->type == SOCK_STREAM) {
		sk->sk_protocol = IPPROTO_TCP;
		sk->sk_sndbuf = READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_wmem[1]);
		sk->sk_rcvbuf = READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_rmem[1]);
	} else if (!protocol && sock->type == SOCK_DGRAM) {
		sk->sk_protocol = IPPROTO_UDP;
	}
	gs->sock = sock;
	gs->asked_protocol = protocol;
	mutex_init(&gs->lock);
	INIT_LIST_HEAD(&gs->options);
	INIT_LIST_HEAD(&gs->results);
	INIT_LIST_HEAD(&gs->binder);
}

/* A protocol that was asked for has to exist: for IPv4, or else for IPv6 as ICMPv6. */
static int check_protocol(struct graft_sock *gs, int protocol)
{
	int err = 0;

	if (!protocol)
		return 0;
	mutex_lock(&gs->lock);
	err = graft_make_own(gs, AF_INET);
	if (err == -EPROTONOSUPPORT)
		err = graft_make_own(gs, AF_INET6);
	mutex_unlock(&gs->lock);
	return err;
}

void graft_free(struct graft_sock *gs)
{
	if (gs->endpoint)
		graft_endpoint_released(gs->endpoint, gs);
	if (gs->inner)
		sock_release(gs->inner);
	if (gs->own)
		sock_release(gs->own);
	if (gs->former)
		sock_release(gs->former);
	graft_options_free(gs);
	sk_set_socket(&gs->sk, NULL);
	sock_put(&gs->sk);
}

static int graft_create(struct net *net, struct socket *sock, int protocol, int kern)
{
	struct graft_sock *gs;
	int err;

	if (sock->type != SOCK_STREAM && sock->type != SOCK_DGRAM &&
	    sock->type != SOCK_SEQPACKET)
		return -ESOCKTNOSUPPORT;
	gs = (struct graft_sock *)sk_alloc(net, graft_family, GFP_KERNEL, &graft_proto,
					   kern);
	if (!gs)
		return -ENOBUFS;
	init(gs, sock, protocol);
	sock->state = SS_UNCONNECTED;
	sock->ops = &graft_fresh_ops;
	graft_ask_sol_socket(sock);
	SOCK_INODE(sock)->i_private = gs;
	err = check_protocol(gs, protocol);
	if (err) {
		SOCK_INODE(sock)->i_private = NULL;
		sock->sk = NULL;
		graft_free(gs);
	}
	return err;
}

static struct net_proto_family graft_family_ops = {
	.create = graft_create,
	.owner = THIS_MODULE,
};

int graft_socket_init(void)
{
	int err;

	err = proto_register(&graft_proto, 1);
	if (err)
		return err;
	graft_family_ops.family = graft_family;
	/* It looks whether the number is too large only. */
	err = graft_family > AF_UNSPEC ? sock_register(&graft_family_ops) : -EINVAL;
	if (err == -EEXIST)
		pr_err("address family %d is taken by another module (AF_IPX's?): unload it, or load this one with family=N, N being free\n",
		       graft_family);
	else if (err)
		pr_err("address family %d: no such number, they are above 0 and below %d\n",
		       graft_family, AF_MAX);
	if (err)
		proto_unregister(&graft_proto);
	return err;
}

void graft_socket_exit(void)
{
	sock_unregister(graft_family);
	graft_table_exit();
	proto_unregister(&graft_proto);
}
