/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/graft_member.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/known.h"
#include "intercept/preload/notes.h"

#ifndef SO_GET_FILTER
#	define SO_GET_FILTER SO_ATTACH_FILTER
#endif

#define ACCEPT_ALL BPF_STMT(BPF_RET | BPF_K, 0xffffffff)

/* What a mark carries, in words of an instruction's constant. */
struct mark {
	uint32_t magic[2];
	uint64_t cookie;
	uint32_t flags;
	char name[AF_GRAFT_EPNAME_MAX];
	uint32_t unused;
};

#define MARK_WORDS (sizeof(struct mark) / 4)
#define MARK_SIZE  (MARK_WORDS + 2)

static const uint32_t magic[2] = { 0x67726166, 0x745f736b };

/* Of a delayed option or a result: the member's id, and which one. */
struct place {
	uint64_t id, number;
};

struct result {
	int32_t level, name, result, unused;
};

static struct notes members = NOTES_OF(uint64_t, struct member, 6, 8);
static struct notes options = NOTES_OF(struct place, struct member_option, 6, 10);
static struct notes results = NOTES_OF(struct place, struct result, 6, 10);

_Static_assert(sizeof(struct member) % 8 == 0 && sizeof(struct member_option) % 8 == 0,
	       "whole words");

/* --- the mark --- */

/* Return: 1: @fd has a mark; 0: it has no filter; -1: it has another one. */
static int read_mark(int fd, struct mark *ret)
{
	struct sock_filter code[MARK_SIZE];
	socklen_t n = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n) < 0)
		return -1;
	if (n == 0)
		return 0;
	if (n != MARK_SIZE || getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, code, &n) < 0)
		return -1;
	for (size_t i = 0; i < MARK_WORDS; i++)
		memcpy((char *)ret + 4 * i, &code[i + 1].k, 4);
	return memcmp(ret->magic, magic, sizeof(magic)) == 0 ? 1 : -1;
}

static void write_mark(int fd, uint64_t cookie, const struct member *member)
{
	struct mark mark = { .cookie = cookie, .flags = member->flags }, old;
	struct sock_filter code[MARK_SIZE];
	const struct sock_fprog program = { MARK_SIZE, code };

	if (read_mark(fd, &old) < 0)
		return;
	memcpy(mark.magic, magic, sizeof(magic));
	memcpy(mark.name, member->name, sizeof(mark.name));
	code[0] = code[MARK_SIZE - 1] = (struct sock_filter)ACCEPT_ALL;
	for (size_t i = 0; i < MARK_WORDS; i++) {
		uint32_t word;

		memcpy(&word, (const char *)&mark + 4 * i, 4);
		code[i + 1] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, word);
	}
	setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static bool find_marked(int fd, uint64_t cookie, struct member *ret)
{
	struct mark mark;

	if (read_mark(fd, &mark) != 1 || mark.cookie != cookie)
		return false;
	*ret = (struct member){ .id = cookie, .flags = mark.flags & ~MEMBER_HAS_V6 };
	memcpy(ret->name, mark.name, sizeof(ret->name));
	notes_set(&members, &cookie, ret);
	atomic_store(&graft_exists, true);
	return true;
}

bool member_is_marked(int fd)
{
	struct mark mark;
	int saved = errno;
	bool is_marked = read_mark(fd, &mark) == 1;

	errno = saved;
	return is_marked;
}

void member_clean(int fd)
{
	const int none = 0;
	int saved = errno;

	if (member_is_marked(fd))
		setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none));
	errno = saved;
}

/* --- the note --- */

bool member_find(int fd, struct member *ret)
{
	int saved = errno;
	uint64_t cookie = kernel_cookie(fd, SO_COOKIE);
	bool found = cookie &&
		     (notes_find(&members, &cookie, ret) || find_marked(fd, cookie, ret));

	errno = saved;
	return found;
}

static void put(int fd, uint64_t cookie, const struct member *member)
{
	notes_set(&members, &cookie, member);
	write_mark(fd, cookie, member);
}

void member_put(int fd, const struct member *member)
{
	int saved = errno;
	uint64_t cookie = kernel_cookie(fd, SO_COOKIE);
	struct member first = *member;

	if (!first.id)
		first.id = cookie;
	if (cookie)
		put(fd, cookie, &first);
	errno = saved;
}

void member_follow(int fd, uint64_t old, uint64_t now)
{
	struct member member;
	int saved = errno;

	if (now && notes_find(&members, &old, &member)) {
		put(fd, now, &member);
		notes_forget(&members, &old);
	}
	errno = saved;
}

/* A copy may live on under another number; then the note does, too. */
void member_forget(int fd)
{
	uint64_t cookie = kernel_cookie(fd, SO_COOKIE);
	struct member_option option;
	struct member member;
	struct known known;

	if (!cookie || !notes_find(&members, &cookie, &member) ||
	    !known_find(fd, cookie, &known) || known.marks & KNOWN_COPIED)
		return;
	while (member_take_option(&member, &option))
		;
	member_drop_results(&member, member.end_result - member.result);
	notes_forget(&members, &cookie);
}

/* --- what is delayed --- */

void member_delay(struct member *member, const struct member_option *option)
{
	struct place place = { member->id, member->end_option++ };

	notes_set(&options, &place, option);
	if (option->level == IPPROTO_IPV6)
		member->flags |= MEMBER_HAS_V6;
}

bool member_take_option(struct member *member, struct member_option *ret)
{
	while (member->option != member->end_option) {
		struct place place = { member->id, member->option++ };

		if (notes_find(&options, &place, ret)) {
			notes_forget(&options, &place);
			return true;
		}
	}
	member->flags &= ~(uint32_t)MEMBER_HAS_V6;
	return false;
}

void member_add_result(struct member *member, int level, int name, int result)
{
	struct place place = { member->id, member->end_result++ };
	struct result value = { level, name, result, 0 };

	notes_set(&results, &place, &value);
}

uint32_t member_read_results(const struct member *member, struct graft_sso_result *ret,
			     uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n && member->result + i != member->end_result; i++) {
		struct place place = { member->id, member->result + i };
		struct result value = { 0 };

		notes_find(&results, &place, &value);
		ret[i] = (struct graft_sso_result){ value.level, value.name,
						    value.result };
	}
	return i;
}

void member_drop_results(struct member *member, uint32_t n)
{
	for (; n > 0; n--) {
		struct place place = { member->id, member->result++ };

		notes_forget(&results, &place);
	}
}
