/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options of AF_GRAFT sockets, as linux/graft.h has them.
 *
 * What is delayed are options of the protocols' levels. Those of SOL_SOCKET take effect
 * on the socket in hand, which they did in the module, too; here they go along with it.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "intercept/preload/calls.h"
#include "intercept/preload/claim.h"
#include "intercept/preload/graft.h"
#include "intercept/preload/graft_member.h"
#include "intercept/preload/known.h"
#include "intercept/preload/memory.h"
#include "intercept/preload/unix_options.h"

#define RESULTS_AT_ONCE 64

static bool is_delayed(const struct member *member, int level)
{
	return (member->flags & (MEMBER_DELAYED | MEMBER_BOUND)) == MEMBER_DELAYED &&
	       level != SOL_SOCKET;
}

bool graft_takes_set(int fd, int level, int name)
{
	struct member member;

	if (level == SOL_SOCKET && name != SO_DETACH_FILTER && name != SO_ATTACH_FILTER)
		return false;
	return member_find(fd, &member) &&
	       (level == IPPROTO_GRAFT || level == SOL_SOCKET ||
		is_delayed(&member, level));
}

bool graft_takes_get(int fd, int level, int name)
{
	struct member member;

	if (level != IPPROTO_GRAFT && (level != SOL_SOCKET || name != SO_ATTACH_FILTER))
		return false;
	return member_find(fd, &member) &&
	       (level == IPPROTO_GRAFT || member_is_marked(fd));
}

/* As call_option.c does it. Return: 0 or -errno. */
static int set_now(int fd, int level, int name, const void *value, socklen_t size)
{
	int r;

	if (level == IPPROTO_GRAFT)
		return -ENOPROTOOPT;
	known_mark_option(fd, level, name);
	r = setsockopt(fd, level, name, value, size);
	if (unix_options_set_concerns(r, level))
		r = unix_options_set(fd, level, name, value, size);
	return r < 0 ? -errno : 0;
}

void graft_run_delayed(int fd, struct member *member)
{
	struct member_option option;

	while (member_take_option(member, &option))
		member_add_result(member, option.level, option.name,
				  set_now(fd, option.level, option.name, option.value,
					  option.size));
	member_put(fd, member);
}

static int delay(int fd, struct member *member, int level, int name, const void *value,
		 socklen_t size)
{
	struct member_option option = { .level = level, .name = name, .size = size };

	if (size > sizeof(option.value))
		return -EINVAL;
	if (memory_read(option.value, value, size) < 0)
		return -EFAULT;
	member_delay(member, &option);
	member_put(fd, member);
	return 0;
}

static int set_transparent(int fd, struct member *member, const void *value,
			   socklen_t size)
{
	union {
		struct graft_sso_trans head;
		char all[GRAFT_SSO_TRANS_SIZE];
	} carrier;

	if (size < sizeof(carrier.head) || size > sizeof(carrier))
		return -EINVAL;
	if (memory_read(&carrier, value, size) < 0)
		return -EFAULT;
	if (carrier.head.optlen > size - sizeof(carrier.head))
		return -EINVAL;
	if ((member->flags & (MEMBER_DELAYED | MEMBER_BOUND)) == MEMBER_DELAYED)
		return delay(fd, member, carrier.head.level, carrier.head.optname,
			     carrier.head.optval, carrier.head.optlen);
	return set_now(fd, carrier.head.level, carrier.head.optname, carrier.head.optval,
		       carrier.head.optlen);
}

static int set_flag(int fd, struct member *member, uint32_t flag, const void *value,
		    socklen_t size)
{
	int on;

	if (size < sizeof(on))
		return -EINVAL;
	if (memory_read(&on, value, sizeof(on)) < 0)
		return -EFAULT;
	member->flags = on ? member->flags | flag : member->flags & ~flag;
	member_put(fd, member);
	return 0;
}

