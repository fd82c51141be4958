/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	name ─> entry ─> may this client? ─> stack ─> socket ─> answer
 *	      ENOENT      EACCES             grant_make()
 *
 * A name is looked up in the table of the client's own namespace, then in that of
 *graftd's. `host` is no entry: a plain socket of graftd's namespace.
 *
 * The answer goes to the descriptor that came with the ask, if any, else to the
 * connection. That descriptor must be an end of a socketpair: what we send carries our
 * name, and must not reach somebody who would take it for our own words. If it is full,
 * the answer is lost, and its sender has only himself to blame.
 *
 * A supply lives as long as its connection, and before each filling the client's rights
 * are looked at again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/fd.h"
#include "base/log.h"
#include "broker/access.h"
#include "broker/ask.h"
#include "broker/change.h"
#include "broker/connection.h"
#include "broker/graftd.h"
#include "broker/grant.h"
#include "broker/namespaces.h"
#include "broker/page.h"
#include "broker/quota.h"
#include "broker/rights.h"
#include "broker/server.h"
#include "broker/supply.h"
#include "broker/watch.h"
#include "stack/stack.h"

/* One ask, while it is answered. */
struct asked {
	struct graftd *graftd;
	struct connection *connection;
	const struct identity *who;
	const struct wire_ask *ask;
	int reply;           /* or -1: the connection */
	int socket;          /* the one to replace, or the end of a supply; or -1 */
	struct entry *entry; /* NULL: the host's stack */
	struct endpoint endpoint;
	struct stack *stack;
	struct stack *own_stack; /* the same, if it is ours to free; or NULL */
	char reason[128];
};

struct supplied {
	struct link link;
	struct connection *connection;
	struct supply *supply;
	struct stack *stack; /* or NULL: graftd's */
	struct wire_ask ask;
};

static int deny(struct asked *asked, int number, const char *format, ...) _printf_(3, 4);

static int deny(struct asked *asked, int number, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(asked->reason, sizeof(asked->reason), format, args);
	va_end(args);
	return number;
}

static void asked_release(struct asked *asked)
{
	endpoint_release(&asked->endpoint);
	stack_free(asked->own_stack);
}

/* An unnamed end of an unnamed SOCK_SEQPACKET pair? */
static bool is_pair_end(int fd)
{
	struct sockaddr_un peer;
	socklen_t len = sizeof(int), peer_len = sizeof(peer);
	int type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_SEQPACKET &&
	       getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
	       peer.sun_family == AF_UNIX && peer_len == sizeof(sa_family_t);
}

/* Return: 0 or -errno, which means that the other end is of no use. */
static int answer(struct asked *asked, const struct wire_message *message, const int *fds,
		  size_t n_fds)
{
	char data[WIRE_MAX];
	ssize_t n;

	if (asked->reply < 0 && n_fds <= 1) {
		int fd = n_fds ? fcntl(fds[0], F_DUPFD_CLOEXEC, 0) : -1;

		return connection_send(asked->connection, message, fd);
	}
	if (!server_may_send(asked->connection->server) &&
	    change_commit(asked->graftd) < 0)
		return -EIO;
	n = wire_write(message, data, sizeof(data));
	if (n < 0)
		return (int)n;
	n = fd_send_now(asked->reply < 0 ? asked->connection->fd : asked->reply, data,
			(size_t)n, fds, n_fds);
	return asked->reply < 0 ? (int)n : 0;
}

static int answer_error(struct asked *asked, int r)
{
	struct wire_message message = { .type = WIRE_ERROR,
					.error.number = (uint32_t)-r };

	wire_set_text(message.error.text, sizeof(message.error.text),
		      *asked->reason ? asked->reason : strerror(-r));
	return answer(asked, &message, NULL, 0);
}

static unsigned int uses_of(const struct asked *asked)
{
	return asked->ask->op == WIRE_OP_CONNECT ? ACCESS_CONNECT : ACCESS_BIND;
}

