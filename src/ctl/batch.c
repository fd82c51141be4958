/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft add --batch: lines are sent ahead of their answers, at most WINDOW of them, so
 * that neither side waits for the other and neither fills the other's buffer.
 *
 *	file -> read -> words_to_add -> graftd      pending: sent, not answered
 *	                                  |         oldest first, as the answers come
 *	              told, undone <------+
 *
 * The module answers each line at once, so there is never more than one pending.
 *
 * Whatever is pending is answered before more is read, so lines typed at a terminal or
 * written by a program take effect at once. When a line is refused, those sent after it
 * are taken back: without --force nothing behind the line that failed was added.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/fd.h"
#include "ctl/batch.h"
#include "ctl/command.h"
#include "ctl/talk.h"
#include "ctl/words.h"

#define WINDOW      128
#define CHUNK       65536
#define PLACE_MAX   300
#define PROGRESS_NS 100000000ull

struct pending {
	uint64_t line;
	char name[POLICY_NAME_MAX + 1];
};

struct batch {
	struct talk *talk;
	const char *source; /* for messages */
	int file;
	bool force;

	char *chunk; /* [at, end) is not looked at yet */
	size_t at, end;
	uint64_t line; /* number of the last one taken */

	struct pending pending[WINDOW]; /* a ring */
	size_t first, n_pending;

	bool stopped;
	int status;
	uint64_t n_added;
	bool shows_progress, progress_shown;
	uint64_t progress_due_ns;
};

static void hide_progress(struct batch *batch)
{
	if (batch->progress_shown)
		fprintf(stderr, "\r\033[K");
	batch->progress_shown = false;
}

static void show_progress(struct batch *batch)
{
	uint64_t now;

	if (!batch->shows_progress)
		return;
	now = event_now_ns();
	if (now < batch->progress_due_ns)
		return;
	batch->progress_due_ns = now + PROGRESS_NS;
	batch->progress_shown = true;
	fprintf(stderr, "\r%" PRIu64 " added", batch->n_added);
}

static void line_failed(struct batch *batch, int status)
{
	if (status > batch->status)
		batch->status = status;
	if (!batch->force)
		batch->stopped = true;
}

/* Takes back what was sent behind a line that then failed. Return: 0 or -errno, told. */
static int undo(const struct batch *batch, const struct pending *added)
{
	struct wire_message ask = { .type = WIRE_DEL };
	struct wire_error error;
	int r;

	wire_set_text(ask.del.name, sizeof(ask.del.name), added->name);
	r = talk_ask(batch->talk, &ask, &error);
	if (r > 0)
		fprintf(stderr,
			"%s:%" PRIu64 ": %s was added and cannot be taken back: %s\n",
			batch->source, added->line, added->name, talk_error_text(&error));
	return r < 0 ? r : 0;
}

/* Receives the answer to the oldest line. Return: 1 it was added, 0, or -errno, told. */
static int take_answer(struct batch *batch, struct pending *ret)
{
	struct wire_message answer;
	char place[PLACE_MAX];
	int r = talk_receive(batch->talk, &answer);

	if (r < 0)
		return r;
	*ret = batch->pending[batch->first];
	batch->first = (batch->first + 1) % WINDOW;
	batch->n_pending--;
	if (answer.type == WIRE_BYE)
		return 1;
	if (answer.type != WIRE_ERROR)
		return talk_tell(batch->talk, -EPROTO);
	if (!batch->stopped) {
		hide_progress(batch);
		snprintf(place, sizeof(place), "%.250s:%" PRIu64, batch->source,
			 ret->line);
		talk_refused(place, ret->name, &answer.error);
		line_failed(batch, EXIT_FAILURE);
	}
	return 0;
}

/* Receives the answers to the oldest lines until @n_left are pending. Return: 0 or
 * -errno, told. */
