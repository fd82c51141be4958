/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Endpoints and events as the module af_graft has them, in attributes of generic netlink
 * (<linux/graft.h>), and as the rest of graft has them. No I/O here.
 */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>

struct endpoint;
struct wire_endpoint;
struct wire_error;
struct wire_event;

/* Whether the module can have @endpoint. Return: 0; or -errno, with a sentence in
 * @ret_error that names the word that it has not. */
int module_check(const struct endpoint *endpoint, struct wire_error *ret_error);

/* Puts what a GRAFT_CMD_ENDPOINT_NEW says of @endpoint into @message, which has @size
 * bytes. @netns: a descriptor of endpoint->netns unless that is a pid or not given.
 * Return: 0 or -EMSGSIZE. */
int module_write(struct nlmsghdr *message, size_t size, const struct endpoint *endpoint,
		 int netns);

/* Reads a GRAFT_CMD_ENDPOINT_NEW; endpoint_release() on success. Return: 0, -EBADMSG,
 * -ENOMEM. */
int module_read(const struct nlmsghdr *message, struct wire_endpoint *ret_told,
		struct endpoint *ret);
/* Reads what came by the group. Return: 1; 0 when it is none that we know; -EBADMSG,
 * -ENOMEM. */
int module_read_event(const struct nlmsghdr *message, struct wire_event *ret);
