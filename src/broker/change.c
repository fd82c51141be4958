/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Order of things in a change: what may refuse it (grammar, rights, quota, memory, room
 * on the disk), then the registry, then what cannot fail: generation, event. The answer
 * is sent after change_commit().
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "broker/access.h"
#include "broker/change.h"
#include "broker/graftd.h"
#include "broker/journal.h"
#include "broker/page.h"
#include "broker/quota.h"
#include "broker/watch.h"
#include "wire/wire.h"

#define LINE_MAX_SIZE sizeof(((struct wire_add *)NULL)->line)
#define PRINTED_WORD  "endpoint "

static int fail(struct change_error *error, int number, const char *format, ...)
	_printf_(3, 4);

static int fail(struct change_error *error, int number, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return number;
}

static struct record record_of(const struct entry *entry, enum record_kind kind)
{
	struct record record = { .kind = kind,
				 .netns = entry->table->netns,
				 .text = entry->line,
				 .text_size = entry->name_size };

	if (kind == RECORD_ADD) {
		record.uid = entry->uid;
		record.gid = entry->gid;
		record.flags = entry->flags;
		record.text_size = entry->line_size;
	} else if (kind == RECORD_BOUND && entry->use) {
		record.cookie = entry->use->cookie;
		record.pid = entry->use->pid;
		record.port = entry->use->port;
		record.flags = entry->use->is_held;
	}
	return record;
}

static int journal_entry(struct journal *journal, const struct entry *entry,
			 enum record_kind kind)
{
	struct record record = record_of(entry, kind);

	return journal_append(journal, &record);
}

/* Who an entry is to belong to. */
struct owner {
	uint64_t netns;
	uid_t uid;
	gid_t gid;
	unsigned int flags;
};

/* Return: 0 with the entry, counted and in the table; -errno. */
static int insert(struct graftd *graftd, const struct owner *owner, const char *line,
		  size_t size, bool force, struct entry **ret)
{
	struct user *user =
		quota_ref(graftd->quota, owner->uid, owner->flags & ENTRY_ADMIN);
	struct entry *entry;
	int r;

	if (!user)
		return -ENOMEM;
	r = quota_take(graftd->quota, user, QUOTA_ENDPOINTS, force);
	if (r == 0) {
		r = registry_add(graftd->registry, owner->netns, line, size, &entry);
		if (r < 0)
			quota_give(graftd->quota, user, QUOTA_ENDPOINTS);
	}
	quota_unref(graftd->quota, user);
	if (r < 0)
		return r;
	entry->user = user;
	entry->uid = owner->uid;
	entry->gid = owner->gid;
	entry->flags = (uint8_t)owner->flags;
	*ret = entry;
	return 0;
}

static void take_out(struct graftd *graftd, struct entry *entry)
{
	struct user *user = entry->user;

	registry_del(graftd->registry, entry);
	quota_give(graftd->quota, user, QUOTA_ENDPOINTS);
}

/* As insert(), and in the journal; told. */
static int add(struct graftd *graftd, const struct owner *owner, const char *line,
	       size_t size, const struct identity *who)
{
	struct entry *entry;
	int r = insert(graftd, owner, line, size, false, &entry);

	if (r < 0)
		return r;
	r = journal_entry(graftd->journal, entry, RECORD_ADD);
	if (r < 0) {
		take_out(graftd, entry);
		return r;
	}
	page_bump(graftd->page);
	watch_tell(graftd, "add", entry, who, entry->line);
	return 0;
}

/* Its line as the registry keeps it. Return: bytes, or -E2BIG. */
static int canonical(const struct endpoint *endpoint, const struct identity *who,
		     char line[LINE_MAX_SIZE])
{
	char printed[LINE_MAX_SIZE + sizeof(PRINTED_WORD)];
	size_t n = policy_print_endpoint(endpoint, printed, sizeof(printed));
	int size;

	if (n >= sizeof(printed))
		return -E2BIG;
	size = snprintf(line, LINE_MAX_SIZE, "%s", printed + strlen(PRINTED_WORD));
	if (who && access_adds_owner(who, endpoint))
		size += snprintf(line + size, LINE_MAX_SIZE - (size_t)size,
				 " owner uid=%u", (unsigned int)who->uid);
	return size < (int)LINE_MAX_SIZE ? size : -E2BIG;
}

