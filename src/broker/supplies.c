/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "base/fd.h"
#include "broker/connection.h"
#include "broker/graftd.h"
#include "broker/quota.h"
#include "broker/server.h"
#include "broker/supplies.h"
#include "broker/supply.h"
#include "stack/stack.h"

struct supplied {
	struct link link;
	struct connection *connection;
	struct supply *supply;
	struct stack *stack; /* or NULL: graftd's */
	struct wire_ask ask;
};

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

static void ended(void *context, struct supply *supply)
{
	supplied_free(context);
}

static int may_go_on(void *context)
{
	struct supplied *supplied = context;
	struct asked asked = {
		.graftd = server_graftd(supplied->connection->server),
		.connection = supplied->connection,
		.who = &supplied->connection->identity,
		.ask = &supplied->ask,
	};
	int r = asked_find(&asked);

	asked_release(&asked);
	return r;
}

/* FROM: what each socket is bound to. */
static int find_source(const struct asked *asked, struct wire_address *ret)
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

static int start(struct asked *asked, struct supplied *supplied)
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
		.allow = may_go_on,
		.ended = ended,
		.context = supplied,
	};
	int r = 0;

	if (asked->ask->op == WIRE_OP_FROM)
		r = find_source(asked, &request.source);
	if (r == 0 && asked->entry && asked->endpoint.kind == ENDPOINT_UNIX)
		request.family = AF_UNIX;
	return r < 0 ? r : supply_new(&supplied->supply, &request);
}

static int check(const struct asked *asked)
{
	const struct wire_ask *ask = asked->ask;

	if (ask->op != WIRE_OP_CONNECT && ask->op != WIRE_OP_FROM)
		return -EINVAL;
	if (ask->type != SOCK_STREAM && ask->type != SOCK_DGRAM)
		return -EPROTOTYPE;
	return ask->family == AF_INET || ask->family == AF_INET6 ? 0 : -EAFNOSUPPORT;
}

int supplies_start(struct asked *asked)
{
	struct connection *connection = asked->connection;
	struct quota *quota = asked->graftd->quota;
	struct supplied *supplied;
	int r = check(asked);

	if (r == 0)
		r = asked_find(asked);
	if (r < 0)
		return r;
	r = quota_take(quota, connection->user, QUOTA_SUPPLIES, false);
	if (r < 0)
		return asked_deny(asked, r, "too many supplies of this user");
	supplied = calloc(1, sizeof(*supplied));
	if (supplied) {
		supplied->connection = connection;
		supplied->ask = *asked->ask;
		link_init(&supplied->link);
	}
	r = supplied ? start(asked, supplied) : -ENOMEM;
	if (r < 0) {
		quota_give(quota, connection->user, QUOTA_SUPPLIES);
		free(supplied);
		return r;
	}
	supplied->stack = steal_pointer(asked->own_stack);
	link_join(&supplied->link, &connection->supplies);
	return 0;
}

void supplies_end(struct connection *connection)
{
	while (!link_is_alone(&connection->supplies))
		supplied_free(
			container_of(connection->supplies.next, struct supplied, link));
}
