/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where graftd lives: its control socket, its state directory, and the lock on it.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/un.h>

struct daemon_options;

struct home {
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char state[PATH_MAX];
	int directory; /* of the state */
	int lock;
};

/* Finds the paths, makes the directory and locks it. Logs what is wrong. Return: 0 or
 * -errno; home_close() in any case. */
int home_open(struct home *ret, const struct daemon_options *options);
void home_close(struct home *home);
/* Makes the control socket listen: @last, which is that of a graftd before us, or -1, and
 * is taken over, if it is what clients find at our path; else a new one. Return: the
 * descriptor, the caller's; or -errno, logged. */
int home_listen(const struct home *home, int last, const char *group);
