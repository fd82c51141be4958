/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The module af_graft in the place of graftd: the same messages, but they become requests
 * of its generic netlink family, and its answers become messages.
 */
#pragma once

#include "ctl/talk.h"
#include "wire/wire.h"

struct module;

/* Loads nothing. Return: 0, with a connection in @ret, or NULL when the module is not
 * there; -ENOMEM. */
int module_open(struct module **ret);
/* Takes NULL. */
void module_close(struct module *module);

/*
 * Does what @ask, an add or a del, asks for. What became of it waits for
 * module_receive(). Return: 0; -errno when the module cannot be talked to.
 */
int module_send(struct module *module, const struct wire_message *ask);
/* Return: 0, with a bye or an error in @ret. */
int module_receive(struct module *module, struct wire_message *ret);

/* As talk_walk(). Return: 0, with what @take returned last in @ret_taken; 1 refused, with
 * @ret_error; -errno. */
int module_walk(struct module *module, talk_take *take, void *context, int *ret_taken,
		struct wire_error *ret_error);

/* From here on module_next() tells what happens. Return: 0 or -errno. */
int module_watch(struct module *module);
/* Waits for an event. Return: 0, with it or an error in @ret; -ECONNRESET when the module
 * is gone; -errno. */
int module_next(struct module *module, struct wire_message *ret);
