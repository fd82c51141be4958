/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A namespace's table says which number it has in ours (nsid.h), and so does the journal.
 * When that number is free the table is dropped. A number may be used again while no
 * graftd is there: then a table stays until that namespace goes, too, which harms nobody,
 * for no client has its cookie any more.
 *
 * Without the privilege to give numbers, tables stay until a reboot.
 */
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/change.h"
#include "broker/departed.h"
#include "broker/graftd.h"
#include "broker/journal.h"
#include "broker/nsid.h"

static void drop_table(struct graftd *graftd, uint64_t netns)
{
	struct entry *entry;
	uint32_t cursor = 0;
	size_t n = 0;

	while ((entry = registry_next(graftd->registry, &cursor))) {
		if (entry->table->netns == netns) {
			change_drop(graftd, entry, NULL);
			n++;
		}
	}
	log_info("a namespace is gone, and %zu endpoints with it", n);
}

static void gone(void *context, int number)
{
	struct graftd *graftd = context;
	struct table *table = registry_tables(graftd->registry);

	while (table && table->nsid != number)
		table = table->next;
	if (table)
		drop_table(graftd, table->netns);
}

/* Return: one that is not there any more, or NULL. */
static struct table *find_gone(struct graftd *graftd)
{
	struct table *table = registry_tables(graftd->registry);

	while (table &&
	       (table->nsid < 0 || nsid_is_there(graftd->nsid, table->nsid) != 0))
		table = table->next;
	return table;
}

static void look(void *context)
{
	struct graftd *graftd = context;
	struct table *table;

	while ((table = find_gone(graftd)))
		drop_table(graftd, table->netns);
}

int departed_begin(struct graftd *graftd)
{
	static const struct nsid_ops ops = { gone, look };
	int r = nsid_new(&graftd->nsid, &graftd->loop, &ops, graftd);

	if (r < 0)
		return r;
	look(graftd);
	return 0;
}

void departed_end(struct graftd *graftd)
{
	graftd->nsid = nsid_free(graftd->nsid);
}

void departed_note(struct graftd *graftd, struct table *table, const struct identity *who)
{
	struct record record = { .kind = RECORD_NSID, .netns = table->netns };
	_cleanup_fd_ int netns = -1;
	int number;

	if (table->nsid >= 0 || who->is_local || !graftd->nsid)
		return;
	netns = identity_netns(who);
	number = netns < 0 ? netns : nsid_of(graftd->nsid, netns);
	if (number < 0) {
		log_limited(LOG_LEVEL_INFO,
			    "the end of a namespace will go unnoticed: %s",
			    strerror(-number));
		return;
	}
	table->nsid = record.nsid = number;
	journal_append(graftd->journal, &record);
}
