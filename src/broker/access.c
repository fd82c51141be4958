/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rules
 *
 * Adding. The administrator: anything. Others of graftd's own namespace: in their own
 * name; leading into that namespace; to a port that any process may have, or a dynamic
 * one, or a UNIX path, on which graftd acts with their rights, not its own. Clients of
 * another namespace: to its table if they rule it, and leading into it, without `hold`,
 * which would keep it from ending; a name for another namespace is not theirs to give.
 * Paths are for those whose root directory is graftd's: a container's user is not the
 * user of the same number outside.
 *
 * Deleting: who added it, from where he added it, and the administrator. What the
 * configuration file defines, the file takes away.
 *
 * Using. The administrator: always. An endpoint with clauses: whom one of them names.
 * Without any: clients of the namespace it was added in, for what a plain socket of
 * theirs could do there. So nothing that leads to another namespace, to a port that
 * takes a privilege, or to a UNIX path by rights that are not theirs, unless a clause
 * says so.
 *
 * Seeing: the endpoints of one's own namespace, and those of graftd's that one may use;
 * the administrator sees all.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/number.h"
#include "broker/access.h"
#include "broker/conf.h"

#define PORT_UNPRIVILEGED 1024

/* The first port of graftd's namespace that takes no privilege. */
static unsigned int first_free_port(void)
{
	_cleanup_fd_ int fd = open("/proc/sys/net/ipv4/ip_unprivileged_port_start",
				   O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	const char *at = text;
	uint64_t port;

	if (fd < 0 || fd_read_all(fd, text, sizeof(text) - 1) <= 0 ||
	    !number_take(&at, 10, &port) || port > 65536)
		return PORT_UNPRIVILEGED;
	return (unsigned int)port;
}

/* May any process of graftd's namespace bind it? */
static bool is_plain(const struct endpoint *endpoint)
{
	if (endpoint->kind == ENDPOINT_UNIX || endpoint->dynamic)
		return true;
	return endpoint->port >= PORT_UNPRIVILEGED || endpoint->port >= first_free_port();
}

/* Does it lead to a path that the client itself could not name? */
static bool is_foreign_path(const struct identity *who, const struct endpoint *endpoint)
{
	return endpoint->kind == ENDPOINT_UNIX && endpoint->path[0] == '/' &&
	       !identity_shares_root(who);
}

int access_may_add(const struct identity *who, const struct endpoint *endpoint,
		   unsigned int *ret_flags, const char **ret_reason)
{
	bool names_netns = endpoint->netns.kind != NETNS_DEFAULT;

	*ret_flags = 0;
	if (who->is_admin)
		return 0;
	/* Looking at one may take for ever, on a file system of the user's own. */
	for (size_t i = 0; i < endpoint->n_access; i++)
		if (endpoint->access[i].netns.kind == NETNS_PATH) {
			*ret_reason = "only the administrator names a namespace by path";
			return -EPERM;
		}
	if (names_netns) {
		*ret_reason = "only the administrator leads to another namespace";
		return -EPERM;
	}
	if (is_foreign_path(who, endpoint)) {
		*ret_reason = "paths are for those whose root directory is the host's";
		return -EPERM;
	}
	if (!who->is_local) {
		*ret_reason = "this namespace is not yours to define endpoints in";
		if (!identity_rules_netns(who))
			return -EPERM;
		*ret_reason = "a held socket would keep your namespace from ending";
		if (endpoint->options & ENDPOINT_HOLD)
			return -EPERM;
		*ret_flags = ENTRY_OWN;
		return 0;
	}
	if (!is_plain(endpoint)) {
		*ret_reason = "this port takes a privilege";
		return -EACCES;
	}
	return 0;
}

bool access_adds_owner(const struct identity *who, const struct endpoint *endpoint)
{
	return !who->is_admin && who->is_local && endpoint->n_access == 0;
}

bool access_may_del(const struct identity *who, const struct entry *entry)
{
	if (entry->flags & ENTRY_FILE)
		return false;
	return who->is_admin ||
	       (entry->uid == who->uid && entry->table->netns == who->netns);
}

static bool stat_netns(const struct netns_ref *ref, struct stat *ret)
{
	char path[PATH_MAX];
	int n = -1;

	switch (ref->kind) {
	case NETNS_DEFAULT:
		n = snprintf(path, sizeof(path), "/proc/self/ns/net");
		break;
	case NETNS_PID:
		n = snprintf(path, sizeof(path), "/proc/%d/ns/net", ref->pid);
		break;
	case NETNS_NAME:
		n = snprintf(path, sizeof(path), "/run/netns/%s", ref->text);
		break;
	case NETNS_PATH:
		n = snprintf(path, sizeof(path), "%s", ref->text);
		break;
	}
	return n > 0 && n < (int)sizeof(path) && stat(path, ret) == 0;
}

static bool is_in_netns(const struct identity *who, const struct netns_ref *ref)
{
	_cleanup_fd_ int own = identity_netns(who);
	struct stat wanted, st;

	return own >= 0 && fstat(own, &st) == 0 && stat_netns(ref, &wanted) &&
	       st.st_dev == wanted.st_dev && st.st_ino == wanted.st_ino;
}

static bool is_named(const struct access *access, const struct identity *who)
{
	if (access->has_uid && access->uid != who->uid)
		return false;
	if (access->has_gid && !identity_has_group(who, access->gid))
		return false;
	if (access->netns.kind != NETNS_DEFAULT && !is_in_netns(who, &access->netns))
		return false;
	return !access->cgroup || identity_in_cgroup(who, access->cgroup);
}

bool access_names(const struct access *access, size_t n, const struct identity *who,
		  unsigned int uses)
{
	for (size_t i = 0; i < n; i++)
		if ((access[i].uses & uses) == uses && is_named(&access[i], who))
			return true;
	return false;
}

/* Could a plain socket of @who do it? */
static bool is_natural(const struct identity *who, const struct entry *entry,
		       const struct endpoint *endpoint, unsigned int uses,
		       const char **ret_reason)
{
	bool has_low_port = endpoint->kind != ENDPOINT_UNIX && !endpoint->dynamic &&
			    endpoint->port < PORT_UNPRIVILEGED;

	*ret_reason = "no clause of the endpoint is for this client";
	if (entry->table->netns != who->netns || endpoint->netns.kind != NETNS_DEFAULT)
		return false;
	if (endpoint->kind == ENDPOINT_UNIX &&
	    (entry->uid != who->uid || is_foreign_path(who, endpoint)))
		return false;
	if (!(uses & ACCESS_BIND) || !has_low_port)
		return true;
	*ret_reason = "its port takes a privilege, and no clause is for this client";
	if (entry->flags & ENTRY_OWN)
		return identity_rules_netns(who);
	return endpoint->port >= first_free_port();
}

int access_may_use(const struct identity *who, const struct entry *entry,
		   const struct endpoint *endpoint, unsigned int uses,
		   const char **ret_reason)
{
	if (who->is_admin)
		return 0;
	if (endpoint->n_access) {
		*ret_reason = "no clause of the endpoint is for this client";
		return access_names(endpoint->access, endpoint->n_access, who, uses)
			       ? 0
			       : -EACCES;
	}
	return is_natural(who, entry, endpoint, uses, ret_reason) ? 0 : -EACCES;
}

static bool is_host_owner(const struct identity *who, const struct conf *config,
			  unsigned int uses)
{
	for (size_t i = 0; i < config->n_hosts; i++)
		if (access_names(config->hosts[i].access, config->hosts[i].n_access, who,
				 uses))
			return true;
	return false;
}

int access_may_host(const struct identity *who, const struct conf *config,
		    unsigned int uses, uint16_t port, const char **ret_reason)
{
	if (who->is_admin)
		return 0;
	if (!who->is_local && !is_host_owner(who, config, uses)) {
		*ret_reason = "the host's stack is not for this client";
		return -EACCES;
	}
	if (!(uses & ACCESS_BIND) || port == 0 || port >= first_free_port())
		return 0;
	*ret_reason = "this port takes a privilege";
	return -EACCES;
}

bool access_may_see(const struct identity *who, const struct entry *entry)
{
	struct endpoint endpoint;
	const char *reason;
	bool may;

	if (who->is_admin || entry->table->netns == who->netns)
		return true;
	if (entry->table->netns != who->self->netns ||
	    endpoint_parse(&endpoint, "", entry->line, entry->line_size, NULL) < 0)
		return false;
	may = access_may_use(who, entry, &endpoint, ACCESS_BIND, &reason) == 0 ||
	      access_may_use(who, entry, &endpoint, ACCESS_CONNECT, &reason) == 0;
	endpoint_release(&endpoint);
	return may;
}
