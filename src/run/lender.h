/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets of this network namespace for supervisors that live in another one and cannot
 * leave it: those of an engine that an ordinary user has started in RootlessKit's. Here
 * is the process outside; the driver inside is stack_lent_new().
 */
#pragma once

#include <stddef.h>

/* Where it listens: $XDG_RUNTIME_DIR/graft/host.sock. Return: 0; -ENOENT: there is no
 * XDG_RUNTIME_DIR; -ENAMETOOLONG. */
int lender_path(char *path, size_t size);
/* Listens at @path, in a directory that is made if need be. Return: a descriptor, the
 * caller's, or -errno (-EADDRINUSE: somebody does). */
int lender_open(const char *path);
/*
 * Lends until SIGTERM, SIGINT or SIGHUP comes or, if it is not -1, the process of @until,
 * a pidfd, has ended; then removes the socket. Gives up what the caller has of
 * privileges; takes over @fd. Return: 0 or -errno.
 */
int lender_serve(int fd, const char *path, int until);
