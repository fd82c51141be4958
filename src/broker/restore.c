/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal knows which boot wrote it. In another one the namespaces it speaks of are
 * gone, and so are all sockets; what was added in graftd's own namespace comes back in
 * what is its own now.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/change.h"
#include "broker/graftd.h"
#include "broker/journal.h"
#include "broker/restore.h"
#include "broker/store.h"
#include "broker/use.h"

struct restoring {
	struct graftd *graftd;
	bool same_boot;
	uint64_t netns; /* of the last writer */
	bool is_stale;  /* holds what is not true any more */
};

/* After a reboot what was graftd's own namespace is it again; others are gone.
 * Return: false for those. */
static bool translate(struct restoring *restoring, uint64_t *netns)
{
	if (restoring->same_boot)
		return true;
	restoring->is_stale = true;
	if (*netns != restoring->netns)
		return false;
	*netns = restoring->graftd->self.netns;
	return true;
}

static void restore_add(struct graftd *graftd, const struct record *record,
			uint64_t netns)
{
	struct change_owner owner = {
		.netns = netns,
		.uid = record->uid,
		.gid = record->gid,
		.flags = record->flags,
	};
	struct entry *entry;
	int r = change_insert(graftd, &owner, record->text, record->text_size, true,
			      &entry);

	if (r < 0)
		log_limited(LOG_LEVEL_WARNING, "endpoint '%s' of the journal: %s",
			    record->text, strerror(-r));
}

static void on_record(void *context, const struct record *record)
{
	struct restoring *restoring = context;
	struct graftd *graftd = restoring->graftd;
	uint64_t netns = record->netns;
	struct entry *entry;
	struct table *table;

	if (record->kind == RECORD_BOOT) {
		restoring->same_boot =
			strncmp(record->text, graftd->boot, strlen(graftd->boot)) == 0;
		restoring->netns = netns;
		return;
	}
	if (!translate(restoring, &netns))
		return;
	switch (record->kind) {
	case RECORD_ADD:
		restore_add(graftd, record, netns);
		return;
	case RECORD_DEL:
		entry = registry_find(graftd->registry, netns, record->text);
		if (entry)
			change_take_out(graftd, entry);
		return;
	case RECORD_BOUND:
		entry = registry_find(graftd->registry, netns, record->text);
		if (entry && restoring->same_boot)
			use_restore(entry, record);
		return;
	case RECORD_NSID:
		table = registry_table(graftd->registry, netns);
		/* Numbers are those of the namespace that gave them. */
		if (table && restoring->netns == graftd->self.netns)
			table->nsid = record->nsid;
		return;
	case RECORD_BOOT:
		return;
	}
}

int restore_registry(struct graftd *graftd)
{
	struct restoring restoring = { .graftd = graftd };
	int r = journal_open(&graftd->journal, graftd->state, graftd->boot,
			     graftd->self.netns, on_record, &restoring);

	if (r == 0 && restoring.is_stale)
		r = change_compact(graftd);
	return r;
}

void restore_found(void *context, const char *name, int fd)
{
	struct restore_kept *kept = context;
	struct restore_socket *sockets;

	sockets = reallocarray(kept->sockets, kept->n + 1, sizeof(*sockets));
	if (!sockets || strlen(name) >= sizeof(sockets->name)) {
		kept->sockets = sockets ? sockets : kept->sockets;
		fd_close(fd);
		return;
	}
	kept->sockets = sockets;
	snprintf(sockets[kept->n].name, sizeof(sockets->name), "%s", name);
	sockets[kept->n++].fd = fd;
}

static bool is_ours(const char *name)
{
	return !strcmp(name, STORE_CONTROL) ||
	       !strncmp(name, STORE_HELD, strlen(STORE_HELD));
}

int restore_given(struct restore_kept *kept)
{
	for (size_t i = 0; i < kept->n; i++)
		if (!is_ours(kept->sockets[i].name) &&
		    sd_is_socket_unix(kept->sockets[i].fd, SOCK_SEQPACKET, 1, NULL, 0) >
			    0)
			return fd_steal(&kept->sockets[i].fd);
	return -1;
}

int restore_control(struct restore_kept *kept)
{
	for (size_t i = 0; i < kept->n; i++)
		if (!strcmp(kept->sockets[i].name, STORE_CONTROL))
			return fd_steal(&kept->sockets[i].fd);
	return -1;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct restore_socket *)a)->name,
		      ((const struct restore_socket *)b)->name);
}

/* Return: whether it has what it is to have. */
static bool restore_entry(struct graftd *graftd, struct restore_kept *kept,
			  struct entry *entry)
{
	struct restore_socket key = { .fd = -1 }, *socket = NULL;

	if (!use_wants_held(entry, key.name))
		return true;
	if (kept->n)
		socket = bsearch(&key, kept->sockets, kept->n, sizeof(key), compare);
	if (!socket || socket->fd < 0 || use_restore_held(graftd, entry, socket->fd) < 0)
		return false;
	socket->fd = -1;
	return true;
}

void restore_held(struct graftd *graftd, struct restore_kept *kept)
{
	struct entry *entry;
	uint32_t cursor = 0;
	size_t n_lost = 0;

	if (kept->n)
		qsort(kept->sockets, kept->n, sizeof(*kept->sockets), compare);
	while (graftd->registry && (entry = registry_next(graftd->registry, &cursor)))
		if (entry->use && !restore_entry(graftd, kept, entry))
			n_lost++;
	if (n_lost) {
		log_warning("%zu held sockets are lost: nobody kept them", n_lost);
		/* The next one is to miss them no more. */
		change_compact(graftd);
	}
	for (size_t i = 0; i < kept->n; i++) {
		struct restore_socket *socket = &kept->sockets[i];

		if (socket->fd < 0)
			continue;
		log_warning("a kept socket, %s, is nobody's any more", socket->name);
		if (graftd->store)
			store_drop(graftd->store, socket->name);
		fd_close(socket->fd);
	}
	free(kept->sockets);
	*kept = (struct restore_kept){ 0 };
}
