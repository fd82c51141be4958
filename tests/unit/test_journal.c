/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "broker/journal.h"

#define BOOT  "00000000-1111-2222-3333-444444444444"
#define NETNS 77

struct place {
	char path[64];
	int dir;
};

/* What a replay told. */
struct seen {
	size_t n, n_adds, n_dels, n_bounds, n_nsids;
	char boot[64], last[1024];
	uint64_t boot_netns;
	struct record bound;
	int nsid;
};

static int set_up(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->path, "/tmp/graft-journal-XXXXXX");
	assert_non_null(mkdtemp(place->path));
	place->dir = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(place->dir >= 0);
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;

	unlinkat(place->dir, "journal", 0);
	unlinkat(place->dir, "journal.new", 0);
	fd_close(place->dir);
	rmdir(place->path);
	free(place);
	return 0;
}

static void see(void *context, const struct record *record)
{
	struct seen *seen = context;

	seen->n++;
	switch (record->kind) {
	case RECORD_BOOT:
		memcpy(seen->boot, record->text, record->text_size);
		seen->boot_netns = record->netns;
		return;
	case RECORD_ADD:
		seen->n_adds++;
		snprintf(seen->last, sizeof(seen->last), "%llu %u %u %u %s",
			 (unsigned long long)record->netns, record->uid, record->gid,
			 record->flags, record->text);
		assert_int_equal(record->text_size, strlen(record->text));
		return;
	case RECORD_DEL:
		seen->n_dels++;
		return;
	case RECORD_BOUND:
		seen->n_bounds++;
		seen->bound = *record;
		return;
	case RECORD_NSID:
		seen->n_nsids++;
		seen->nsid = record->nsid;
		return;
	}
}

static struct journal *reopen(struct place *place, struct journal *old, struct seen *seen)
{
	struct journal *journal;

	journal_free(old);
	*seen = (struct seen){ 0 };
	assert_int_equal(journal_open(&journal, place->dir, BOOT, NETNS, see, seen), 0);
	return journal;
}

static void append_add(struct journal *journal, const char *line)
{
	struct record record = { .kind = RECORD_ADD,
				 .netns = NETNS,
				 .uid = 1000,
				 .gid = 100,
				 .flags = 5,
				 .text = line,
				 .text_size = strlen(line) };

	assert_int_equal(journal_append(journal, &record), 0);
}

static off_t size_of(const struct place *place)
{
	struct stat st;

	assert_int_equal(fstatat(place->dir, "journal", &st, 0), 0);
	return st.st_size;
}

static void test_replay(void **state)
{
	struct place *place = *state;
	struct record del = {
		.kind = RECORD_DEL, .netns = NETNS, .text = "web", .text_size = 3
	};
	struct record bound = { .kind = RECORD_BOUND,
				.netns = UINT64_MAX,
				.bound = { .cookie = UINT64_MAX - 1,
					   .start = 12345,
					   .pid = 99,
					   .port = 65535,
					   .family = 10,
					   .type = 1,
					   .protocol = 6,
					   .is_held = 1 },
				.text = "web",
				.text_size = 3 };
	struct record nsid = { .kind = RECORD_NSID, .netns = 5, .nsid = 3 };
	struct seen seen;
	struct journal *journal = reopen(place, NULL, &seen);

	assert_int_equal(seen.n, 0);
	append_add(journal, "web ipv4 127.0.0.1:80 owner uid=1");
	assert_int_equal(journal_append(journal, &bound), 0);
	assert_int_equal(journal_append(journal, &nsid), 0);
	assert_true(journal_is_pending(journal));
	assert_int_equal(journal_commit(journal), 0);
	assert_false(journal_is_pending(journal));
	journal = reopen(place, journal, &seen);
	assert_int_equal(seen.n, 4);
	assert_string_equal(seen.boot, BOOT);
	assert_int_equal(seen.boot_netns, NETNS);
	assert_string_equal(seen.last, "77 1000 100 5 web ipv4 127.0.0.1:80 owner uid=1");
	assert_memory_equal(&seen.bound.bound, &bound.bound, sizeof(bound.bound));
	assert_true(seen.bound.netns == UINT64_MAX);
	assert_int_equal(seen.nsid, 3);
	assert_int_equal(journal_append(journal, &del), 0);
	journal_commit(journal);
	journal = reopen(place, journal, &seen);
	assert_int_equal(seen.n_dels, 1);
	journal_free(journal);
}

