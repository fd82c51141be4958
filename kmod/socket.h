/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A socket of the family: what it is beyond the native socket that it becomes.
 *
 * Theory of operation
 *
 * A graft socket begins as a struct socket of ours ("fresh"), and ends as one whose sk is
 * a native one ("grafted"): its file, wait queue, descriptors, registrations with epoll
 * and owner for SIGIO are those it was born with, and all the kernel does with it is what
 * it does with a native socket.
 *
 *	state		socket->sk	socket->ops		other struct sockets
 *	fresh		graft_sock.sk	graft_fresh_ops		none
 *	fresh, asked	own->sk		graft_fresh_ops		own
 *	grafted, own	what own had	table of own's ops	own, empty
 *	grafted		what inner had	table of inner's ops	inner, empty; own
 *
 * "Asked": something only a native socket can answer, such as an option of its protocol,
 * made it have one, in the namespace of the caller, where it may also end.
 *
 * An sk moves once, from the struct socket it was made in to the graft socket; fresh
 * sockets with an own one merely borrow its sk, so that the core, which reads options
 * of SOL_SOCKET there, reads true ones. The struct socket an sk came from stays, empty,
 * until the graft socket is released, for protocols may point to it (MPTCP's subflows
 * do), and so does the sk that was borrowed, for the core may be in the middle of it.
 *
 * socket->ops changes from graft_fresh_ops to a table once, after socket->sk did, and
 * later only from one table to another (grafted.c). A reader of ops that sees the table
 * must see the sk: graft_publish() has a barrier on the writer's side, as readers, which
 * are all over the kernel, have none.
 *
 * graft_sock.lock serializes what a fresh socket does, from its options to becoming
 * grafted. It is taken before any lock of a native socket and before mmap_lock. What a
 * grafted socket does takes no lock of ours but in the rare case that ops may change.
 *
 * The graft_sock is found by its struct socket's inode, whose i_private nobody else uses;
 * struct sockets that inherited a table, which are those that an accept() has begun to
 * make, have none there.
 */
#ifndef _GRAFT_SOCKET_H
#define _GRAFT_SOCKET_H

#include <linux/graft.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/sockptr.h>
#include <net/sock.h>

#include "compat.h"

struct graft_endpoint;
struct msghdr;

/* Options that are kept for the socket to come, and their size each. */
#define GRAFT_OPTIONS_MAX 256
#define GRAFT_OPTION_SIZE 4096

/* The family's number: a parameter of the module. */
extern int graft_family;

struct graft_sock {
	struct sock sk; /* first; in use while fresh only, and lives as long as all */
	struct socket *sock;

	struct mutex lock;     /* the rest, while fresh */
	struct socket *own;    /* of the caller's namespace, or NULL */
	struct socket *former; /* an own one of another family, from before, or NULL */
	struct socket *inner;  /* of the endpoint's namespace, or NULL */
	struct socket *home;   /* grafted: own or inner, from which the sk came */

	int asked_protocol;             /* of socket() */
	int family;                     /* GRAFT_SO_FAMILY, 0 if it was not set */
	bool is_delayed;                /* GRAFT_SO_DELAYED */
	bool is_transparent;            /* GRAFT_NAME_TRANSPARENT */
	bool is_placed;                 /* at an endpoint without an address */
	char name[AF_GRAFT_EPNAME_MAX]; /* bound to; empty if it is not */

	struct list_head options; /* in the order they were set */
	u32 n_options;
	struct list_head results;
	u32 n_results;

	struct graft_endpoint *endpoint; /* bound to, or NULL */
	struct list_head binder;         /* in its list */
	__be16 port;
};

/* Return: the graft socket of @sock, or NULL: it only inherited our operations. */
static inline struct graft_sock *graft_of(const struct socket *sock)
{
	return SOCK_INODE((struct socket *)sock)->i_private;
}

/* While @endpoint has an AF_UNIX path, paths of the calling task begin where those of who
 * added the endpoint did. */
struct graft_root {
	struct fs_struct fs, *saved;
};

/* Where a name leads to. */
struct graft_route {
	struct sockaddr_storage address;
	int len;
	struct graft_endpoint *endpoint; /* with a reference */
	struct graft_root root;
};

/* --- socket.c --- */

int graft_socket_init(void);
void graft_socket_exit(void);
void graft_free(struct graft_sock *gs);

/* --- fresh.c --- */

extern const struct proto_ops graft_fresh_ops;

static inline bool graft_is_fresh(const struct socket *sock)
{
	/* With publish(). */
	return smp_load_acquire(&sock->ops) == &graft_fresh_ops;
}

/* --- settle.c: all with graft_sock.lock held --- */

/* Makes the own socket, of GRAFT_SO_FAMILY, or else of @family. Return: 0 or -errno. */
int graft_make_own(struct graft_sock *gs, int family);
/* Grafts it onto the own one, of @family unless that is decided. Return: 0 or -errno. */
int graft_settle_own(struct graft_sock *gs, int family);
/* bind() by name. Return: 0 or -errno, and then it is as fresh as before. */
int graft_settle_bind(struct graft_sock *gs, const char *name);
/* Before connect() or a send, to @address, or NULL. Return: 0, grafted; or -errno. When
 * it went where @address, a name, leads to, @route is taken, and to be ended. */
int graft_settle_connect(struct graft_sock *gs, const struct sockaddr_unsized *address,
			 int len, struct graft_route *route);

/* --- table.c: the operations of grafted sockets --- */