static int explain(int r, const struct endpoint *endpoint, struct change_error *error)
{
	switch (r) {
	case -EEXIST:
		return fail(error, r, "there is an endpoint '%s' already",
			    endpoint->name);
	case -EDQUOT:
		return fail(error, r, "too many endpoints of this user");
	case -E2BIG:
		return fail(error, r, "too long, or too many endpoints");
	case -ENOSPC:
		return fail(error, r, "no room for the journal");
	default:
		return fail(error, r, "%s", strerror(-r));
	}
}

int change_add(struct graftd *graftd, const struct identity *who, const char *text,
	       struct change_error *error)
{
	__attribute__((cleanup(endpoint_release))) struct endpoint endpoint = { 0 };
	struct owner owner = { .netns = who->netns, .uid = who->uid, .gid = who->gid };
	struct policy_error parse_error = { "" };
	char line[LINE_MAX_SIZE];
	const char *reason = "";
	int r = endpoint_parse(&endpoint, NULL, text, strlen(text), &parse_error);

	if (r < 0) {
		memset(&endpoint, 0, sizeof(endpoint));
		return fail(error, r, "%s",
			    *parse_error.text ? parse_error.text : strerror(-r));
	}
	r = access_may_add(who, &endpoint, &owner.flags, &reason);
	if (r < 0)
		return fail(error, r, "%s", reason);
	if (who->is_admin)
		owner.flags |= ENTRY_ADMIN;
	r = canonical(&endpoint, who, line);
	if (r >= 0)
		r = add(graftd, &owner, line, (size_t)r, who);
	return r < 0 ? explain(r, &endpoint, error) : 0;
}

void change_drop(struct graftd *graftd, struct entry *entry, const struct identity *who)
{
	int r = journal_entry(graftd->journal, entry, RECORD_DEL);

	if (r < 0)
		log_limited(LOG_LEVEL_ERROR,
			    "an endpoint's end is not in the journal: %s", strerror(-r));
	watch_tell(graftd, "del", entry, who, NULL);
	take_out(graftd, entry);
	page_bump(graftd->page);
}

int change_del(struct graftd *graftd, const struct identity *who, const char *name,
	       struct change_error *error)
{
	struct entry *entry = registry_find(graftd->registry, who->netns, name);

	if (!entry)
		return fail(error, -ENOENT, "no endpoint '%s' here", name);
	if (entry->flags & ENTRY_FILE)
		return fail(error, -EPERM, "'%s' is defined by the configuration file",
			    name);
	if (!access_may_del(who, entry))
		return fail(error, -EPERM, "'%s' is not yours", name);
	change_drop(graftd, entry, who);
	return 0;
}

/* Takes away what stands in the way of @line. Return: whether it is there already. */
static bool make_way(struct graftd *graftd, const char *name, const char *line)
{
	struct entry *entry = registry_find(graftd->registry, graftd->self.netns, name);

	if (!entry)
		return false;
	if (entry->flags & ENTRY_FILE && strcmp(entry->line, line) == 0)
		return true;
	if (!(entry->flags & ENTRY_FILE))
		log_warning("'%s', added by uid %u, gives way to the configuration file's",
			    name, (unsigned int)entry->uid);
	change_drop(graftd, entry, NULL);
	return false;
}

static int add_file(struct graftd *graftd, const struct endpoint *endpoint)
{
	struct owner owner = { .netns = graftd->self.netns,
			       .uid = graftd->self.uid,
			       .gid = getgid(),
			       .flags = ENTRY_FILE | ENTRY_ADMIN };
	char line[LINE_MAX_SIZE];
	int r = canonical(endpoint, NULL, line);

	if (r < 0 || make_way(graftd, endpoint->name, line))
		return r < 0 ? r : 0;
	return add(graftd, &owner, line, (size_t)r, NULL);
}