static int find_host(struct asked *asked)
{
	union address address = { .storage = asked->ask->address.address };
	const char *reason = "";
	uint16_t port = 0;
	int r;

	if (asked->ask->address.len && address_is_inet(&address))
		port = address_port(&address);
	r = access_may_host(asked->who, asked->graftd->config, uses_of(asked), port,
			    &reason);
	asked->stack = asked->graftd->host;
	return r < 0 ? deny(asked, r, "%s", reason) : 0;
}

static struct entry *find_entry(const struct asked *asked)
{
	const struct registry *registry = asked->graftd->registry;
	const char *name = asked->ask->name;
	struct entry *entry = registry_find(registry, asked->who->netns, name);

	return entry ? entry : registry_find(registry, asked->graftd->self.netns, name);
}

static int open_stack(struct asked *asked)
{
	_cleanup_fd_ int netns = -1;

	if (!(asked->entry->flags & ENTRY_OWN))
		return namespace_stack_of(&asked->own_stack, &asked->endpoint.netns);
	/* Of its own namespace: only clients that are there find the entry. */
	netns = namespace_of_socket(asked->connection->fd);
	return netns < 0 ? netns : namespace_stack_new(&asked->own_stack, netns);
}

static int find_stack(struct asked *asked)
{
	int r;

	asked->stack = asked->graftd->host;
	if (asked->endpoint.netns.kind == NETNS_DEFAULT &&
	    !(asked->entry->flags & ENTRY_OWN))
		return 0;
	r = open_stack(asked);
	/* ENOENT would say that there is no such endpoint. */
	if (r == -ENOENT || r == -ESRCH)
		return deny(asked, -ENETDOWN, "the endpoint's namespace is not there");
	asked->stack = asked->own_stack;
	return r;
}

/* Whom it is about, and whether it may be. Return: 0 or -errno. */
static int find(struct asked *asked)
{
	const char *reason = "";
	struct entry *entry;
	int r;

	if (strcmp(asked->ask->name, WIRE_NAME_HOST) == 0)
		return find_host(asked);
	entry = find_entry(asked);
	if (!entry)
		return deny(asked, -ENOENT, "no endpoint '%s'", asked->ask->name);
	r = endpoint_parse(&asked->endpoint, NULL, entry->line, entry->line_size, NULL);
	if (r < 0) {
		memset(&asked->endpoint, 0, sizeof(asked->endpoint));
		return r;
	}
	asked->entry = entry;
	r = access_may_use(asked->who, entry, &asked->endpoint, uses_of(asked), &reason);
	if (r < 0)
		return deny(asked, r, "%s", reason);
	return find_stack(asked);
}

static uint16_t port_of(const struct asked *asked)
{
	if (!asked->entry || !asked->endpoint.dynamic || !asked->entry->use)
		return 0;
	return asked->entry->use->port;
}

static int make(struct asked *asked, struct wire_grant *grant, int *ret_path)
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
		.port = port_of(asked),
		.owner = &owner,
	};

	if (asked->entry) {
		request.shares = asked->endpoint.options & ENDPOINT_SHARE;
		rights.uid = asked->entry->uid;
		rights.gid = asked->entry->gid;
		if (!(asked->entry->flags & ENTRY_ADMIN))
			request.rights = &rights;
		if (asked->endpoint.kind == ENDPOINT_UNIX)
			owner.umask = identity_umask(who);
	}
	return grant_make(&request, grant, ret_path);
}

/* What is known of the entry after @grant. */
static void remember(struct asked *asked, const struct wire_grant *grant)
{
	struct use *use = entry_use(asked->entry);
	union address address = { .storage = grant->address.address };

	if (!use)
		return;
	if (asked->ask->op == WIRE_OP_CONNECT) {
		use->n_connects++;
		return;
	}
	use->n_binds++;
	if (asked->ask->op != WIRE_OP_BIND)
		return;
	use->cookie = grant->cookie;
	use->pid = (int)asked->who->pid;
	use->port = asked->endpoint.dynamic && address_is_inet(&address)
			    ? address_port(&address)
			    : 0;
	change_bound(asked->graftd, asked->entry);
}