static int settle(struct batch *batch, size_t n_left)
{
	struct pending surplus[WINDOW], item;
	size_t n_surplus = 0;
	int r;

	while (batch->n_pending > (batch->stopped ? 0 : n_left)) {
		bool stopped = batch->stopped;

		r = take_answer(batch, &item);
		if (r < 0)
			return r;
		if (r > 0 && stopped)
			surplus[n_surplus++] = item;
		else
			batch->n_added += (uint64_t)r;
		show_progress(batch);
	}
	for (size_t i = 0; i < n_surplus; i++) {
		r = undo(batch, &surplus[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Makes room and reads on. Return: bytes read, 0 at the end of the file, -errno. */
static ssize_t read_more(struct batch *batch)
{
	ssize_t n;

	memmove(batch->chunk, batch->chunk + batch->at, batch->end - batch->at);
	batch->end -= batch->at;
	batch->at = 0;
	do
		n = read(batch->file, batch->chunk + batch->end, CHUNK - batch->end);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	batch->end += (size_t)n;
	return n;
}

/* The next line, without its end. Return: 1, 0 at the end of the file, -errno, told. */
static int next_line(struct batch *batch, const char **ret, size_t *ret_size)
{
	for (;;) {
		const char *from = batch->chunk + batch->at;
		const char *newline = memchr(from, '\n', batch->end - batch->at);
		bool is_full = batch->at == 0 && batch->end == CHUNK;
		ssize_t n = -EOVERFLOW;
		int r;

		if (!newline && !is_full) {
			r = settle(batch, 0);
			if (r < 0 || batch->stopped)
				return r;
			n = read_more(batch);
			if (n > 0)
				continue;
			from = batch->chunk;
		}
		if (!newline && n < 0) {
			fprintf(stderr, "%s:%" PRIu64 ": %s\n", batch->source,
				batch->line + 1,
				is_full ? "a line too long for any endpoint"
					: strerror((int)-n));
			return (int)n;
		}
		*ret = from;
		*ret_size = newline ? (size_t)(newline - from) : batch->end;
		batch->at += *ret_size + (newline ? 1 : 0);
		batch->line++;
		return newline || *ret_size;
	}
}

/* Return: 0 or -errno, told. */
static int send_line(struct batch *batch, const char *text, size_t size)
{
	struct wire_message ask = { .type = WIRE_ADD };
	struct pending *slot;
	struct policy_error problem;
	char source[PLACE_MAX];
	int r;

	snprintf(source, sizeof(source), "%.250s:%" PRIu64, batch->source, batch->line);
	slot = &batch->pending[(batch->first + batch->n_pending) % WINDOW];
	r = words_to_add(source, text, size, &ask.add, slot->name, &problem);
	if (r > 0)
		return 0;
	if (r < 0) {
		/* The lines before it may have failed, and then this one never was. */
		int settled = settle(batch, 0);

		if (settled < 0 || batch->stopped)
			return settled;
		hide_progress(batch);
		fprintf(stderr, "%s\n", r == -EINVAL ? problem.text : strerror(-r));
		line_failed(batch, r == -EINVAL ? EXIT_MISUSE : EXIT_FAILURE);
		return 0;
	}
	slot->line = batch->line;
	r = talk_send(batch->talk, &ask);
	if (r < 0)
		return r;
	batch->n_pending++;
	if (batch->n_pending < (batch->talk->module ? 1 : WINDOW))
		return 0;
	return settle(batch, batch->talk->module ? 0 : WINDOW / 2);
}

static int add_all(struct batch *batch)
{
	const char *text = NULL;
	size_t size = 0;
	int r;

	while (!batch->stopped) {
		r = next_line(batch, &text, &size);
		if (r <= 0)
			return r;
		r = send_line(batch, text, size);
		if (r < 0)
			return r;
	}
	return 0;
}

static int run(struct batch *batch)
{
	int r;

	batch->chunk = malloc(CHUNK);
	if (!batch->chunk) {
		fprintf(stderr, "graft add: out of memory\n");
		return EXIT_FAILURE;
	}
	r = talk_open(batch->talk);
	if (r == 0)
		r = add_all(batch);
	hide_progress(batch);
	if (r < 0 && batch->n_pending)
		fprintf(stderr,
			"%s: whether lines %" PRIu64 " to %" PRIu64
			" were added is not known\n",
			batch->source, batch->pending[batch->first].line, batch->line);
	free(batch->chunk);
	return r < 0 && batch->status < EXIT_FAILURE ? EXIT_FAILURE : batch->status;
}

int batch_add(struct talk *talk, const char *path, bool force)
{
	bool is_stdin = !strcmp(path, "-");
	struct batch batch = {
		.talk = talk,
		.source = is_stdin ? "stdin" : path,
		.force = force,
		.shows_progress = isatty(STDERR_FILENO),
		.progress_due_ns = event_now_ns() + PROGRESS_NS,
	};
	int status;

	batch.file = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (batch.file < 0) {
		fprintf(stderr, "graft add: %s: %s\n", path, strerror(errno));
		return EXIT_MISUSE;
	}
	status = run(&batch);
	if (!is_stdin)
		fd_close(batch.file);
	return status;
}