int change_file(struct graftd *graftd, const struct policy *policy)
{
	struct entry *entry;
	uint32_t cursor = 0;
	int result = 0;

	while ((entry = registry_next(graftd->registry, &cursor))) {
		char name[POLICY_NAME_MAX + 1];

		entry_name(entry, name);
		if (entry->flags & ENTRY_FILE &&
		    (!policy || !policy_find_endpoint(policy, name)))
			change_drop(graftd, entry, NULL);
	}
	for (size_t i = 0; policy && i < policy_n_endpoints(policy); i++) {
		const struct endpoint *endpoint = policy_endpoint(policy, i);
		int r = add_file(graftd, endpoint);

		if (r < 0) {
			log_error("endpoint '%s': %s", endpoint->name, strerror(-r));
			result = r;
		}
	}
	return result;
}

int change_bound(struct graftd *graftd, const struct entry *entry)
{
	page_bump(graftd->page);
	return journal_entry(graftd->journal, entry, RECORD_BOUND);
}

static int emit(void *context, struct journal *journal)
{
	struct graftd *graftd = context;
	struct entry *entry;
	uint32_t cursor = 0;
	int r = 0;

	while (r == 0 && (entry = registry_next(graftd->registry, &cursor))) {
		r = journal_entry(journal, entry, RECORD_ADD);
		if (r == 0 && entry->use && entry->use->cookie)
			r = journal_entry(journal, entry, RECORD_BOUND);
	}
	for (struct table *t = registry_tables(graftd->registry); t && r == 0;
	     t = t->next) {
		struct record record = { .kind = RECORD_NSID,
					 .netns = t->netns,
					 .nsid = t->nsid };

		if (t->nsid >= 0)
			r = journal_append(journal, &record);
	}
	return r;
}

int change_commit(struct graftd *graftd)
{
	int r = journal_commit(graftd->journal);

	if (r < 0)
		log_limited(LOG_LEVEL_ERROR, "cannot write the journal: %s",
			    strerror(-r));
	if (journal_wants_compaction(graftd->journal, registry_n(graftd->registry))) {
		r = journal_compact(graftd->journal, emit, graftd);
		if (r < 0)
			log_limited(LOG_LEVEL_ERROR, "cannot write a new journal: %s",
				    strerror(-r));
	}
	return r;
}

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
	struct owner owner = {
		.netns = netns,
		.uid = record->uid,
		.gid = record->gid,
		.flags = record->flags,
	};
	struct entry *entry;
	int r = insert(graftd, &owner, record->text, record->text_size, true, &entry);

	if (r < 0)
		log_limited(LOG_LEVEL_WARNING, "endpoint '%s' of the journal: %s",
			    record->text, strerror(-r));
}

static void restore_bound(struct entry *entry, const struct record *record)
{
	struct use *use = entry_use(entry);

	if (!use)
		return;
	use->cookie = record->cookie;
	use->pid = record->pid;
	use->port = (uint16_t)record->port;
	use->is_held = record->flags & 1;
}

static void restore(void *context, const struct record *record)
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
			take_out(graftd, entry);
		return;
	case RECORD_BOUND:
		entry = registry_find(graftd->registry, netns, record->text);
		if (entry && restoring->same_boot)
			restore_bound(entry, record);
		return;
	case RECORD_NSID:
		table = registry_table(graftd->registry, netns);
		if (table)
			table->nsid = record->nsid;
		return;
	case RECORD_BOOT:
		return;
	}
}

int change_restore(struct graftd *graftd)
{
	struct restoring restoring = { .graftd = graftd };
	int r = journal_open(&graftd->journal, graftd->state, graftd->boot,
			     graftd->self.netns, restore, &restoring);

	if (r == 0 && restoring.is_stale)
		r = journal_compact(graftd->journal, emit, graftd);
	return r;
}
