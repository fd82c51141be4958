/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	bind, hold	the kept socket, unless the one that has it lives; else a new one,
 *			kept from now on: here, and in the store under its cookie
 *	bind, share	SO_REUSEPORT; a dynamic port is that of the others
 *	bind		a new socket; who got it is noted, and goes to the journal
 *	connect		to the port of the binder that the kernel still knows
 *
 * The journal has the binder noted last, which is enough to find the port of a dynamic
 * endpoint again; of a kept socket it has the cookie, by which it is told from others in
 * the store, and the process that was given it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/fd.h"
#include "base/log.h"
#include "broker/binders.h"
#include "broker/change.h"
#include "broker/graftd.h"
#include "broker/grant.h"
#include "broker/hold.h"
#include "broker/journal.h"
#include "broker/places.h"
#include "broker/quota.h"
#include "broker/rights.h"
#include "broker/store.h"
#include "broker/use.h"
#include "stack/stack.h"

struct use {
	uint64_t n_binds, n_connects, n_denied;
	struct binders binders;
	struct hold *hold; /* or NULL */
	uint64_t cookie;   /* bound last; 0: none */
	uint64_t start;    /* of the process, restored */
	uint32_t pid, family, type, protocol;
	uint16_t port;
	bool is_held; /* as the journal said, until the socket is back */
};

static struct use *use_get(struct entry *entry)
{
	if (!entry->use)
		entry->use = calloc(1, sizeof(*entry->use));
	return entry->use;
}

static void store_name(uint64_t cookie, char name[USE_STORE_NAME_SIZE])
{
	snprintf(name, USE_STORE_NAME_SIZE, STORE_HELD "%" PRIx64, cookie);
}

static void release_hold(struct graftd *graftd, struct entry *entry)
{
	struct use *use = entry->use;
	char name[USE_STORE_NAME_SIZE];

	if (!use->hold)
		return;
	store_name(hold_cookie(use->hold), name);
	if (graftd->store)
		store_drop(graftd->store, name);
	use->hold = hold_free(use->hold);
	quota_give(graftd->quota, entry->user, QUOTA_HELD);
}

void use_release(struct graftd *graftd, struct entry *entry)
{
	if (!entry->use)
		return;
	release_hold(graftd, entry);
	binders_clear(&entry->use->binders);
	free(entry->use);
	entry->use = NULL;
}

void use_move(struct entry *to, struct entry *from)
{
	to->use = from->use;
	from->use = NULL;
}

void use_count_denied(struct entry *entry)
{
	struct use *use = use_get(entry);

	if (use)
		use->n_denied++;
}

/* --- making ----------------------------------------------------------------------- */

static int put(struct graftd *graftd, const struct use *use)
{
	char name[USE_STORE_NAME_SIZE];

	if (!graftd->store)
		return 0;
	store_name(hold_cookie(use->hold), name);
	return store_put(graftd->store, name, hold_socket(use->hold));
}

/* @fd was bound just now: a copy of it is kept. */
static int keep(struct asked *asked, int fd)
{
	struct entry *entry = asked->entry;
	struct use *use = entry->use;
	struct quota *quota = asked->graftd->quota;
	int copy, r = quota_take(quota, entry->user, QUOTA_HELD, false);

	if (r < 0)
		return asked_deny(asked, r, "too many held sockets of this user");
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	r = copy < 0 ? -errno : hold_new(&use->hold, &asked->graftd->loop, copy);
	if (r < 0) {
		fd_close(copy);
		quota_give(quota, entry->user, QUOTA_HELD);
		return r;
	}
	r = put(asked->graftd, use);
	if (r < 0)
		log_limited(LOG_LEVEL_WARNING,
			    "the socket of '%s' will not outlive graftd: %s",
			    asked->endpoint.name, strerror(-r));
	return 0;
}

static int take_held(struct asked *asked, const struct grant_request *request,
		     struct wire_grant *ret)
{
	struct hold *hold = asked->entry->use->hold;
	int fd;

	if (!request->shares && hold_is_taken(hold, asked->pid))
		return asked_deny(asked, -EADDRINUSE, "it has a server");
	fd = hold_grant(hold, request, ret);
	if (fd == -ESTALE)
		release_hold(asked->graftd, asked->entry);
	return fd;
}

