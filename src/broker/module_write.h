/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Endpoints for the module af_graft, in attributes of generic netlink (<linux/graft.h>).
 * No I/O here.
 */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>

struct endpoint;
struct wire_error;

/* Whether the module can have @endpoint. Return: 0; or -errno, with a sentence in
 * @ret_error that names the word that it has not. */
int module_check(const struct endpoint *endpoint, struct wire_error *ret_error);

/* Puts what a GRAFT_CMD_ENDPOINT_NEW says of @endpoint into @message, which has @size
 * bytes. @netns: a descriptor of endpoint->netns unless that is a pid or not given.
 * Return: 0 or -EMSGSIZE. */
int module_write(struct nlmsghdr *message, size_t size, const struct endpoint *endpoint,
		 int netns);