/* Return: ops that are @ops but for what grafted.c does, for a socket whose family the
 * core is to take for @family; @is_fixed: what is at @ops is always the same. They live
 * until the module goes. */
const struct proto_ops *graft_table_get(const struct proto_ops *ops, int family,
					bool is_fixed);
/* Return: the native operations of a grafted socket, or of what inherited them. */
const struct proto_ops *graft_native(const struct socket *sock);
void graft_table_exit(void);

/* --- grafted.c --- */

int graft_release(struct socket *sock);
int graft_bind(struct socket *sock, struct sockaddr_unsized *address, int len);
int graft_connect(struct socket *sock, struct sockaddr_unsized *address, int len,
		  int flags);
int graft_accept(struct socket *sock, struct socket *newsock, graft_accept_args);
int graft_getname(struct socket *sock, struct sockaddr *address, int peer);
int graft_setsockopt(struct socket *sock, int level, int optname, sockptr_t optval,
		     unsigned int optlen);
int graft_getsockopt(struct socket *sock, int level, int optname, char __user *optval,
		     int __user *optlen);
int graft_sendmsg(struct socket *sock, struct msghdr *msg, size_t size);

/* To where a route that was taken leads, which they end. */
int graft_connect_route(struct socket *sock, struct graft_route *route, int flags);
int graft_sendmsg_route(struct socket *sock, struct graft_route *route,
			struct msghdr *msg, size_t size);

/* --- name.c --- */

static inline bool graft_is_name(const struct sockaddr_unsized *address, int len)
{
	return len >= (int)sizeof(sa_family_t) && address->sa_family == graft_family;
}

/* Takes the name out of a struct sockaddr_gr, padded with NUL. Return: 0 or -EINVAL. */
int graft_name_take(char name[AF_GRAFT_EPNAME_MAX],
		    const struct sockaddr_unsized *address, int len);
/* Return: the size of what it put, a struct sockaddr_gr, as getname() does. */
int graft_name_put(const struct graft_sock *gs, struct sockaddr *address);

/* Where @name leads to, for a socket of @net. Return: 0, with a reference in
 * route->endpoint, or -errno. */
int graft_route_find(struct graft_route *route, const struct net *net, const char *name);
/* Counts that it is used, and has the paths of the calling task begin where it wants,
 * until graft_route_end(), which drops the reference. */
void graft_route_take(struct graft_route *route);
void graft_route_end(struct graft_route *route);
/* Both, for a grafted socket that names @address. Return: 0, taken, or -errno. */
int graft_route_begin(struct graft_route *route, const struct socket *sock,
		      const struct sockaddr_unsized *address, int len);

/* --- option.c: IPPROTO_GRAFT, and what is set while fresh --- */

/* Sets an option of any level on @sock, with the operations of its protocol, @ops. */
int graft_option_set_native(struct socket *sock, const struct proto_ops *ops, int level,
			    int optname, sockptr_t optval, unsigned int optlen);
/* An option of level IPPROTO_GRAFT. Return: 0 or -errno. */
int graft_option_set(struct graft_sock *gs, int optname, sockptr_t optval,
		     unsigned int optlen);
int graft_option_get(struct graft_sock *gs, int optname, char __user *optval,
		     int __user *optlen);
/* One of another level, on a fresh socket; lock held. */
int graft_option_set_fresh(struct graft_sock *gs, int level, int optname,
			   sockptr_t optval, unsigned int optlen);

/* --- option_log.c: lock held --- */

struct graft_option {
	struct list_head list;
	int level, optname;
	unsigned int optlen;
	bool is_delayed; /* not in effect anywhere yet */
	u8 value[];      /* none if it is larger than GRAFT_OPTION_SIZE */
};

enum graft_replay {
	GRAFT_REPLAY_DONE = 1, /* what is in effect on another socket */
	GRAFT_REPLAY_DELAYED = 2,
	GRAFT_REPLAY_ALL = GRAFT_REPLAY_DONE | GRAFT_REPLAY_DELAYED,
};

/* Return: a copy of an option, to be kept or kfree()d, or ERR_PTR: -EFAULT, -ENOMEM. */
struct graft_option *graft_option_new(int level, int optname, sockptr_t optval,
				      unsigned int optlen);
/* Keeps it for the socket to come; frees it otherwise. Return: 0 or -ENOBUFS. */
int graft_option_keep(struct graft_sock *gs, struct graft_option *option);
/* Sets what is kept on @sock, in order. Of what was delayed, which then no longer is, and
 * of what fails the result is noted. */
void graft_options_replay(struct graft_sock *gs, struct socket *sock,
			  enum graft_replay which);
/* Notes that an option failed, if @err. */
void graft_result_note(struct graft_sock *gs, int level, int optname, int err);
/* Return: the oldest result, off the list, or NULL. To be kfree()d. */
struct graft_result *graft_result_take(struct graft_sock *gs);
void graft_options_free(struct graft_sock *gs);

struct graft_result {
	struct list_head list;
	struct graft_sso_result what;
};

/* --- carry.c --- */

/* Gives @to, which nobody else has yet, the options of SOL_SOCKET that @from has. What
 * fails is noted as a result. Lock held. */
void graft_carry(struct graft_sock *gs, struct sock *from, struct socket *to);

/* --- path.c --- */

void graft_root_enter(struct graft_root *root, const struct graft_endpoint *endpoint);
void graft_root_leave(struct graft_root *root);

#endif
