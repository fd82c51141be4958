/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * Records (record.h), one a line. A record is queued when the registry changes, and all
 * that were queued in one turn of the loop are written with one write() before any of
 * their answers is sent: a killed process loses nothing it has said yes to. The machine
 * losing power loses what the page cache had, for the namespaces go with it.
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
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "broker/journal.h"

#define JOURNAL_NAME     "journal"
#define JOURNAL_NEW      "journal.new"
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

/* Return: bytes up to the end of the last good record. */
static size_t replay(struct journal *journal, char *text, size_t size,
		     journal_on_record *on_record, void *context)
{
	size_t good = 0, n_bad = 0;
	char *at = text, *end;

	while ((end = memchr(at, '\n', size - (size_t)(at - text)))) {
		struct record record;

		*end = '\0';
		if (record_parse(at, end, &record)) {
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
	int n = record_print(record, line), r = 0;

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
