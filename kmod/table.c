// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operations of grafted sockets: copies of the native ones, a few functions of which
 * are those of grafted.c. The rest are the protocol's own and called as natively.
 *
 * There is one table for each set of native operations that was met, a dozen or so, and
 * they stay until the module goes, as sockets that are half accepted have them, too;
 * each socket that does holds a reference to the module. The module of the native ones
 * stays as long, so that what a table was made of is there. But TLS makes its own at
 * run time, and makes them anew in the same place: those are compared by content.
 */
#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "socket.h"

struct table {
	struct proto_ops ops;  /* ours */
	struct proto_ops copy; /* of *native, when the table was made */
	const struct proto_ops *native;
	bool is_fixed; /* *native never changes */
	struct list_head list;
};

static LIST_HEAD(tables); /* add under tables_lock, read under RCU */
static DEFINE_MUTEX(tables_lock);

static struct table *find(const struct proto_ops *native, int family)
{
	struct table *table;

	list_for_each_entry_rcu(table, &tables, list, lockdep_is_held(&tables_lock))
		if (table->native == native && table->ops.family == family &&
		    (table->is_fixed || !memcmp(&table->copy, native, sizeof(*native))))
			return table;
	return NULL;
}

static struct table *make(const struct proto_ops *native, int family, bool is_fixed)
{
	/* There is no way back once a protocol has replaced its operations. */
	struct table *table = kzalloc(sizeof(*table), GFP_KERNEL | __GFP_NOFAIL);
	struct proto_ops *ops;

	table->native = native;
	table->is_fixed = is_fixed;
	/* Whoever has the socket has a reference to it, so there is one to be had. */
	__module_get(native->owner);
	table->copy = *native;
	ops = &table->ops;
	*ops = *native;
	ops->family = family;
	ops->owner = THIS_MODULE;
	ops->release = graft_release;
	ops->bind = graft_bind;
	ops->connect = graft_connect;
	ops->accept = graft_accept;
	ops->getname = graft_getname;
	ops->setsockopt = graft_setsockopt;
	graft_set_getsockopt(ops, graft_getsockopt);
	ops->sendmsg = graft_sendmsg;
	return table;
}

const struct proto_ops *graft_table_get(const struct proto_ops *native, int family,
					bool is_fixed)
{
	struct table *table;

	rcu_read_lock();
	table = find(native, family);
	rcu_read_unlock();
	if (table)
		return &table->ops;
	mutex_lock(&tables_lock);
	table = find(native, family);
	if (!table) {
		table = make(native, family, is_fixed);
		list_add_tail_rcu(&table->list, &tables);
	}
	mutex_unlock(&tables_lock);
	return &table->ops;
}

const struct proto_ops *graft_native(const struct socket *sock)
{
	const struct proto_ops *ops = READ_ONCE(sock->ops);

	/* While an option is set that may change them they are the native ones. */
	return ops->release == graft_release
		       ? container_of(ops, struct table, ops)->native
		       : ops;
}

void graft_table_exit(void)
{
	struct table *table, *next;

	list_for_each_entry_safe(table, next, &tables, list) {
		list_del(&table->list);
		module_put(table->copy.owner);
		kfree(table);
	}
}
