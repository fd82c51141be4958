/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the registry would lose with its process, as lines of a file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/record.h"

struct journal;

/* Called for each good record of the file, in order. Its text is NUL-terminated. */
typedef void journal_on_record(void *context, const struct record *record);

/*
 * Opens, or makes, the file "journal" in directory @dir, which stays the caller's, and
 * replays it. @boot (no blanks) and @netns are what this process runs in; the first
 * record replayed, if there is any, is the RECORD_BOOT of the last writer. Return: 0 or
 * -errno.
 */
int journal_open(struct journal **ret, int dir, const char *boot, uint64_t netns,
		 journal_on_record *on_record, void *context);
struct journal *journal_free(struct journal *journal);

/* Queues @record, with room for it on the disk. Return: 0 or -errno (-ENOSPC), and
 * nothing is queued then. */
int journal_append(struct journal *journal, const struct record *record);
bool journal_is_pending(const struct journal *journal);
/* Writes what is queued, in one go. Return: 0 or -errno. */
int journal_commit(struct journal *journal);

/* Is much of the file about what is no more? @n_live: records that a new one would have.
 */
bool journal_wants_compaction(const struct journal *journal, size_t n_live);
/* Tells the records of a new file one by one: @emit appends each. */
typedef int journal_source(void *context, struct journal *journal);
/* Writes a new file and puts it in the old one's place. Return: 0, or -errno and the old
 * one is kept. */
int journal_compact(struct journal *journal, journal_source *source, void *context);
