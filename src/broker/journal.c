/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 *	CHECKSUM g BOOT NETNS
 *	CHECKSUM a NETNS UID GID FLAGS LINE
 *	CHECKSUM d NETNS NAME
 *	CHECKSUM b NETNS COOKIE START PID PORT FAMILY TYPE PROTOCOL HELD NAME
 *	CHECKSUM n NETNS NSID
 *
 * Text, one record a line, numbers in hexadecimal; the checksum is over what follows the
 * blank behind it. A record is queued when the registry changes, and all that were queued
 * in one turn of the loop are written with one write() before any of their answers is
 * sent: a killed process loses nothing it has said yes to. The machine losing power loses
 * what the page cache had, for the namespaces go with it.
 *
 * What could fail is made to fail first: room is reserved before a record is queued, so
 * that a full disk refuses the change and not its record. A write that fails all the same
 * leaves the journal broken: changes are refused until a compaction succeeds.
 *
 * Reading stops trusting at the end only: a line without newline, or with a wrong
 * checksum, is skipped and counted; after the last good line the file is cut.
 *
 * Compaction writes what is alive to journal.new, and renames.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "broker/hash.h"
#include "broker/journal.h"

#define JOURNAL_NAME     "journal"
#define JOURNAL_NEW      "journal.new"
#define JOURNAL_VERSION  1
#define CHECKSUM_SIZE    9 /* eight digits, a blank */
#define RECORD_SIZE_MAX  (CHECKSUM_SIZE + 128 + 1024)
#define RESERVE          (256u << 10)
#define COMPACTION_SLACK 4096 /* records */
#define RETRY_NS         1000000000ull
/* More than a turn of the loop queues: written in pieces while compacting. */
#define QUEUE_MAX (1u << 20)

struct journal {
	int dir;
	int fd;
	char *boot;
	uint64_t netns;
	char *queue;
	size_t size, room;
	uint64_t written;  /* bytes in the file */
	uint64_t reserved; /* bytes of disk it may grow to without asking */
	size_t n_records;
	bool broken;
	uint64_t retry_ns; /* no compaction before */
};

static uint32_t checksum(const char *text, size_t size)
{
	static const struct hash_key key;

	return (uint32_t)hash_bytes_keyed(&key, JOURNAL_VERSION, text, size);
}

static int print_body(const struct record *r, char *text, size_t size)
{
	unsigned long long netns = r->netns, cookie = r->bound.cookie;
	unsigned long long start = r->bound.start;
	int n = (int)r->text_size;

	switch (r->kind) {
	case RECORD_BOOT:
		return snprintf(text, size, "g %.*s %llx\n", n, r->text, netns);
	case RECORD_ADD:
		return snprintf(text, size, "a %llx %x %x %x %.*s\n", netns, r->uid,
				r->gid, r->flags, n, r->text);
	case RECORD_DEL:
		return snprintf(text, size, "d %llx %.*s\n", netns, n, r->text);
	case RECORD_BOUND:
		return snprintf(text, size, "b %llx %llx %llx %x %x %x %x %x %x %.*s\n",
				netns, cookie, start, r->bound.pid, r->bound.port,
				r->bound.family, r->bound.type, r->bound.protocol,
				r->bound.is_held, n, r->text);
	case RECORD_NSID:
		return snprintf(text, size, "n %llx %x\n", netns, (unsigned int)r->nsid);
	}
	return -EINVAL;
}

/* Return: bytes in @line, or -errno. */
static int print_record(const struct record *record, char line[RECORD_SIZE_MAX])
{
	char head[CHECKSUM_SIZE + 1];
	int n = print_body(record, line + CHECKSUM_SIZE, RECORD_SIZE_MAX - CHECKSUM_SIZE);

	if (n < 0)
		return -EINVAL;
	if (n >= RECORD_SIZE_MAX - CHECKSUM_SIZE)
		return -EMSGSIZE;
	snprintf(head, sizeof(head), "%08x ",
		 checksum(line + CHECKSUM_SIZE, (size_t)n - 1));
	memcpy(line, head, CHECKSUM_SIZE);
	return CHECKSUM_SIZE + n;
}

/* Digits as we write them, behind a blank. The general way costs a third of a restart. */
static bool take_number(const char **at, uint64_t max, uint64_t *ret)
{
	const char *c = *at;
	uint64_t value = 0;
	int n = 0;

	if (*c == ' ')
		c++;
	for (;; c++, n++) {
		unsigned int digit = (unsigned int)(*c - '0');

		if (digit > 9) {
			if (*c < 'a' || *c > 'f')
				break;
			digit = (unsigned int)(*c - 'a') + 10;
		}
		value = value << 4 | digit;
	}
	if (n == 0 || n > 16 || value > max || (*c != ' ' && *c != '\0'))
		return false;
	*at = c;
	*ret = value;
	return true;
}

