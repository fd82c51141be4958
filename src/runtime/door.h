/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket by which a runtime hands over seccomp listeners (listenerPath). One for each
 * container with a policy, in a directory that is its owner's alone:
 *
 *	ID.PID		PID the runtime's that created the container
 *
 * Nobody cleans up after a supervisor that was killed, so everybody does who comes by: a
 * socket that refuses a connection has no supervisor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

struct door {
	int fd;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

/* Makes @directory if need be, sweeps it and listens there. Return: 0 or -errno after one
 * line. */
int door_open(struct door *ret, const char *directory, const char *id);
/* Leaves the directory as it would be without it. */
void door_close(struct door *door);
/* Removes what killed supervisors left. Return: whether there was anything. */
bool door_sweep(const char *directory);
/* Does container @id have a supervisor? */
bool door_is_open(const char *directory, const char *id);
