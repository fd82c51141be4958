/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/address.h"
#include "base/fd.h"
#include "broker/access.h"
#include "broker/asked.h"
#include "broker/connection.h"
#include "broker/graftd.h"
#include "broker/namespaces.h"
#include "stack/stack.h"

int asked_deny(struct asked *asked, int number, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(asked->reason, sizeof(asked->reason), format, args);
	va_end(args);
	return number;
}

void asked_release(struct asked *asked)
{
	endpoint_release(&asked->endpoint);
	asked->own_stack = stack_free(asked->own_stack);
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
	return r < 0 ? asked_deny(asked, r, "%s", reason) : 0;
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
		return asked_deny(asked, -ENETDOWN,
				  "the endpoint's namespace is not there");
	asked->stack = asked->own_stack;
	return r;
}

int asked_find(struct asked *asked)
{
	const char *reason = "";
	struct entry *entry;
	int r;

	if (strcmp(asked->ask->name, WIRE_NAME_HOST) == 0)
		return find_host(asked);
	entry = find_entry(asked);
	if (!entry)
		return asked_deny(asked, -ENOENT, "no endpoint '%s'", asked->ask->name);
	r = endpoint_parse(&asked->endpoint, NULL, entry->line, entry->line_size, NULL);
	if (r < 0)
		return r;
	asked->entry = entry;
	r = access_may_use(asked->who, entry, &asked->endpoint, uses_of(asked), &reason);
	if (r < 0)
		return asked_deny(asked, r, "%s", reason);
	return find_stack(asked);
}