static int bind_held(struct asked *asked, const struct grant_request *request,
		     struct wire_grant *ret)
{
	struct use *use = asked->entry->use;
	_cleanup_fd_ int fd = use->hold ? take_held(asked, request, ret) : -ESTALE;
	int r;

	if (fd == -ESTALE) {
		fd = grant_make(request, ret, NULL);
		r = fd < 0 ? fd : keep(asked, fd);
		if (r < 0)
			return r;
		ret->flags |= WIRE_F_HELD;
	}
	if (fd >= 0)
		hold_note(use->hold, asked->pid);
	return fd_steal(&fd);
}

/* As struct binder has it. */
static uint32_t proto_of(const struct wire_ask *ask)
{
	return ask->type == SOCK_STREAM ? 0 : ask->type == SOCK_DGRAM ? 1 : 2;
}

static uint16_t port_of(struct use *use, struct stack *stack)
{
	union address address;
	socklen_t len = sizeof(address);

	if (!use->hold)
		return binders_port(&use->binders, stack);
	if (getsockname(hold_socket(use->hold), &address.any, &len) < 0 ||
	    !address_is_inet(&address))
		return 0;
	return address_port(&address);
}

/* What is known of the endpoint after a bind. */
static void note(struct asked *asked, const struct wire_grant *grant)
{
	const struct wire_ask *ask = asked->ask;
	union address address = { .storage = grant->address.address };
	struct use *use = asked->entry->use;

	if (!use->hold || use->cookie != grant->cookie) {
		int r = binders_note(&use->binders, grant, (int)ask->type,
				     (int)ask->protocol);

		if (r < 0)
			log_limited(LOG_LEVEL_WARNING, "cannot note who is bound: %s",
				    strerror(-r));
	}
	use->cookie = grant->cookie;
	use->pid = (uint32_t)asked->pid;
	use->family = grant->family;
	use->type = ask->type;
	use->protocol = ask->protocol;
	use->port = address_is_inet(&address) ? address_port(&address) : 0;
	change_bound(asked->graftd, asked->entry);
	if (asked->endpoint.dynamic)
		places_set(asked->graftd, asked->entry);
}

static int grant_entry(struct asked *asked, struct grant_request *request,
		       struct wire_grant *ret, int *ret_path)
{
	struct use *use = use_get(asked->entry);
	unsigned int options = asked->endpoint.options;
	bool is_bind = asked->ask->op == WIRE_OP_BIND;
	int fd;

	if (!use)
		return -ENOMEM;
	request->shares = options & ENDPOINT_SHARE;
	if (asked->endpoint.dynamic && (!is_bind || request->shares))
		request->port = port_of(use, asked->stack);
	if (asked->endpoint.dynamic && !is_bind && !request->port)
		request->port =
			places_port(asked->graftd, asked->entry, proto_of(asked->ask));
	fd = is_bind && options & ENDPOINT_HOLD ? bind_held(asked, request, ret)
						: grant_make(request, ret, ret_path);
	if (fd < 0)
		return fd;
	if (asked->ask->op == WIRE_OP_CONNECT)
		use->n_connects++;
	else
		use->n_binds++;
	if (is_bind)
		note(asked, ret);
	return fd;
}

int use_grant(struct asked *asked, struct wire_grant *ret, int *ret_path)
{
	const struct identity *who = asked->who;
	struct grant_owner owner = { .uid = who->uid, .gid = who->gid, .umask = 077 };
	struct rights rights = { .uid = who->uid, .gid = who->gid };
	struct grant_request request = {
		.ask = asked->ask,
		.endpoint = asked->entry ? &asked->endpoint : NULL,
		.stack = asked->stack,
		.socket = asked->socket,
		.is_trusted = who->is_admin,
		.owner = &owner,
	};

	if (!asked->entry)
		return grant_make(&request, ret, ret_path);
	/* A UNIX path is acted on with the rights of whose endpoint it is. */
	rights.uid = asked->entry->uid;
	rights.gid = asked->entry->gid;
	if (!(asked->entry->flags & ENTRY_ADMIN))
		request.rights = &rights;
	if (asked->endpoint.kind == ENDPOINT_UNIX && asked->ask->op == WIRE_OP_BIND)
		owner.umask = identity_umask(who);
	return grant_entry(asked, &request, ret, ret_path);
}