static bool take_u32(const char **at, uint32_t *ret)
{
	uint64_t value;

	if (!take_number(at, UINT32_MAX, &value))
		return false;
	*ret = (uint32_t)value;
	return true;
}

static bool take_text(const char *at, const char *end, struct record *ret)
{
	if (*at != ' ' || at + 1 >= end)
		return false;
	ret->text = at + 1;
	ret->text_size = (size_t)(end - at - 1);
	return true;
}

static bool parse_boot(const char *at, struct record *ret)
{
	size_t size = strcspn(++at, " ");

	ret->text = at;
	ret->text_size = size;
	at += size;
	return size && take_number(&at, UINT64_MAX, &ret->netns);
}

static bool parse_bound(const char **at, struct record *ret)
{
	return take_number(at, UINT64_MAX, &ret->bound.cookie) &&
	       take_number(at, UINT64_MAX, &ret->bound.start) &&
	       take_u32(at, &ret->bound.pid) && take_u32(at, &ret->bound.port) &&
	       take_u32(at, &ret->bound.family) && take_u32(at, &ret->bound.type) &&
	       take_u32(at, &ret->bound.protocol) && take_u32(at, &ret->bound.is_held);
}

/* @at: NUL-terminated at @end, where the newline was. */
static bool parse_body(const char *at, const char *end, struct record *ret)
{
	uint32_t number = 0;

	*ret = (struct record){ .kind = (enum record_kind) * at };
	if (*at++ == '\0' || *at != ' ')
		return false;
	if (ret->kind == RECORD_BOOT)
		return parse_boot(at, ret);
	if (!take_number(&at, UINT64_MAX, &ret->netns))
		return false;
	switch (ret->kind) {
	case RECORD_ADD:
		return take_u32(&at, &ret->uid) && take_u32(&at, &ret->gid) &&
		       take_u32(&at, &ret->flags) && take_text(at, end, ret);
	case RECORD_DEL:
		return take_text(at, end, ret);
	case RECORD_BOUND:
		return parse_bound(&at, ret) && take_text(at, end, ret);
	case RECORD_NSID:
		if (!take_u32(&at, &number))
			return false;
		ret->nsid = (int)number;
		return true;
	case RECORD_BOOT:
		break;
	}
	return false;
}

/* @line: NUL-terminated at @end. */
static bool parse_record(const char *line, const char *end, struct record *ret)
{
	const char *at = line;
	uint64_t sum;

	if (end - line <= CHECKSUM_SIZE || !take_number(&at, UINT32_MAX, &sum) ||
	    at != line + CHECKSUM_SIZE - 1)
		return false;
	at++;
	return checksum(at, (size_t)(end - at)) == sum && parse_body(at, end, ret);
}

/* Return: bytes up to the end of the last good record. */
static size_t replay(struct journal *journal, char *text, size_t size,
		     journal_on_record *on_record, void *context)
{
	size_t good = 0, n_bad = 0;
	char *at = text, *end;

	while ((end = memchr(at, '\n', size - (size_t)(at - text)))) {
		struct record record;

		*end = '\0';
		if (parse_record(at, end, &record)) {
			if (record.kind != RECORD_BOOT || journal->n_records == 0)
				on_record(context, &record);
			journal->n_records++;
			good = (size_t)(end + 1 - text);
		} else {
			n_bad++;
		}
		at = end + 1;
	}
	if (n_bad)
		log_warning("the journal has %zu lines that make no sense: skipped",
			    n_bad);
	if (good < size)
		log_info("the journal's last %zu bytes are torn: dropped", size - good);
	return good;
}

static int read_all(struct journal *journal, journal_on_record *on_record, void *context)
{
	struct stat st;
	char *text;

	if (fstat(journal->fd, &st) < 0)
		return -errno;
	if (st.st_size == 0)
		return 0;
	text = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE,
		    journal->fd, 0);
	if (text == MAP_FAILED)
		return -errno;
	journal->written = replay(journal, text, (size_t)st.st_size, on_record, context);
	munmap(text, (size_t)st.st_size);
	if (ftruncate(journal->fd, (off_t)journal->written) < 0)
		return -errno;
	return 0;
}

static int append_boot(struct journal *journal)
{
	struct record record = { .kind = RECORD_BOOT,
				 .netns = journal->netns,
				 .text = journal->boot,
				 .text_size = strlen(journal->boot) };

	return journal_append(journal, &record);
}

