// SPDX-License-Identifier: GPL-2.0-only
/*
 * Options that were set before there was a socket for them.
 *
 * What is set while fresh is kept in order, and set again on the socket at the endpoint
 * once there is one: what is delayed for the first time, the rest because that is another
 * socket than the one it was set on. A value is copied when it is set, and nothing of it
 * is read again from the program, but for what an option's own structure points to.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "socket.h"

struct graft_option *graft_option_new(int level, int optname, sockptr_t optval,
				      unsigned int optlen)
{
	unsigned int size = optlen <= GRAFT_OPTION_SIZE ? optlen : 0;
	struct graft_option *option;

	option = kmalloc(struct_size(option, value, size), GFP_KERNEL_ACCOUNT);
	if (!option)
		return ERR_PTR(-ENOMEM);
	option->level = level;
	option->optname = optname;
	option->optlen = optlen;
	option->is_delayed = false;
	if (copy_from_sockptr(option->value, optval, size)) {
		kfree(option);
		return ERR_PTR(-EFAULT);
	}
	return option;
}

int graft_option_keep(struct graft_sock *gs, struct graft_option *option)
{
	lockdep_assert_held(&gs->lock);
	if (gs->n_options >= GRAFT_OPTIONS_MAX) {
		kfree(option);
		return -ENOBUFS;
	}
	list_add_tail(&option->list, &gs->options);
	gs->n_options++;
	return 0;
}

/* The oldest go when nobody reads them. */
static void note(struct graft_sock *gs, int level, int optname, int ret)
{
	struct graft_result *result;

	if (gs->n_results >= GRAFT_OPTIONS_MAX)
		kfree(graft_result_take(gs));
	result = kmalloc(sizeof(*result), GFP_KERNEL_ACCOUNT);
	if (!result)
		return;
	result->what.level = level;
	result->what.optname = optname;
	result->what.ret = ret;
	list_add_tail(&result->list, &gs->results);
	gs->n_results++;
}

void graft_result_note(struct graft_sock *gs, int level, int optname, int err)
{
	if (err)
		note(gs, level, optname, err);
}

struct graft_result *graft_result_take(struct graft_sock *gs)
{
	struct graft_result *result =
		list_first_entry_or_null(&gs->results, struct graft_result, list);

	if (result) {
		list_del(&result->list);
		gs->n_results--;
	}
	return result;
}

static int replay(struct graft_option *option, struct socket *sock)
{
	if (option->optlen > GRAFT_OPTION_SIZE)
		return -EMSGSIZE;
	return graft_option_set_native(sock, sock->ops, option->level, option->optname,
				       KERNEL_SOCKPTR(option->value), option->optlen);
}

void graft_options_replay(struct graft_sock *gs, struct socket *sock,
			  enum graft_replay which)
{
	struct graft_option *option;

	lockdep_assert_held(&gs->lock);
	list_for_each_entry(option, &gs->options, list) {
		bool was_delayed = option->is_delayed;
		int err;

		if (!(which & (was_delayed ? GRAFT_REPLAY_DELAYED : GRAFT_REPLAY_DONE)))
			continue;
		err = replay(option, sock);
		option->is_delayed = false;
		if (was_delayed || err)
			note(gs, option->level, option->optname, err);
	}
}

void graft_options_free(struct graft_sock *gs)
{
	struct graft_option *option, *next;
	struct graft_result *result;

	list_for_each_entry_safe(option, next, &gs->options, list)
		kfree(option);
	INIT_LIST_HEAD(&gs->options);
	while ((result = graft_result_take(gs)) != NULL)
		kfree(result);
}
