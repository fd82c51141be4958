/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options of level IPPROTO_GRAFT, as linux/graft.h has them; see family.c for the limits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "intercept/notify/engine.h"
#include "intercept/notify/family.h"
#include "stack/carry.h"

/* Options whose value is a pointer or a descriptor would be taken for ours. */
static int set_option(int fd, const struct graft_sso_trans *option, const char *value)
{
	if (!carry_has(option->level, option->optname))
		return -ENOPROTOOPT;
	return setsockopt(fd, option->level, option->optname, value, option->optlen) < 0
		       ? -errno
		       : 0;
}

void family_run_delayed(struct notify *notify, uint64_t cookie, int fd)
{
	struct family *family = notify->family;
	struct member *member;

	pthread_mutex_lock(&family->lock);
	member = family_find(family, cookie);
	for (size_t i = 0; member && i < member->n_options; i++) {
		const struct delayed *option = &member->options[i];

		if (member->n_results == DELAYED_MAX)
			break;
		member->results[member->n_results++] = (struct graft_sso_result){
			option->head.level, option->head.optname,
			set_option(fd, &option->head, option->value)
		};
	}
	if (member)
		member->n_options = 0;
	pthread_mutex_unlock(&family->lock);
}

static int delay(struct member *member, const struct delayed *option)
{
	if (!member->options)
		member->options = calloc(DELAYED_MAX, sizeof(*member->options));
	if (!member->options)
		return -ENOMEM;
	if (member->n_options == DELAYED_MAX)
		return -ENOBUFS;
	member->options[member->n_options++] = *option;
	return 0;
}

static int read_int(const struct call *call, int *ret)
{
	if ((int)call->args[4] < (int)sizeof(*ret))
		return -EINVAL;
	return target_read(call, call->args[3], ret, sizeof(*ret));
}

static int set_transparent(const struct call *call, const struct subject *subject,
			   struct member *member)
{
	struct delayed option = { 0 };
	size_t size = (uint32_t)call->args[4];
	int r;

	if (size < sizeof(option.head) || size > GRAFT_SSO_TRANS_SIZE)
		return -EINVAL;
	r = target_read(call, call->args[3], &option, size);
	if (r < 0)
		return r;
	if (option.head.optlen > size - sizeof(option.head))
		return -EINVAL;
	if (member->is_delayed && !member->is_bound)
		return delay(member, &option);
	return set_option(subject->fd, &option.head, option.value);
}

/* Called with the lock held. */
static int set_own(const struct call *call, const struct subject *subject,
		   struct member *member)
{
	int value, r;

	switch ((int)call->args[2]) {
	case GRAFT_SO_DELAYED:
		r = read_int(call, &value);
		if (r == 0)
			member->is_delayed = value != 0;
		return r;
	case GRAFT_NAME_TRANSPARENT:
		r = read_int(call, &value);
		if (r == 0)
			member->is_transparent = value != 0;
		return r;
	case GRAFT_SO_TRANSPARENT:
		return set_transparent(call, subject, member);
	default:
		return -ENOPROTOOPT;
	}
}

struct answer family_setsockopt(struct call *call, const struct subject *subject)
{
	struct family *family = call->notify->family;
	bool is_bound, executes = call->args[2] == GRAFT_SO_DELAYED_EXECUTE;
	struct member *member;
	int r = 0;

	if (!family_knows(call->notify, subject, &is_bound))
		return answer_continue();
	if (executes) {
		family_run_delayed(call->notify, subject_cookie(subject), subject->fd);
		return answer_result(0);
	}
	pthread_mutex_lock(&family->lock);
	member = family_find(family, subject_cookie(subject));
	if (member)
		r = set_own(call, subject, member);
	pthread_mutex_unlock(&family->lock);
	return answer_result(r);
}

static int give_value(const struct call *call, const void *value, int size)
{
	int room, r = target_read(call, call->args[4], &room, sizeof(room));

	if (r == 0 && room < 0)
		r = -EINVAL;
	if (room > size)
		room = size;
	if (r == 0)
		r = target_write(call, call->args[3], value, (size_t)room);
	if (r == 0)
		r = target_write(call, call->args[4], &room, sizeof(room));
	return r;
}

/* As many as there is room for, which are forgotten. */
static int give_results(const struct call *call, struct member *member)
{
	const size_t one = sizeof(member->results[0]);
	size_t n;
	int room, r = target_read(call, call->args[4], &room, sizeof(room));

	if (r < 0)
		return r;
	if (room < 0)
		return -EINVAL;
	n = (size_t)room / one < member->n_results ? (size_t)room / one
						   : member->n_results;
	room = (int)(n * one);
	if (n)
		r = target_write(call, call->args[3], member->results, (size_t)room);
	if (r == 0)
		r = target_write(call, call->args[4], &room, sizeof(room));
	if (r < 0)
		return r;
	member->n_results -= n;
	memmove(member->results, member->results + n, member->n_results * one);
	return 0;
}

static int get_own(const struct call *call, struct member *member)
{
	int value;

	switch ((int)call->args[2]) {
	case GRAFT_SO_DELAYED:
		value = member->is_delayed;
		return give_value(call, &value, sizeof(value));
	case GRAFT_NAME_TRANSPARENT:
		value = member->is_transparent;
		return give_value(call, &value, sizeof(value));
	case GRAFT_SO_DELAYED_RESULT:
		return give_results(call, member);
	default:
		return -ENOPROTOOPT;
	}
}

struct answer call_getsockopt(struct call *call, struct subject *subject)
{
	struct family *family = call->notify->family;
	struct member *member;
	bool is_bound;
	int r = 0;

	if (!family_knows(call->notify, subject, &is_bound))
		return answer_continue();
	pthread_mutex_lock(&family->lock);
	member = family_find(family, subject_cookie(subject));
	if (member)
		r = get_own(call, member);
	pthread_mutex_unlock(&family->lock);
	return answer_result(r);
}