int journal_open(struct journal **ret, int dir, const char *boot, uint64_t netns,
		 journal_on_record *on_record, void *context)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	int r;

	if (!journal)
		return -ENOMEM;
	journal->dir = dir;
	journal->netns = netns;
	journal->boot = strdup(boot);
	journal->fd = openat(dir, JOURNAL_NAME,
			     O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	r = journal->fd < 0 ? -errno : journal->boot ? 0 : -ENOMEM;
	if (r == 0)
		r = read_all(journal, on_record, context);
	if (r == 0 && journal->n_records == 0)
		r = append_boot(journal);
	if (r < 0) {
		journal_free(journal);
		return r;
	}
	*ret = journal;
	return 0;
}

struct journal *journal_free(struct journal *journal)
{
	if (!journal)
		return NULL;
	fd_close(journal->fd);
	free(journal->boot);
	free(journal->queue);
	free(journal);
	return NULL;
}

static int reserve_memory(struct journal *journal, size_t size)
{
	size_t room = journal->room ? journal->room : 4096;
	char *queue;

	while (room - journal->size < size)
		room *= 2;
	if (room == journal->room)
		return 0;
	queue = realloc(journal->queue, room);
	if (!queue)
		return -ENOMEM;
	journal->queue = queue;
	journal->room = room;
	return 0;
}

/* File systems that cannot reserve just go without. */
static int reserve_disk(struct journal *journal, size_t size)
{
	uint64_t end = journal->written + journal->size + size;

	if (end <= journal->reserved)
		return 0;
	if (fallocate(journal->fd, FALLOC_FL_KEEP_SIZE, (off_t)journal->written,
		      (off_t)(end - journal->written + RESERVE)) < 0 &&
	    errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	journal->reserved = end + RESERVE;
	return 0;
}

int journal_append(struct journal *journal, const struct record *record)
{
	char line[RECORD_SIZE_MAX];
	int n = print_record(record, line), r = 0;

	if (n < 0)
		return n;
	if (journal->size > QUEUE_MAX)
		r = journal_commit(journal);
	if (r < 0 || journal->broken)
		return -EIO;
	r = reserve_memory(journal, (size_t)n);
	if (r == 0)
		r = reserve_disk(journal, (size_t)n);
	if (r < 0)
		return r;
	memcpy(journal->queue + journal->size, line, (size_t)n);
	journal->size += (size_t)n;
	journal->n_records++;
	return 0;
}

bool journal_is_pending(const struct journal *journal)
{
	return journal->size != 0;
}

int journal_commit(struct journal *journal)
{
	size_t size = journal->size;
	ssize_t n;

	if (!size)
		return 0;
	journal->size = 0;
	n = fd_write_all(journal->fd, journal->queue, size);
	if (n != (ssize_t)size) {
		journal->broken = true;
		return n < 0 ? (int)n : -EIO;
	}
	journal->written += size;
	if (journal->room > QUEUE_MAX) {
		free(journal->queue);
		journal->queue = NULL;
		journal->room = 0;
	}
	return 0;
}

bool journal_wants_compaction(const struct journal *journal, size_t n_live)
{
	if (!journal->broken && journal->n_records <= 2 * n_live + COMPACTION_SLACK)
		return false;
	return !journal->retry_ns || event_now_ns() >= journal->retry_ns;
}

/* @new takes the place of @journal's file. */
static int replace(struct journal *journal, struct journal *new)
{
	int r = journal_commit(new);

	if (r == 0 && renameat(journal->dir, JOURNAL_NEW, journal->dir, JOURNAL_NAME) < 0)
		r = -errno;
	if (r < 0)
		return r;
	fd_close(journal->fd);
	journal->fd = fd_steal(&new->fd);
	journal->written = new->written;
	journal->reserved = new->reserved;
	journal->n_records = new->n_records;
	journal->size = 0;
	journal->broken = false;
	return 0;
}

int journal_compact(struct journal *journal, journal_source *source, void *context)
{
	struct journal new = { .dir = journal->dir,
			       .boot = journal->boot,
			       .netns = journal->netns };
	int r;

	new.fd = openat(journal->dir, JOURNAL_NEW,
			O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			0600);
	if (new.fd < 0)
		return -errno;
	r = append_boot(&new);
	if (r == 0)
		r = source(context, &new);
	if (r == 0)
		r = replace(journal, &new);
	if (r < 0)
		unlinkat(journal->dir, JOURNAL_NEW, 0);
	journal->retry_ns = r < 0 ? event_now_ns() + RETRY_NS : 0;
	fd_close(new.fd);
	free(new.queue);
	return r;
}
