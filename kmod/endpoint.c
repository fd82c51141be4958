// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tables of endpoints
 *
 * Theory of operation
 *
 * Each network namespace has a table of its own, struct graft_net: a hash by name, which
 * is read under RCU, and an array by id, in which a dump finds its way. An endpoint in
 * the table counts as one reference; sockets bound to it have one each.
 *
 *	add		-> in by_name, by_id of its home, and in led_to of its target
 *	del, or the target or the home namespace ends
 *			-> in none, is_dead; no name leads to it any more
 *	last put	-> freed after a grace period
 *
 * An endpoint does not keep namespaces alive. Its home cannot end before it, since that
 * empties the table. When the namespace it leads to ends, it is deleted, too: led_to
 * has those. Both are done in pre_exit(), after which there is a grace period before a
 * struct net goes away; so under RCU @home and @target of an endpoint that is not dead
 * are there, and maybe_get_net() tells whether they are alive.
 *
 * Locks: graft_net.lock serializes changes of one table; graft_leads_lock, inside it,
 * guards all led_to lists and is_dead.
 */
#include <linux/module.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <net/netns/generic.h>

#include "compat.h"
#include "endpoint.h"
#include "netlink.h"
#include "socket.h"

unsigned int graft_max_endpoints = 1 << 18;

const char graft_default_source[AF_GRAFT_EPNAME_MAX] = GRAFT_DEFAULT_SOURCE;

static unsigned int graft_net_id;
static DEFINE_MUTEX(graft_leads_lock);

static const struct rhashtable_params by_name_params = {
	.head_offset = offsetof(struct graft_endpoint, node),
	.key_offset = offsetof(struct graft_endpoint, spec.name),
	.key_len = AF_GRAFT_EPNAME_MAX,
	.min_size = 4,
	.automatic_shrinking = true,
};

struct graft_net *graft_net(const struct net *net)
{
	return net_generic(net, graft_net_id);
}

/* --- one endpoint ------------------------------------------------------------------- */

static void free_endpoint(struct graft_endpoint *endpoint)
{
	put_cred(endpoint->cred);
	if (endpoint->root.mnt)
		path_put(&endpoint->root);
	kfree(endpoint->spec.rules);
	kfree_rcu(endpoint, rcu);
}

static void release_endpoint(struct kref *refs)
{
	free_endpoint(container_of(refs, struct graft_endpoint, refs));
}

void graft_endpoint_get(struct graft_endpoint *endpoint)
{
	kref_get(&endpoint->refs);
}

void graft_endpoint_put(struct graft_endpoint *endpoint)
{
	kref_put(&endpoint->refs, release_endpoint);
}

static struct graft_endpoint *new_endpoint(struct net *home, struct net *target,
					   const struct graft_endpoint_spec *spec,
					   const struct cred *cred)
{
	struct graft_endpoint *endpoint = kzalloc(sizeof(*endpoint), GFP_KERNEL_ACCOUNT);

	if (!endpoint)
		return NULL;
	endpoint->spec = *spec;
	endpoint->home = home;
	endpoint->target = target;
	endpoint->target_cookie = target->net_cookie;
	endpoint->target_inode = target->ns.inum;
	endpoint->cred = get_cred(cred);
	if (spec->family == AF_UNIX && spec->un.sun_path[0])
		get_fs_root(current->fs, &endpoint->root);
	INIT_LIST_HEAD(&endpoint->leads);
	INIT_LIST_HEAD(&endpoint->binders);
	spin_lock_init(&endpoint->lock);
	kref_init(&endpoint->refs);
	return endpoint;
}

/* --- a table ------------------------------------------------------------------------ */

static void note_source(struct graft_net *gn, const struct graft_endpoint *endpoint,
			bool is_there)
{
	if (!memcmp(endpoint->spec.name, graft_default_source, AF_GRAFT_EPNAME_MAX))
		WRITE_ONCE(gn->has_source, is_there);
}

/* Names it in both tables. The id comes last, since dumps go by it. */
static int insert(struct graft_net *gn, struct graft_endpoint *endpoint)
{
	int err;

	err = xa_alloc_cyclic(&gn->by_id, &endpoint->id, NULL, xa_limit_31b, &gn->next_id,
			      GFP_KERNEL_ACCOUNT);
	if (err < 0)
		return err == -EBUSY ? -ENOSPC : err;
	err = rhashtable_lookup_insert_fast(&gn->by_name, &endpoint->node,
					    by_name_params);
	if (err) {
		xa_erase(&gn->by_id, endpoint->id);
		return err == -E2BIG ? -ENOSPC : err;
	}
	xa_store(&gn->by_id, endpoint->id, endpoint, GFP_KERNEL_ACCOUNT);
	atomic_inc(&gn->n_endpoints);
	note_source(gn, endpoint, true);
	return 0;
}

static void lead(struct graft_endpoint *endpoint)
{
	mutex_lock(&graft_leads_lock);
	list_add_tail(&endpoint->leads, &graft_net(endpoint->target)->led_to);
	mutex_unlock(&graft_leads_lock);
}

/* Return: whether it was in the table; then the table's reference is the caller's. */
static bool remove(struct graft_net *gn, struct graft_endpoint *endpoint)
{
	lockdep_assert_held(&gn->lock);
	if (rhashtable_remove_fast(&gn->by_name, &endpoint->node, by_name_params))
		return false;
	xa_erase(&gn->by_id, endpoint->id);
	atomic_dec(&gn->n_endpoints);
	note_source(gn, endpoint, false);
	mutex_lock(&graft_leads_lock);
	list_del_init(&endpoint->leads);
	WRITE_ONCE(endpoint->is_dead, true);
	mutex_unlock(&graft_leads_lock);
	return true;
}

