/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Endpoints: names, a table of them for each network namespace.
 */
#ifndef _GRAFT_ENDPOINT_H
#define _GRAFT_ENDPOINT_H

#include <linux/cred.h>
#include <linux/graft.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/kref.h>
#include <linux/path.h>
#include <linux/rcupdate.h>
#include <linux/rhashtable-types.h>
#include <linux/spinlock.h>
#include <linux/un.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>

#define GRAFT_LABEL_MAX 108

struct graft_sock;

struct graft_rule {
	u32 uses; /* GRAFT_USE_* */
	bool has_uid, has_gid;
	kuid_t uid;
	kgid_t gid;
};

/* What whoever adds an endpoint says of it. */
struct graft_endpoint_spec {
	char name[AF_GRAFT_EPNAME_MAX]; /* the rest is NUL */
	u16 family;
	union {
		struct sockaddr_storage address; /* of @family; port 0: dynamic */
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
	int address_len; /* 0 without an address */
	u32 flags;       /* GRAFT_F_* */
	char label[GRAFT_LABEL_MAX];
	int netns_fd, netns_pid; /* as version 0 gave them; for display */
	u32 n_rules;
	struct graft_rule *rules; /* of kmalloc(); graft_endpoint_add() takes it */
};

/*
 * Immutable from graft_endpoint_add() on but for what the locks guard. It is in the table
 * of @home until deleted, and lives until the last reference is gone; readers under RCU
 * take one with graft_endpoint_find().
 */
struct graft_endpoint {
	struct rhash_head node; /* by name, in graft_net.by_name of @home */
	struct graft_endpoint_spec spec;
	u32 id; /* in graft_net.by_id of @home: the order in which they were added */

	/*
	 * Where it is, and where it leads. Neither is counted, for then two namespaces
	 * that lead into one another would live for ever. The endpoint goes out of its
	 * table before either does (endpoint.c); @target is taken by
	 * graft_endpoint_target() only.
	 */
	struct net *home;
	struct net *target;
	u64 target_cookie;
	u32 target_inode;
	struct list_head leads; /* in graft_net.led_to of @target; graft_leads_lock */
	bool is_dead;           /* graft_leads_lock */

	const struct cred *cred; /* who added it */
	struct path root;        /* AF_UNIX paths are looked up from here */

	spinlock_t lock;          /* the next two */
	struct list_head binders; /* graft_sock.binder, the newest first */
	u32 n_binders;

	atomic64_t n_binds, n_connects, n_denials;
	struct kref refs;
	struct rcu_head rcu;
};

struct graft_net {
	struct rhashtable by_name;
	struct xarray by_id;
	u32 next_id;
	atomic_t n_endpoints;
	bool has_source;         /* one of them is GRAFT_DEFAULT_SOURCE */
	struct mutex lock;       /* adding and deleting */
	struct list_head led_to; /* endpoints of any namespace; graft_leads_lock */
};

extern unsigned int graft_max_endpoints;
/* GRAFT_DEFAULT_SOURCE as the tables have it. */
extern const char graft_default_source[AF_GRAFT_EPNAME_MAX];

struct graft_net *graft_net(const struct net *net);

/*
 * Adds an endpoint to @home that leads to @target, for @cred. The caller holds references
 * to both namespaces and has checked who asks.
 *
 * Return: 0, with the endpoint in @ret, of which the caller has a reference; -EEXIST,
 * -ENOSPC when the table is full, -ENOMEM. Takes @spec->rules in any case.
 */
int graft_endpoint_add(struct net *home, struct net *target,
		       struct graft_endpoint_spec *spec, const struct cred *cred,
		       struct graft_endpoint **ret);
/* Return: the endpoint, now out of the table, of which the caller has a reference, or
 * ERR_PTR(-ENOENT). */
struct graft_endpoint *graft_endpoint_del(struct net *home, const char *name);

/* Of the table of @home itself. @name has AF_GRAFT_EPNAME_MAX bytes, padded with NUL.
 * Return: the endpoint, of which the caller has a reference, or NULL. */
struct graft_endpoint *graft_endpoint_find(const struct net *home, const char *name);
/* The first endpoint whose id is *@id or more, for a walk in the order of ids: sets *@id.
 * Under RCU, and good as long as that. Return: it or NULL. */
struct graft_endpoint *graft_endpoint_next(const struct net *home, unsigned long *id);

void graft_endpoint_get(struct graft_endpoint *endpoint);
void graft_endpoint_put(struct graft_endpoint *endpoint);

/*
 * The endpoint @name as the calling task, on a socket of @net, may use it for @use. Looks
 * into @net first and then into the initial namespace (see graft.h).
 *
 * Return: the endpoint with a reference, *@ret_is_ruled saying whether a rule allowed it;
 * ERR_PTR: -ENOENT, -EACCES.
 */
struct graft_endpoint *graft_endpoint_use(const struct net *net, const char *name,
					  u32 use, bool *ret_is_ruled);
/* Return: the namespace it leads to with a reference, or NULL: it is being dismantled. */
struct net *graft_endpoint_target(struct graft_endpoint *endpoint);

/* Where somebody is bound. @ret gets spec.address, with the port of the newest binder for
 * a dynamic one. Return: its length, or -ECONNREFUSED: nobody is. */
int graft_endpoint_where(struct graft_endpoint *endpoint, struct sockaddr_storage *ret);
/* Takes note of, and forgets, a bound socket. */
void graft_endpoint_bound(struct graft_endpoint *endpoint, struct graft_sock *gs);
void graft_endpoint_released(struct graft_endpoint *endpoint, struct graft_sock *gs);
/* Return: the port of the newest binder, in network order, 0 without one. */
__be16 graft_endpoint_port(struct graft_endpoint *endpoint, u32 *ret_n_binders);

/* Whether there may be a GRAFT_DEFAULT_SOURCE for sockets of @net, which mostly there is
 * not, and every connect() asks for. */
static inline bool graft_has_source(const struct net *net)
{
	return READ_ONCE(graft_net(net)->has_source) ||
	       READ_ONCE(graft_net(&init_net)->has_source);
}

static inline bool graft_endpoint_is_dynamic(const struct graft_endpoint *endpoint)
{
	/* The port is at the same place in both. */
	return (endpoint->spec.family == AF_INET || endpoint->spec.family == AF_INET6) &&
	       !endpoint->spec.in.sin_port;
}

int graft_endpoint_init(void);
void graft_endpoint_exit(void);

#endif