static const char *op_name(const struct asked *asked)
{
	return asked->ask->op == WIRE_OP_CONNECT ? "connect" : "bind";
}

static void tell_grant(struct asked *asked, const struct wire_grant *grant)
{
	char text[160];

	wire_print_address(&grant->address, text, sizeof(text));
	watch_tell(asked->graftd, op_name(asked), asked->entry, asked->who, text);
}

static void tell_denial(struct asked *asked, int r)
{
	struct use *use = asked->entry ? entry_use(asked->entry) : NULL;

	if (use)
		use->n_denied++;
	log_limited(LOG_LEVEL_INFO, "uid %u, pid %d: %s %s: %s",
		    (unsigned int)asked->who->uid, (int)asked->who->pid, op_name(asked),
		    asked->ask->name, *asked->reason ? asked->reason : strerror(-r));
	if (r == -EACCES && asked->entry)
		watch_tell(asked->graftd, "deny", asked->entry, asked->who,
			   asked->reason);
}

/* May the answer be kept until something changes? */
static uint64_t generation(const struct asked *asked)
{
	if (!asked->entry || asked->ask->op != WIRE_OP_CONNECT)
		return 0;
	return page_generation(asked->graftd->page);
}

static int take_ask(struct asked *asked)
{
	struct wire_message message = { .type = WIRE_GRANT };
	int fds[2] = { -1, -1 }, r;

	r = find(asked);
	if (r == 0)
		r = fds[0] = make(asked, &message.grant, &fds[1]);
	if (r < 0) {
		tell_denial(asked, r);
		return answer_error(asked, r);
	}
	message.grant.generation = generation(asked);
	if (asked->entry) {
		remember(asked, &message.grant);
		tell_grant(asked, &message.grant);
	}
	r = answer(asked, &message, fds, fds[1] >= 0 ? 2 : 1);
	fd_close(fds[0]);
	fd_close(fds[1]);
	return r;
}

static void supplied_free(struct supplied *supplied)
{
	struct connection *connection = supplied->connection;

	supply_free(supplied->supply);
	stack_free(supplied->stack);
	link_leave(&supplied->link);
	quota_give(server_graftd(connection->server)->quota, connection->user,
		   QUOTA_SUPPLIES);
	free(supplied);
}

static void supply_ended(void *context, struct supply *supply)
{
	supplied_free(context);
}

static int supply_allowed(void *context)
{
	struct supplied *supplied = context;
	struct asked asked = {
		.graftd = server_graftd(supplied->connection->server),
		.connection = supplied->connection,
		.who = &supplied->connection->identity,
		.ask = &supplied->ask,
	};
	int r = find(&asked);

	asked_release(&asked);
	return r;
}

static int source_of(struct asked *asked, struct wire_address *ret)
{
	struct policy_verdict verdict;

	if (!asked->entry)
		return -EINVAL;
	policy_endpoint_verdict(&asked->endpoint, POLICY_BIND, (int)asked->ask->family,
				&verdict);
	if (verdict.address.ss_family == AF_UNIX)
		return -EAFNOSUPPORT;
	ret->address = verdict.address;
	ret->len = verdict.address_len;
	return 0;
}

static int start_supply(struct asked *asked, struct supplied *supplied)
{
	struct supply_request request = {
		.loop = &asked->graftd->loop,
		.stack = asked->stack,
		.family = (int)asked->ask->family,
		.type = (int)asked->ask->type,
		.protocol = (int)asked->ask->protocol,
		.uid = asked->who->uid,
		.gid = asked->who->gid,
		.end = asked->socket,
		.allow = supply_allowed,
		.ended = supply_ended,
		.context = supplied,
	};
	int r = 0;

	if (asked->ask->op == WIRE_OP_FROM)
		r = source_of(asked, &request.source);
	if (r == 0 && asked->endpoint.kind == ENDPOINT_UNIX && asked->entry)
		r = -EAFNOSUPPORT;
	return r < 0 ? r : supply_new(&supplied->supply, &request);
}

