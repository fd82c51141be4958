/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cgroup of the supervisor's own, so that nobody else may name an address on the
 * sockets that it makes; see pen.c.
 */
#pragma once

#include <stdbool.h>

/*
 * After the helpers were forked, before threads are started and privileges dropped: the
 * calling process ends, and goes on in a child of its own in that cgroup. @has_unix: it
 * makes UNIX sockets, too. @has_shortcut: its policy says `shortcut on`; where that
 * cannot be it goes without, and says so. Return: 0 there, or -errno; nothing has changed
 * then.
 */
int pen_enter(bool has_unix, bool has_shortcut);
/* Its directory, which stays pen_enter()'s; -1: there is none. */
int pen_cgroup(void);
/* For run_shortcut_serve(), and pen_enter()'s likewise; -1: without a shortcut. */
int pen_served(void);
/* The calling process leaves, and the cgroup goes. Without pen_enter(): nothing. */
void pen_leave(void);
