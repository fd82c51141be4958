// SPDX-License-Identifier: GPL-2.0-only
/*
 * Endpoints in use: who may, where they are, who is bound to them.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/user_namespace.h>

#include "endpoint.h"
#include "netlink.h"
#include "socket.h"

/* --- who may ------------------------------------------------------------------------ */

enum verdict {
	UNRULED, /* no rule speaks of this use */
	RULED,   /* one allows it */
	REFUSED,
};

static bool fits(const struct graft_rule *rule)
{
	return (!rule->has_uid || uid_eq(rule->uid, current_fsuid())) &&
	       (!rule->has_gid || in_group_p(rule->gid));
}

static enum verdict judge(const struct graft_endpoint *endpoint, u32 use)
{
	const struct graft_rule *rule = endpoint->spec.rules;
	enum verdict verdict = UNRULED;

	for (u32 i = 0; i < endpoint->spec.n_rules; i++, rule++) {
		if (!(rule->uses & use))
			continue;
		if (fits(rule))
			return RULED;
		verdict = REFUSED;
	}
	/* Who could delete it and add it without the rule need not be told no. */
	if (verdict == REFUSED && ns_capable(endpoint->home->user_ns, CAP_NET_ADMIN))
		verdict = UNRULED;
	return verdict;
}

static struct graft_endpoint *find_for(const struct net *net, const char *name, u32 use,
				       enum verdict *ret)
{
	struct graft_endpoint *endpoint = graft_endpoint_find(net, name);

	if (endpoint) {
		*ret = judge(endpoint, use);
		return endpoint;
	}
	if (net_eq(net, &init_net))
		return NULL;
	endpoint = graft_endpoint_find(&init_net, name);
	if (!endpoint)
		return NULL;
	*ret = judge(endpoint, use);
	if (*ret != UNRULED)
		return endpoint;
	graft_endpoint_put(endpoint);
	return NULL;
}

struct graft_endpoint *graft_endpoint_use(const struct net *net, const char *name,
					  u32 use, bool *ret_is_ruled)
{
	struct graft_endpoint *endpoint;
	enum verdict verdict;

	endpoint = find_for(net, name, use, &verdict);
	if (!endpoint)
		return ERR_PTR(-ENOENT);
	if (verdict == REFUSED) {
		atomic64_inc(&endpoint->n_denials);
		graft_netlink_tell(endpoint, GRAFT_CMD_ENDPOINT_DENY);
		graft_endpoint_put(endpoint);
		return ERR_PTR(-EACCES);
	}
	*ret_is_ruled = verdict == RULED;
	return endpoint;
}

/* --- who is there ------------------------------------------------------------------- */

__be16 graft_endpoint_port(struct graft_endpoint *endpoint, u32 *ret_n_binders)
{
	struct graft_sock *gs;
	__be16 port = 0;

	spin_lock(&endpoint->lock);
	gs = list_first_entry_or_null(&endpoint->binders, struct graft_sock, binder);
	if (gs)
		port = gs->port;
	if (ret_n_binders)
		*ret_n_binders = endpoint->n_binders;
	spin_unlock(&endpoint->lock);
	return port;
}

int graft_endpoint_where(struct graft_endpoint *endpoint, struct sockaddr_storage *ret)
{
	memcpy(ret, &endpoint->spec.address, endpoint->spec.address_len);
	if (graft_endpoint_is_dynamic(endpoint)) {
		__be16 port = graft_endpoint_port(endpoint, NULL);

		if (!port)
			return -ECONNREFUSED;
		((struct sockaddr_in *)ret)->sin_port = port;
	}
	return endpoint->spec.address_len;
}

void graft_endpoint_bound(struct graft_endpoint *endpoint, struct graft_sock *gs)
{
	graft_endpoint_get(endpoint);
	spin_lock(&endpoint->lock);
	list_add(&gs->binder, &endpoint->binders);
	endpoint->n_binders++;
	spin_unlock(&endpoint->lock);
	gs->endpoint = endpoint;
	atomic64_inc(&endpoint->n_binds);
	graft_netlink_tell(endpoint, GRAFT_CMD_ENDPOINT_BIND);
}

void graft_endpoint_released(struct graft_endpoint *endpoint, struct graft_sock *gs)
{
	spin_lock(&endpoint->lock);
	list_del(&gs->binder);
	endpoint->n_binders--;
	spin_unlock(&endpoint->lock);
	graft_netlink_tell(endpoint, GRAFT_CMD_ENDPOINT_RELEASE);
	graft_endpoint_put(endpoint);
}
