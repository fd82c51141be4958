/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One connection to one family of generic netlink, one thread.
 */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

struct mnl_socket;
struct wire_error;

#define GENL_BUFFER 32768 /* what the kernel puts into one piece of a dump at most */

struct genl {
	struct mnl_socket *socket; /* NULL: none */
	uint16_t family;
	uint32_t group;      /* of the family */
	uint32_t news_group; /* of the families: which come and go */
	uint32_t seq;
	size_t at, end; /* what genl_next() has not looked at yet */
	char buffer[GENL_BUFFER] __attribute__((aligned(NLMSG_ALIGNTO)));
};

/*
 * Connects to the family called @family, and finds its group @group. Lists the families
 * for it instead of asking for the one, since that would load a module. @fd: a socket of
 * NETLINK_GENERIC in the namespace that is spoken of, taken over; or -1: one in that of
 * the caller.
 *
 * Return: 1; 0 when there is no such family; -errno. genl_close() in any case.
 */
int genl_open(struct genl *genl, int fd, const char *family, const char *group);
void genl_close(struct genl *genl);
/* Return: the cookie of the namespace the connection is of, or 0. */
uint64_t genl_netns(const struct genl *genl);

/* Begins a request in @buffer. Return: the message, for attributes and genl_ask(). */
struct nlmsghdr *genl_begin(struct genl *genl, void *buffer, uint16_t flags,
			    uint8_t command);
/* Return: 0 to go on. */
typedef int genl_take(const struct nlmsghdr *answer, void *context);
/*
 * Sends @request, which has NLM_F_ACK or NLM_F_DUMP, and hands each answer to @take until
 * their end. Return: 0; 1 with what the kernel has against it in @ret_error; what @take
 * returned; -errno.
 */
int genl_ask(struct genl *genl, const struct nlmsghdr *request, genl_take *take,
	     void *context, struct wire_error *ret_error);

/* Joins the group. Return: 0 or -errno. */
int genl_join(struct genl *genl);
/* Waits for a message to the group; it is good until the next call. Return: 0; -ENOBUFS
 * when some were lost; -ECONNRESET when the family is gone; -errno. */
int genl_next(struct genl *genl, const struct nlmsghdr **ret);
