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
/* Is @fd a control socket that clients find at our path? */
bool home_is_control(const struct home *home, int fd);
/* Return: the control socket, listening, the caller's; or -errno, logged. */
int home_listen(const struct home *home, const char *group);