static int set_own(int fd, struct member *member, int name, const void *value,
		   socklen_t size)
{
	switch (name) {
	case GRAFT_SO_DELAYED:
		return set_flag(fd, member, MEMBER_DELAYED, value, size);
	case GRAFT_SO_DELAYED_EXECUTE:
		graft_run_delayed(fd, member);
		return 0;
	case GRAFT_SO_TRANSPARENT:
		return set_transparent(fd, member, value, size);
	case GRAFT_NAME_TRANSPARENT:
		return set_flag(fd, member, MEMBER_TRANSPARENT, value, size);
	default:
		return -ENOPROTOOPT;
	}
}

/* The program's own filter takes the place of our mark, which it does not see. */
static int set_filter(int fd, int name, const void *value, socklen_t size)
{
	if (name == SO_DETACH_FILTER && member_is_marked(fd))
		return -ENOENT;
	return set_now(fd, SOL_SOCKET, name, value, size);
}

static int set(int fd, struct member *member, int level, int name, const void *value,
	       socklen_t size)
{
	if (level == IPPROTO_GRAFT)
		return set_own(fd, member, name, value, size);
	if (level == SOL_SOCKET)
		return set_filter(fd, name, value, size);
	if (is_delayed(member, level))
		return delay(fd, member, level, name, value, size);
	return set_now(fd, level, name, value, size);
}

int graft_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	int saved = errno, r = -ENOPROTOOPT;
	struct member member;
	struct claim claim;

	claim_take(&claim, fd);
	if (member_find(fd, &member))
		r = set(fd, &member, level, name, value, size);
	claim_release(&claim);
	errno = r < 0 ? -r : saved;
	return r < 0 ? -1 : 0;
}

static int give_flag(const struct member *member, uint32_t flag, void *value,
		     socklen_t *size)
{
	int on = (member->flags & flag) != 0;
	socklen_t room;

	if (memory_read(&room, size, sizeof(room)) < 0)
		return -EFAULT;
	if ((int)room < 0)
		return -EINVAL;
	if (room > sizeof(on))
		room = sizeof(on);
	if (memory_write(value, &on, room) < 0)
		return -EFAULT;
	return memory_write(size, &room, sizeof(room));
}

/* As many as there is room for, which are forgotten. */
static int give_results(int fd, struct member *member, char *value, socklen_t *size)
{
	struct graft_sso_result some[RESULTS_AT_ONCE];
	socklen_t room, given = 0;
	uint32_t n;

	if (memory_read(&room, size, sizeof(room)) < 0)
		return -EFAULT;
	if ((int)room < 0)
		return -EINVAL;
	do {
		n = (room - given) / sizeof(some[0]);
		n = member_read_results(member, some,
					n < ARRAY_SIZE(some) ? n : ARRAY_SIZE(some));
		if (n && memory_write(value + given, some, n * sizeof(some[0])) < 0)
			return -EFAULT;
		member_drop_results(member, n);
		given += n * (socklen_t)sizeof(some[0]);
	} while (n == ARRAY_SIZE(some));
	member_put(fd, member);
	return memory_write(size, &given, sizeof(given));
}

static int get(int fd, struct member *member, int level, int name, void *value,
	       socklen_t *size)
{
	const socklen_t none = 0;

	if (level == SOL_SOCKET) /* SO_GET_FILTER, and the filter is ours */
		return memory_write(size, &none, sizeof(none));
	switch (name) {
	case GRAFT_SO_DELAYED:
		return give_flag(member, MEMBER_DELAYED, value, size);
	case GRAFT_SO_DELAYED_RESULT:
		return give_results(fd, member, value, size);
	case GRAFT_NAME_TRANSPARENT:
		return give_flag(member, MEMBER_TRANSPARENT, value, size);
	default:
		return -ENOPROTOOPT;
	}
}

int graft_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	int saved = errno, r = -ENOPROTOOPT;
	struct member member;
	struct claim claim;

	claim_take(&claim, fd);
	if (member_find(fd, &member))
		r = get(fd, &member, level, name, value, size);
	claim_release(&claim);
	errno = r < 0 ? -r : saved;
	return r < 0 ? -1 : 0;
}