/* What was queued and not committed is not there: nobody was told it was. */
static void test_uncommitted(void **state)
{
	struct place *place = *state;
	struct seen seen;
	struct journal *journal = reopen(place, NULL, &seen);

	append_add(journal, "a unix /a");
	journal_commit(journal);
	append_add(journal, "b unix /b");
	journal = reopen(place, journal, &seen);
	assert_int_equal(seen.n_adds, 1);
	journal_free(journal);
}

/* Cut anywhere, the file gives all records before the cut, and can be written on. */
static void test_torn(void **state)
{
	struct place *place = *state;
	struct seen seen;
	struct journal *journal = reopen(place, NULL, &seen);
	off_t two, size;

	append_add(journal, "a unix /a");
	append_add(journal, "b unix /b");
	journal_commit(journal);
	two = size_of(place);
	append_add(journal, "c unix /c");
	journal_commit(journal);
	size = size_of(place);
	for (off_t cut = size - 1; cut >= two; cut--) {
		_cleanup_fd_ int fd = openat(place->dir, "journal", O_WRONLY | O_CLOEXEC);

		journal_free(journal);
		assert_int_equal(ftruncate(fd, cut), 0);
		journal = reopen(place, NULL, &seen);
		assert_int_equal(seen.n_adds, 2);
		assert_int_equal(size_of(place), two);
		append_add(journal, "c unix /c");
		journal_commit(journal);
		journal = reopen(place, journal, &seen);
		assert_int_equal(seen.n_adds, 3);
		assert_int_equal(size_of(place), size);
	}
	journal_free(journal);
}

/* Each byte of a record changed: that record is not believed, its neighbours are. */
static void test_damaged(void **state)
{
	struct place *place = *state;
	struct seen seen;
	struct journal *journal = reopen(place, NULL, &seen);
	off_t start, end;

	append_add(journal, "a unix /a");
	journal_commit(journal);
	start = size_of(place);
	append_add(journal, "b unix /b");
	journal_commit(journal);
	end = size_of(place);
	append_add(journal, "c unix /c");
	journal_commit(journal);
	for (off_t at = start; at < end; at++) {
		_cleanup_fd_ int fd = openat(place->dir, "journal", O_RDWR | O_CLOEXEC);
		char was, is;

		assert_int_equal(pread(fd, &was, 1, at), 1);
		is = (char)(was ^ 0x15);
		assert_int_equal(pwrite(fd, &is, 1, at), 1);
		journal = reopen(place, journal, &seen);
		/* A newline that is gone takes the next record along. */
		assert_in_range(seen.n_adds, at == end - 1 ? 1 : 2, 2);
		assert_string_equal(seen.last + strlen(seen.last) - 9,
				    at == end - 1 ? "a unix /a" : "c unix /c");
		if (at == end - 1)
			break;
		assert_int_equal(pwrite(fd, &was, 1, at), 1);
	}
	journal_free(journal);
}

static void test_garbage(void **state)
{
	static const char *const lines[] = {
		"",
		"\n\n\n",
		"garbage\n",
		"00000000 a\n",
		"ffffffff a 1 2 3 4 x unix /x\n",
		"zzzzzzzz a 1 2 3 4 x unix /x\n",
	};
	struct place *place = *state;
	struct journal *journal;
	struct seen seen;

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		int fd = openat(place->dir, "journal",
				O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		assert_int_equal(write(fd, lines[i], strlen(lines[i])), strlen(lines[i]));
		assert_int_equal(write(fd, "\0\0\n\0", 4), 4);
		close(fd);
		journal = reopen(place, NULL, &seen);
		assert_int_equal(seen.n, 0);
		append_add(journal, "a unix /a");
		journal_commit(journal);
		journal = reopen(place, journal, &seen);
		assert_int_equal(seen.n_adds, 1);
		assert_string_equal(seen.boot, BOOT);
		journal_free(journal);
	}
}

