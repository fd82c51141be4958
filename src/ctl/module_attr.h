/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Endpoints and events as the module af_graft has them, in attributes of generic netlink
 * (<linux/graft.h>), and as the rest of graft has them. No I/O here.
 */
#pragma once

#include "broker/module_write.h"

struct endpoint;
struct wire_endpoint;
struct wire_event;

/* Reads a GRAFT_CMD_ENDPOINT_NEW; endpoint_release() on success. Return: 0, -EBADMSG,
 * -ENOMEM. */
int module_read(const struct nlmsghdr *message, struct wire_endpoint *ret_told,
		struct endpoint *ret);
/* Reads what came by the group. Return: 1; 0 when it is none that we know; -EBADMSG,
 * -ENOMEM. */
int module_read_event(const struct nlmsghdr *message, struct wire_event *ret);
