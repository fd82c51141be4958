/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/graftd.h"
#include "broker/grant.h"
#include "broker/hold.h"
#include "broker/keep.h"
#include "broker/quota.h"
#include "broker/registry.h"
#include "broker/store.h"

struct keep {
	struct link link; /* of graftd->keeps */
	struct store_item item;
	struct hold *hold;
	struct entry *entry;
};

static void keep_free(struct keep *keep)
{
	link_leave(&keep->link);
	hold_free(keep->hold);
	free(keep);
}

/* @fd is taken over on success. */
static int keep_new(struct keep **ret, struct graftd *graftd, struct entry *entry, int fd)
{
	struct use *use = entry_use(entry);
	struct keep *keep = use ? calloc(1, sizeof(*keep)) : NULL;
	int r;

	if (!keep)
		return -ENOMEM;
	r = hold_new(&keep->hold, &graftd->loop, fd);
	if (r < 0) {
		free(keep);
		return r;
	}
	keep->entry = entry;
	keep->item.fd = fd;
	link_init(&keep->link);
	link_join(&keep->link, &graftd->keeps);
	use->keep = keep;
	use->is_held = true;
	*ret = keep;
	return 0;
}

/* So that the next graftd has it. */
static void put(struct graftd *graftd, struct keep *keep)
{
	char endpoint[64];
	const struct store_name name = { .kind = STORE_HELD,
					 .netns = keep->entry->table->netns,
					 .cookie = hold_cookie(keep->hold),
					 .endpoint = endpoint };
	int r;

	entry_name(keep->entry, endpoint);
	r = store_print_name(&name, keep->item.name);
	if (r == 0)
		r = store_put(graftd->store, &keep->item);
	if (r < 0)
		log_limited(LOG_LEVEL_WARNING,
			    "the socket of '%s' is held, but would not outlive us: %s",
			    endpoint, strerror(-r));
}

static int make(struct graftd *graftd, struct entry *entry,
		const struct grant_request *request, struct wire_grant *ret)
{
	_cleanup_fd_ int fd = grant_make(request, ret, NULL), copy = -1;
	struct keep *keep;
	int r;

	if (fd < 0)
		return fd_steal(&fd);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	r = keep_new(&keep, graftd, entry, copy);
	if (r < 0)
		return r;
	fd_steal(&copy);
	put(graftd, keep);
	ret->flags |= WIRE_F_HELD;
	return fd_steal(&fd);
}

static int make_counted(struct graftd *graftd, struct entry *entry,
			const struct grant_request *request, struct wire_grant *ret)
{
	int r = quota_take(graftd->quota, entry->user, QUOTA_HELD, false);

	if (r < 0)
		return r;
	r = make(graftd, entry, request, ret);
	if (r < 0)
		quota_give(graftd->quota, entry->user, QUOTA_HELD);
	return r;
}

int keep_grant(struct graftd *graftd, struct entry *entry,
	       const struct grant_request *request, pid_t pid, struct wire_grant *ret)
{
	struct use *use = entry_use(entry);
	int fd = -ESTALE;

	if (!use)
		return -ENOMEM;
	if (use->keep) {
		if (!request->shares && hold_is_taken(use->keep->hold, pid))
			return -EADDRINUSE;
		fd = hold_grant(use->keep->hold, request, ret);
		if (fd == -ESTALE)
			keep_drop(graftd, entry);
	}
	if (fd == -ESTALE)
		fd = make_counted(graftd, entry, request, ret);
	if (fd >= 0)
		hold_note(use->keep->hold, pid);
	return fd;
}

uint64_t keep_user_start(const struct entry *entry)
{
	if (!entry->use || !entry->use->keep)
		return 0;
	return hold_get_user(entry->use->keep->hold).start;
}

void keep_drop(struct graftd *graftd, struct entry *entry)
{
	struct keep *keep = entry->use ? entry->use->keep : NULL;

	if (!keep)
		return;
	entry->use->keep = NULL;
	entry->use->is_held = false;
	store_remove(graftd->store, &keep->item);
	keep_free(keep);
	quota_give(graftd->quota, entry->user, QUOTA_HELD);
}

static bool has_hold(const struct entry *entry)
{
	struct endpoint endpoint = { 0 };
	bool holds;

	if (endpoint_parse(&endpoint, NULL, entry->line, entry->line_size, NULL) < 0)
		return false;
	holds = endpoint.options & ENDPOINT_HOLD;
	endpoint_release(&endpoint);
	return holds;
}

/* The journal may not have had time to hear of the bind; the socket is there. */
static void restore_use(const struct keep *keep)
{
	struct use *use = keep->entry->use;
	struct hold_user user = { .pid = use->pid, .start = use->start };

	if (use->cookie == hold_cookie(keep->hold))
		hold_set_user(keep->hold, &user);
	use->cookie = hold_cookie(keep->hold);
}

struct store_item *keep_restore(struct graftd *graftd, const struct store_name *name,
				int fd)
{
	struct entry *entry =
		registry_find(graftd->registry, name->netns, name->endpoint);
	struct keep *keep;
	int r = -ENOENT;

	if (entry && has_hold(entry) && !(entry->use && entry->use->keep))
		r = keep_new(&keep, graftd, entry, fd);
	if (r < 0) {
		log_warning("a socket held for '%s' is let go: %s", name->endpoint,
			    r == -ENOENT ? "there is no such endpoint now"
					 : strerror(-r));
		return NULL;
	}
	quota_take(graftd->quota, entry->user, QUOTA_HELD, true);
	restore_use(keep);
	return &keep->item;
}

void keep_settle(struct graftd *graftd)
{
	struct entry *entry;
	uint32_t cursor = 0;
	size_t n_lost = 0;

	while ((entry = registry_next(graftd->registry, &cursor))) {
		struct use *use = entry->use;

		if (!use || !use->is_held || use->keep)
			continue;
		use->is_held = false;
		use->cookie = 0;
		use->port = 0;
		n_lost++;
	}
	if (n_lost)
		log_warning("%zu held sockets are lost: nobody kept them", n_lost);
}

void keep_free_all(struct graftd *graftd)
{
	while (!link_is_alone(&graftd->keeps)) {
		struct keep *keep = container_of(graftd->keeps.next, struct keep, link);

		keep->entry->use->keep = NULL;
		keep_free(keep);
	}
}