static int source(void *context, struct journal *journal)
{
	append_add(journal, "only unix /only");
	return *(int *)context;
}

static void test_compaction(void **state)
{
	struct place *place = *state;
	struct seen seen;
	struct journal *journal = reopen(place, NULL, &seen);
	int result = 0;
	char line[64];

	assert_false(journal_wants_compaction(journal, 0));
	for (int i = 0; i < 20000; i++) {
		snprintf(line, sizeof(line), "name%d unix /x", i);
		append_add(journal, line);
	}
	assert_false(journal_wants_compaction(journal, 10000));
	assert_true(journal_wants_compaction(journal, 1));
	journal_commit(journal);
	result = -EIO;
	assert_int_equal(journal_compact(journal, source, &result), -EIO);
	assert_int_equal(faccessat(place->dir, "journal.new", F_OK, 0), -1);
	/* Not at once again. */
	assert_false(journal_wants_compaction(journal, 1));
	result = 0;
	append_add(journal, "pending unix /pending");
	assert_int_equal(journal_compact(journal, source, &result), 0);
	assert_false(journal_is_pending(journal));
	append_add(journal, "after unix /after");
	journal_commit(journal);
	journal = reopen(place, journal, &seen);
	assert_int_equal(seen.n_adds, 2);
	assert_string_equal(seen.last, "77 1000 100 5 after unix /after");
	assert_string_equal(seen.boot, BOOT);
	journal_free(journal);
}

/* A small disk at the place, for the rest of this process. */
static bool mount_small(struct place *place)
{
	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("small", place->path, "tmpfs", 0, "size=1m,mode=777") < 0)
		return false;
	fd_close(place->dir);
	place->dir = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return place->dir >= 0;
}

/* A disk that is full refuses the change; what was said yes to is kept. */
static void test_full(void **state)
{
	struct place *place = *state;
	struct record record = { .kind = RECORD_ADD, .netns = NETNS };
	struct journal *journal;
	struct seen seen;
	char line[1000];
	size_t n = 0;
	int r = 0;

	if (!mount_small(place))
		skip();
	journal = reopen(place, NULL, &seen);
	memset(line, 'x', sizeof(line));
	memcpy(line, "a unix /", 8);
	record.text = line;
	record.text_size = sizeof(line);
	while (r == 0 && n < 10000) {
		r = journal_append(journal, &record);
		if (r == 0) {
			n++;
			assert_int_equal(journal_commit(journal), 0);
		}
	}
	assert_int_equal(r, -ENOSPC);
	assert_true(n > 100);
	journal = reopen(place, journal, &seen);
	assert_int_equal(seen.n_adds, n);
	journal_free(journal);
	umount2(place->path, MNT_DETACH);
}

static void test_too_long(void **state)
{
	struct place *place = *state;
	struct record record = { .kind = RECORD_ADD, .netns = NETNS };
	struct seen seen;
	struct journal *journal = reopen(place, NULL, &seen);
	char line[4096];

	memset(line, 'x', sizeof(line));
	record.text = line;
	record.text_size = sizeof(line);
	assert_int_equal(journal_append(journal, &record), -EMSGSIZE);
	journal_free(journal);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(test_replay),  CASE(test_uncommitted), CASE(test_torn),
		CASE(test_damaged), CASE(test_garbage),     CASE(test_compaction),
		CASE(test_full),    CASE(test_too_long),
	};

	log_init(STDERR_FILENO, LOG_LEVEL_ERROR, "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
