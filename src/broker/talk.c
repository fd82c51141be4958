/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each message of a client leads to.
 *
 *	hello				hello
 *	add, del			bye or error
 *	reload, place			bye or error	the administrator
 *	ask-endpoints			endpoint* bye
 *	watch				endpoint* bye event*
 *	ask, ask-supply, ask-page	see ask.c
 *	bye				the end
 *
 * Requests about the registry come after hello. Descriptors come with asks alone.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "broker/access.h"
#include "broker/ask.h"
#include "broker/change.h"
#include "broker/graftd.h"
#include "broker/metrics.h"
#include "broker/places.h"
#include "broker/quota.h"
#include "broker/reload.h"
#include "broker/server.h"
#include "broker/supplies.h"
#include "broker/use.h"

/* Entries looked at in one go. */
#define LIST_BATCH 256

static struct graftd *graftd_of(const struct connection *connection)
{
	return server_graftd(connection->server);
}

/* Something that does not belong here: told so, and closed. */
static int violate(struct connection *connection, const char *text)
{
	log_limited(LOG_LEVEL_INFO, "uid %u, pid %d: %s",
		    (unsigned int)connection->identity.uid, (int)connection->identity.pid,
		    text);
	connection->is_ending = true;
	metrics_count(graftd_of(connection)->metrics, METRICS_VIOLATED);
	return connection_refuse(connection, EPROTO, "%s", text);
}

static int take_hello(struct connection *connection, const struct wire_hello *hello)
{
	struct wire_message message = { .type = WIRE_HELLO };

	if (connection->is_greeted)
		return violate(connection, "hello twice");
	connection->is_greeted = true;
	wire_set_text(connection->software, sizeof(connection->software),
		      hello->software);
	message.hello.pid = (uint32_t)getpid();
	wire_set_text(message.hello.software, sizeof(message.hello.software),
		      GRAFTD_SOFTWARE);
	return connection_send(connection, &message);
}

static int answer(struct connection *connection, int r, const struct change_error *error)
{
	return r < 0 ? connection_refuse(connection, -r, "%s", error->text)
		     : connection_bye(connection);
}

static int take_add(struct connection *connection, const struct wire_add *add)
{
	struct change_error error = { "" };
	int r = change_add(graftd_of(connection), &connection->identity, add->line,
			   &error);

	return answer(connection, r, &error);
}

static int take_del(struct connection *connection, const struct wire_del *del)
{
	struct change_error error = { "" };
	int r = change_del(graftd_of(connection), &connection->identity, del->name,
			   &error);

	return answer(connection, r, &error);
}

static int take_reload(struct connection *connection)
{
	char text[sizeof(((struct wire_error *)0)->text)] = "";
	int r;

	if (!connection->identity.is_admin)
		return connection_refuse(connection, EPERM,
					 "only the administrator reloads");
	r = reload_ready(graftd_of(connection), text, sizeof(text));
	return r < 0 ? connection_refuse(connection, -r, "%s", text)
		     : connection_bye(connection);
}

static int take_place(struct connection *connection, const struct wire_del *place)
{
	if (!connection->identity.is_admin)
		return connection_refuse(connection, EPERM,
					 "only the administrator attaches policies");
	if (places_tell(graftd_of(connection), place->name) < 0)
		return connection_refuse(connection, ENOENT, "no endpoint '%s'",
					 place->name);
	return connection_bye(connection);
}

static int take_listing(struct connection *connection, enum listing listing)
{
	if (connection->is_watching)
		return violate(connection, "a watcher asks nothing more");
	if (listing == LISTING_WATCH) {
		int r = quota_take(graftd_of(connection)->quota, connection->user,
				   QUOTA_WATCHERS, false);

		if (r < 0)
			return connection_refuse(connection, -r,
						 "too many watchers of this user");
		connection->is_watching = true;
		link_join(&connection->watching, server_watchers(connection->server));
	}
	connection->listing = listing;
	connection->cursor = 0;
	server_mark(connection);
	return 0;
}

static void fill(struct graftd *graftd, struct wire_endpoint *endpoint,
		 const struct entry *entry)
{
	memcpy(endpoint->line, entry->line, entry->line_size);
	endpoint->uid = entry->uid;
	endpoint->netns = entry->table->netns;
	use_show(graftd, entry, endpoint);
}

int talk_list(struct connection *connection)
{
	struct registry *registry = graftd_of(connection)->registry;
	int r = 0;

	for (int i = 0; i < LIST_BATCH && r == 0; i++) {
		struct wire_message message = { .type = WIRE_ENDPOINT };
		struct entry *entry;

		if (connection->out.first)
			return 0;
		entry = registry_next(registry, &connection->cursor);
		if (!entry) {
			r = connection_bye(connection);
			connection->listing = LISTING_NONE;
			packets_join(&connection->out, &connection->later);
			return r;
		}
		if (!access_may_see(&connection->identity, entry))
			continue;
		fill(graftd_of(connection), &message.endpoint, entry);
		r = connection_send(connection, &message);
	}
	return r;
}

void talk_end(struct connection *connection)
{
	if (connection->is_watching)
		quota_give(graftd_of(connection)->quota, connection->user,
			   QUOTA_WATCHERS);
	connection->is_watching = false;
	supplies_end(connection);
}

static bool is_ask(enum wire_type type)
{
	return type == WIRE_ASK || type == WIRE_ASK_SUPPLY || type == WIRE_ASK_PAGE ||
	       type == WIRE_ASK_POLICY;
}

int talk_take(struct connection *connection, const struct wire_message *message, int *fds,
	      size_t n_fds)
{
	if (n_fds && !is_ask(message->type))
		return violate(connection, "descriptors where none belong");
	if (!connection->is_greeted && !is_ask(message->type) &&
	    message->type != WIRE_HELLO)
		return violate(connection, "say hello first");
	switch (message->type) {
	case WIRE_HELLO:
		return take_hello(connection, &message->hello);
	case WIRE_ADD:
		return take_add(connection, &message->add);
	case WIRE_DEL:
		return take_del(connection, &message->del);
	case WIRE_RELOAD:
		return take_reload(connection);
	case WIRE_PLACE:
		return take_place(connection, &message->del);
	case WIRE_ASK_ENDPOINTS:
		return take_listing(connection, LISTING_ONCE);
	case WIRE_WATCH:
		return take_listing(connection, LISTING_WATCH);
	case WIRE_ASK:
	case WIRE_ASK_SUPPLY:
	case WIRE_ASK_PAGE:
	case WIRE_ASK_POLICY:
		return ask_take(connection, message, fds, n_fds);
	case WIRE_BYE:
		return -ENOTCONN;
	default:
		return violate(connection, "not a message for graftd");
	}
}
