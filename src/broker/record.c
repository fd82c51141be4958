/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A record as it stands in the journal:
 *
 *	CHECKSUM g BOOT NETNS
 *	CHECKSUM a NETNS UID GID FLAGS LINE
 *	CHECKSUM d NETNS NAME
 *	CHECKSUM b NETNS COOKIE START PID PORT FAMILY TYPE PROTOCOL HELD NAME
 *	CHECKSUM n NETNS NSID
 *
 * Text, one record a line, numbers in hexadecimal; the checksum is over what follows the
 * blank behind it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/hash.h"
#include "broker/record.h"

#define JOURNAL_VERSION 1
#define CHECKSUM_SIZE   9 /* eight digits, a blank */

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

int record_print(const struct record *record, char line[RECORD_SIZE_MAX])
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

bool record_parse(const char *line, const char *end, struct record *ret)
{
	const char *at = line;
	uint64_t sum;

	if (end - line <= CHECKSUM_SIZE || !take_number(&at, UINT32_MAX, &sum) ||
	    at != line + CHECKSUM_SIZE - 1)
		return false;
	at++;
	return checksum(at, (size_t)(end - at)) == sum && parse_body(at, end, ret);
}