/* Return: 0, and asked->socket is taken over; -errno. */
static int supply(struct asked *asked)
{
	struct connection *connection = asked->connection;
	struct supplied *supplied;
	int r;

	if (asked->ask->op == WIRE_OP_BIND)
		return -EINVAL;
	if (!is_pair_end(asked->socket))
		return -EPROTOTYPE;
	if (asked->ask->type != SOCK_STREAM && asked->ask->type != SOCK_DGRAM)
		return -EPROTOTYPE;
	r = find(asked);
	if (r < 0)
		return r;
	supplied = calloc(1, sizeof(*supplied));
	if (!supplied)
		return -ENOMEM;
	supplied->connection = connection;
	supplied->ask = *asked->ask;
	link_init(&supplied->link);
	r = quota_take(asked->graftd->quota, connection->user, QUOTA_SUPPLIES, false);
	if (r < 0) {
		free(supplied);
		return deny(asked, r, "too many supplies of this user");
	}
	r = start_supply(asked, supplied);
	if (r < 0) {
		quota_give(asked->graftd->quota, connection->user, QUOTA_SUPPLIES);
		free(supplied);
		return r;
	}
	supplied->stack = steal_pointer(asked->own_stack);
	link_join(&supplied->link, &connection->supplies);
	return 0;
}

static int take_supply(struct asked *asked, int *end)
{
	const struct wire_message bye = { .type = WIRE_BYE };
	int r = supply(asked);

	if (r < 0) {
		tell_denial(asked, r);
		return answer_error(asked, r);
	}
	*end = -1;
	return answer(asked, &bye, NULL, 0);
}

static int take_page(struct asked *asked)
{
	const struct wire_message message = { .type = WIRE_PAGE };
	int fd = page_fd(asked->graftd->page);

	return answer(asked, &message, &fd, 1);
}

static int dispatch(struct asked *asked, enum wire_type type, int *last)
{
	switch (type) {
	case WIRE_ASK:
		return take_ask(asked);
	case WIRE_ASK_SUPPLY:
		return take_supply(asked, last);
	case WIRE_ASK_PAGE:
		return take_page(asked);
	default:
		deny(asked, 0, "policies are not kept here");
		return answer_error(asked, -EOPNOTSUPP);
	}
}

int ask_take(struct connection *connection, const struct wire_message *message, int *fds,
	     size_t n_fds)
{
	bool has_reply = message->ask.flags & WIRE_F_REPLY;
	bool has_socket =
		(message->type == WIRE_ASK && message->ask.flags & WIRE_F_SOCKET) ||
		message->type == WIRE_ASK_SUPPLY;
	struct asked asked = {
		.graftd = server_graftd(connection->server),
		.connection = connection,
		.who = &connection->identity,
		.ask = &message->ask,
		.reply = -1,
		.socket = -1,
	};
	int r;

	connection->is_greeted = true;
	if (n_fds != (size_t)has_reply + has_socket ||
	    (has_reply && !is_pair_end(fds[0]))) {
		connection->is_ending = true;
		return connection_refuse(connection, EPROTO,
					 "not the descriptors the ask speaks of");
	}
	if (has_reply)
		asked.reply = fds[0];
	if (has_socket)
		asked.socket = fds[n_fds - 1];
	r = dispatch(&asked, message->type, has_socket ? &fds[n_fds - 1] : NULL);
	asked_release(&asked);
	return r;
}

void ask_end(struct connection *connection)
{
	while (!link_is_alone(&connection->supplies))
		supplied_free(
			container_of(connection->supplies.next, struct supplied, link));
}
