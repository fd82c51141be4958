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
#include "broker/departed.h"
#include "broker/graftd.h"
#include "broker/journal.h"
#include "broker/metrics.h"
#include "broker/page.h"
#include "broker/places.h"
#include "broker/quota.h"
#include "broker/use.h"
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

static int journal_entry(struct journal *journal, const struct entry *entry,
			 enum record_kind kind)
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
	} else if (kind == RECORD_BOUND && !use_record(entry, &record)) {
		return 0;
	}
	return journal_append(journal, &record);
}

int change_insert(struct graftd *graftd, const struct change_owner *owner,
		  const char *line, size_t size, bool force, struct entry **ret)
{
	const struct quota_who who =
		quota_who(owner->uid, owner->flags & ENTRY_ADMIN, owner->netns);
	struct user *user = quota_ref(graftd->quota, &who);
	struct entry *entry;
	int r;

	if (!user)
		return -ENOMEM;
	r = quota_take(graftd->quota, user, QUOTA_ENDPOINTS, force);
	quota_unref(graftd->quota, user);
	if (r < 0)
		return r;
	r = registry_add(graftd->registry, owner->netns, line, size, &entry);
	if (r < 0) {
		quota_give(graftd->quota, user, QUOTA_ENDPOINTS);
		return r;
	}
	entry->user = user;
	entry->uid = owner->uid;
	entry->gid = owner->gid;
	entry->flags = (uint8_t)owner->flags;
	*ret = entry;
	return 0;
}

void change_take_out(struct graftd *graftd, struct entry *entry)
{
	struct user *user = entry->user;

	use_release(graftd, entry);
	registry_del(graftd->registry, entry);
	quota_give(graftd->quota, user, QUOTA_ENDPOINTS);
}

/* As change_insert(), and in the journal; told. */
static int add(struct graftd *graftd, const struct change_owner *owner, const char *line,
	       size_t size, const struct identity *who)
{
	struct entry *entry;
	int r = change_insert(graftd, owner, line, size, false, &entry);

	if (r < 0)
		return r;
	r = journal_entry(graftd->journal, entry, RECORD_ADD);
	if (r < 0) {
		change_take_out(graftd, entry);
		return r;
	}
	page_bump(graftd->page);
	metrics_count(graftd->metrics, METRICS_ADDS);
	if (who)
		departed_note(graftd, entry->table, who);
	places_set(graftd, entry);
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
	struct change_owner owner = { .netns = who->netns,
				      .uid = who->uid,
				      .gid = who->gid };
	struct policy_error parse_error = { "" };
	char line[LINE_MAX_SIZE];
	const char *reason = "";
	int r = endpoint_parse(&endpoint, NULL, text, strlen(text), &parse_error);

	if (r < 0) {
		memset(&endpoint, 0, sizeof(endpoint));
		return fail(error, r, "%s",
			    *parse_error.text ? parse_error.text : strerror(-r));
	}
	if (endpoint_is_for_module(&endpoint))
		return fail(error, -EOPNOTSUPP,
			    "'%s' has %s: only the module af_graft keeps such endpoints",
			    endpoint.name, endpoint_is_for_module(&endpoint));
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
	metrics_count(graftd->metrics, METRICS_DELS);
	places_del(graftd, entry);
	watch_tell(graftd, "del", entry, who, NULL);
	change_take_out(graftd, entry);
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

/* Is a socket bound for one good for the other? */
static bool is_same_place(const struct entry *old, const struct endpoint *new)
{
	const unsigned int options = ENDPOINT_HOLD | ENDPOINT_SHARE;
	struct endpoint was;
	bool is_same;

	if (endpoint_parse(&was, NULL, old->line, old->line_size, NULL) < 0)
		return false;
	is_same = was.kind == new->kind &&was.dynamic == new->dynamic &&was.port ==
			  new->port &&
		  (was.options & options) == (new->options &options) &&
		  was.netns.kind == NETNS_DEFAULT &&new->netns.kind == NETNS_DEFAULT;
	switch (was.kind) {
	case ENDPOINT_IPV4:
		is_same = is_same && was.v4.s_addr == new->v4.s_addr;
		break;
	case ENDPOINT_IPV6:
		is_same = is_same && IN6_ARE_ADDR_EQUAL(&was.v6, &new->v6);
		break;
	case ENDPOINT_UNIX:
		is_same = is_same && strcmp(was.path, new->path) == 0;
		break;
	case ENDPOINT_ANY:
	case ENDPOINT_NAMED:
		is_same = false;
		break;
	}
	endpoint_release(&was);
	return is_same;
}

/* What is bound stays so when only who may use it has changed. */
static int replace(struct graftd *graftd, struct entry *old,
		   const struct change_owner *owner, const struct endpoint *endpoint,
		   const char *line, size_t size)
{
	struct entry kept = { .use = NULL };
	struct entry *new;
	int r;

	if (!(old->flags & ENTRY_FILE))
		log_warning("'%s', added by uid %u, gives way to the configuration file's",
			    endpoint->name, (unsigned int)old->uid);
	else if (old->user->who.uid == owner->uid && is_same_place(old, endpoint))
		use_move(&kept, old);
	change_drop(graftd, old, NULL);
	r = add(graftd, owner, line, size, NULL);
	new = r < 0 ? &kept
		    : registry_find(graftd->registry, owner->netns, endpoint->name);
	if (kept.use) {
		use_move(new, &kept);
		places_set(graftd, new);
		return r < 0 ? r : change_bound(graftd, new);
	}
	return r;
}

static int add_file(struct graftd *graftd, const struct endpoint *endpoint)
{
	struct change_owner owner = { .netns = graftd->self.netns,
				      .uid = graftd->self.uid,
				      .gid = getgid(),
				      .flags = ENTRY_FILE | ENTRY_ADMIN };
	struct entry *old =
		registry_find(graftd->registry, graftd->self.netns, endpoint->name);
	char line[LINE_MAX_SIZE];
	int r = canonical(endpoint, NULL, line);

	if (r < 0)
		return r;
	if (!old)
		return add(graftd, &owner, line, (size_t)r, NULL);
	if (old->flags & ENTRY_FILE && strcmp(old->line, line) == 0)
		return 0;
	return replace(graftd, old, &owner, endpoint, line, (size_t)r);
}

int change_file(struct graftd *graftd, const struct policy *policy)
{
	struct entry *entry;
	uint32_t cursor = 0;
	int result = 0;

	while ((entry = registry_next(graftd->registry, &cursor))) {
		char name[POLICY_NAME_MAX + 1];

		if (!(entry->flags & ENTRY_FILE))
			continue;
		entry_name(entry, name);
		if (!policy || !policy_find_endpoint(policy, name))
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
		if (r == 0)
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

int change_compact(struct graftd *graftd)
{
	return journal_compact(graftd->journal, emit, graftd);
}

int change_commit(struct graftd *graftd)
{
	int r = journal_commit(graftd->journal);

	if (r < 0)
		log_limited(LOG_LEVEL_ERROR, "cannot write the journal: %s",
			    strerror(-r));
	if (journal_wants_compaction(graftd->journal, registry_n(graftd->registry))) {
		r = change_compact(graftd);
		if (r < 0)
			log_limited(LOG_LEVEL_ERROR, "cannot write a new journal: %s",
				    strerror(-r));
	}
	return r;
}