/* --- telling ---------------------------------------------------------------------- */

/* Leads into another namespace than graftd's; then what was noted is believed. */
static bool is_elsewhere(const struct entry *entry)
{
	return entry->flags & ENTRY_OWN || strstr(entry->line, " netns ");
}

void use_granted(const struct entry *entry, struct granted *ret)
{
	if (entry->use && !is_elsewhere(entry))
		binders_copy(&entry->use->binders, ret);
}

void use_show(struct graftd *graftd, const struct entry *entry, struct wire_endpoint *ret)
{
	struct use *use = entry->use;
	struct wire_address address;
	const char *state = "idle";

	if (use) {
		ret->n_binds = use->n_binds;
		ret->n_connects = use->n_connects;
		ret->n_denied = use->n_denied;
		if (use->hold)
			state = "held";
		else if (use->binders.n &&
			 (is_elsewhere(entry) ||
			  binders_find(&use->binders, graftd->host, &address)))
			state = "bound";
		if (*state != 'i')
			ret->port = use->port;
	}
	for (uint32_t proto = 0; *state == 'i' && proto < 2; proto++) {
		ret->port = places_port(graftd, entry, proto);
		if (ret->port)
			state = "bound";
	}
	wire_set_text(ret->state, sizeof(ret->state), state);
}

/* --- the journal and the store ---------------------------------------------------- */

bool use_record(const struct entry *entry, struct record *ret)
{
	const struct use *use = entry->use;

	if (!use || !use->cookie)
		return false;
	ret->bound.cookie = use->cookie;
	ret->bound.pid = use->pid;
	ret->bound.port = use->port;
	ret->bound.family = use->family;
	ret->bound.type = use->type;
	ret->bound.protocol = use->protocol;
	ret->bound.is_held = use->hold != NULL;
	if (use->hold)
		ret->bound.start = hold_get_user(use->hold).start;
	return true;
}

/* The note as it was made when it was granted. */
static void restore_binder(struct use *use, const struct entry *entry)
{
	struct wire_grant grant = { .family = use->family, .cookie = use->cookie };
	struct policy_verdict verdict;
	struct endpoint endpoint;
	union address address;

	if (endpoint_parse(&endpoint, NULL, entry->line, entry->line_size, NULL) < 0)
		return;
	policy_endpoint_verdict(&endpoint, POLICY_BIND, (int)use->family, &verdict);
	address.storage = verdict.address;
	if (address_is_inet(&address))
		address_set_port(&address, use->port);
	grant.address.address = address.storage;
	grant.address.len = verdict.address_len;
	binders_note(&use->binders, &grant, (int)use->type, (int)use->protocol);
	endpoint_release(&endpoint);
}

void use_restore(struct entry *entry, const struct record *record)
{
	struct use *use = use_get(entry);

	if (!use)
		return;
	use->cookie = record->bound.cookie;
	use->start = record->bound.start;
	use->pid = record->bound.pid;
	use->port = (uint16_t)record->bound.port;
	use->family = record->bound.family;
	use->type = record->bound.type;
	use->protocol = record->bound.protocol;
	use->is_held = record->bound.is_held;
	restore_binder(use, entry);
}

bool use_wants_held(const struct entry *entry, char name[USE_STORE_NAME_SIZE])
{
	const struct use *use = entry->use;

	if (!use || !use->is_held || use->hold)
		return false;
	store_name(use->cookie, name);
	return true;
}

int use_restore_held(struct graftd *graftd, struct entry *entry, int socket)
{
	struct use *use = entry->use;
	struct hold_user user = { .pid = (pid_t)use->pid, .start = use->start };
	int r = hold_new(&use->hold, &graftd->loop, socket);

	if (r < 0)
		return r;
	hold_set_user(use->hold, &user);
	quota_take(graftd->quota, entry->user, QUOTA_HELD, true);
	return 0;
}

void use_store_all(struct graftd *graftd)
{
	struct entry *entry;
	uint32_t cursor = 0;

	while ((entry = registry_next(graftd->registry, &cursor)))
		if (entry->use && entry->use->hold && put(graftd, entry->use) < 0)
			log_limited(LOG_LEVEL_WARNING,
				    "a held socket will not outlive graftd");
}