int graft_endpoint_add(struct net *home, struct net *target,
		       struct graft_endpoint_spec *spec, const struct cred *cred,
		       struct graft_endpoint **ret)
{
	struct graft_net *gn = graft_net(home);
	struct graft_endpoint *endpoint = new_endpoint(home, target, spec, cred);
	int err;

	if (!endpoint) {
		kfree(spec->rules);
		return -ENOMEM;
	}
	mutex_lock(&gn->lock);
	err = atomic_read(&gn->n_endpoints) < READ_ONCE(graft_max_endpoints)
		      ? insert(gn, endpoint)
		      : -ENOSPC;
	if (!err) {
		lead(endpoint);
		graft_endpoint_get(endpoint);
	}
	mutex_unlock(&gn->lock);
	if (err)
		graft_endpoint_put(endpoint);
	else
		*ret = endpoint;
	return err;
}

struct graft_endpoint *graft_endpoint_find(const struct net *home, const char *name)
{
	struct graft_endpoint *endpoint;

	rcu_read_lock();
	endpoint = rhashtable_lookup(&graft_net(home)->by_name, name, by_name_params);
	if (endpoint && !kref_get_unless_zero(&endpoint->refs))
		endpoint = NULL;
	rcu_read_unlock();
	return endpoint;
}

struct graft_endpoint *graft_endpoint_next(const struct net *home, unsigned long *id)
{
	return xa_find(&graft_net(home)->by_id, id, ULONG_MAX, XA_PRESENT);
}

struct graft_endpoint *graft_endpoint_del(struct net *home, const char *name)
{
	struct graft_net *gn = graft_net(home);
	struct graft_endpoint *endpoint;

	mutex_lock(&gn->lock);
	endpoint = graft_endpoint_find(home, name);
	if (endpoint) {
		/* The table's reference goes; ours is the caller's. */
		if (remove(gn, endpoint))
			graft_endpoint_put(endpoint);
	}
	mutex_unlock(&gn->lock);
	return endpoint ?: ERR_PTR(-ENOENT);
}

struct net *graft_endpoint_target(struct graft_endpoint *endpoint)
{
	struct net *net = NULL;

	rcu_read_lock();
	if (!READ_ONCE(endpoint->is_dead))
		net = maybe_get_net(endpoint->target);
	rcu_read_unlock();
	return net;
}

/* --- namespaces come and go --------------------------------------------------------- */

static int __net_init graft_net_init(struct net *net)
{
	struct graft_net *gn = graft_net(net);

	xa_init_flags(&gn->by_id, XA_FLAGS_ALLOC);
	mutex_init(&gn->lock);
	INIT_LIST_HEAD(&gn->led_to);
	atomic_set(&gn->n_endpoints, 0);
	gn->next_id = 0;
	return rhashtable_init(&gn->by_name, &by_name_params);
}

/* An endpoint that leads to @gn's namespace, with a reference, and one to its home unless
 * that ends, too, and then has it to delete; off the list. Return: it or NULL. */
static struct graft_endpoint *take_lead(struct graft_net *gn, struct net **ret_home)
{
	struct graft_endpoint *endpoint;

	mutex_lock(&graft_leads_lock);
	endpoint = list_first_entry_or_null(&gn->led_to, struct graft_endpoint, leads);
	if (endpoint) {
		list_del_init(&endpoint->leads);
		WRITE_ONCE(endpoint->is_dead, true);
		graft_endpoint_get(endpoint);
		*ret_home = maybe_get_net(endpoint->home);
	}
	mutex_unlock(&graft_leads_lock);
	return endpoint;
}

static void drop_leads(struct graft_net *gn)
{
	struct graft_endpoint *endpoint;
	struct net *home;

	while ((endpoint = take_lead(gn, &home)) != NULL) {
		if (home) {
			struct graft_net *at = graft_net(home);
			bool removed;

			mutex_lock(&at->lock);
			removed = remove(at, endpoint);
			mutex_unlock(&at->lock);
			if (removed) {
				graft_netlink_tell_gone(endpoint);
				graft_endpoint_put(endpoint);
			}
			put_net(home);
		}
		graft_endpoint_put(endpoint);
		cond_resched();
	}
}

static void __net_exit graft_net_pre_exit(struct net *net)
{
	struct graft_net *gn = graft_net(net);
	struct graft_endpoint *endpoint;
	unsigned long id;

	drop_leads(gn);
	mutex_lock(&gn->lock);
	xa_for_each(&gn->by_id, id, endpoint) {
		if (remove(gn, endpoint))
			graft_endpoint_put(endpoint);
		cond_resched();
	}
	mutex_unlock(&gn->lock);
}

static void __net_exit graft_net_exit(struct net *net)
{
	struct graft_net *gn = graft_net(net);

	rhashtable_destroy(&gn->by_name);
	xa_destroy(&gn->by_id);
}

static struct pernet_operations graft_net_ops = {
	.init = graft_net_init,
	.pre_exit = graft_net_pre_exit,
	.exit = graft_net_exit,
	.id = &graft_net_id,
	.size = sizeof(struct graft_net),
};

int graft_endpoint_init(void)
{
	return register_pernet_subsys(&graft_net_ops);
}

void graft_endpoint_exit(void)
{
	unregister_pernet_subsys(&graft_net_ops);
}
