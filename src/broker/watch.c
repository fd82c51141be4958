/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A watcher first gets the list of what there is, then what changes, and must be able to
 * put the two together: what happens to an entry that the list has passed already waits
 * until the list is through; that of an entry still ahead is in the list by itself.
 *
 * Events come as fast as others cause them, so a watcher that does not keep up is not
 * waited for: behind WATCH_MAX bytes it is told that it was too slow, and closed.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "broker/access.h"
#include "broker/connection.h"
#include "broker/graftd.h"
#include "broker/metrics.h"
#include "broker/server.h"
#include "broker/watch.h"

#define WATCH_MAX (256u << 10)

static void drop(struct connection *connection)
{
	log_limited(LOG_LEVEL_INFO, "uid %u, pid %d: watches too slowly, dropped",
		    (unsigned int)connection->identity.uid,
		    (int)connection->identity.pid);
	metrics_count(server_graftd(connection->server)->metrics, METRICS_SLOW);
	packets_clear(&connection->out);
	packets_clear(&connection->later);
	connection->listing = LISTING_NONE;
	connection->is_ending = true;
	link_leave(&connection->watching);
	connection_refuse(connection, ENOBUFS, "too slow: events were lost");
	server_mark(connection);
}

static bool is_ahead(const struct connection *connection, const struct entry *entry,
		     const char *kind)
{
	return connection->listing == LISTING_WATCH &&
	       entry->slot >= connection->cursor &&
	       (strcmp(kind, "add") == 0 || strcmp(kind, "del") == 0);
}

static void tell(struct connection *connection, const struct wire_message *message)
{
	char data[WIRE_MAX];
	ssize_t n;

	if (connection->out.size + connection->later.size > WATCH_MAX) {
		drop(connection);
		return;
	}
	if (connection->listing == LISTING_NONE) {
		connection_send(connection, message);
		return;
	}
	n = wire_write(message, data, sizeof(data));
	if (n > 0)
		packets_add(&connection->later, data, (size_t)n, NULL, 0);
}

static void fill(struct wire_event *event, const char *kind, const struct entry *entry,
		 const struct identity *who, const char *text)
{
	wire_set_text(event->kind, sizeof(event->kind), kind);
	wire_set_text(event->text, sizeof(event->text), text);
	if (who) {
		event->uid = who->uid;
		event->pid = (uint32_t)who->pid;
	}
	if (entry) {
		entry_name(entry, event->name);
		event->netns = entry->table->netns;
	}
}

bool watch_is_on(const struct graftd *graftd)
{
	return graftd->server && !link_is_alone(server_watchers(graftd->server));
}

void watch_tell(struct graftd *graftd, const char *kind, const struct entry *entry,
		const struct identity *who, const char *text)
{
	struct wire_message message = { .type = WIRE_EVENT };
	struct link *ring, *next;

	if (!watch_is_on(graftd))
		return;
	ring = server_watchers(graftd->server);
	fill(&message.event, kind, entry, who, text);
	for (struct link *at = ring->next; at != ring; at = next) {
		struct connection *connection =
			container_of(at, struct connection, watching);

		next = at->next;
		if (entry && (is_ahead(connection, entry, kind) ||
			      !access_may_see(&connection->identity, entry)))
			continue;
		tell(connection, &message);
	}
}
