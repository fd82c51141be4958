/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One thing that is to outlive graftd, as a line of text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_SIZE_MAX (9 + 128 + 1024) /* a line: checksum, numbers, text */

enum record_kind {
	RECORD_BOOT = 'g',  /* first: which boot, which namespace wrote this */
	RECORD_ADD = 'a',   /* netns, uid, gid, flags, text: the line */
	RECORD_DEL = 'd',   /* netns, text: the name */
	RECORD_BOUND = 'b', /* netns, what is bound, text: the name */
	RECORD_NSID = 'n',  /* netns, nsid */
};

struct record {
	enum record_kind kind;
	uint64_t netns;
	uint32_t uid, gid, flags;
	int nsid;
	struct {
		uint64_t cookie, start;
		uint32_t pid, port, family, type, protocol, is_held;
	} bound;
	const char *text; /* without newline */
	size_t text_size;
};

/* Return: bytes in @line, its newline included, or -errno (-EMSGSIZE). */
int record_print(const struct record *record, char line[RECORD_SIZE_MAX]);
/* @line: NUL-terminated at @end, where its newline was; the text of @ret points into it.
 * Return: false for what is no record. */
bool record_parse(const char *line, const char *end, struct record *ret);
