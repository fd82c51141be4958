/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The loopback interface of the calling thread's network namespace. Changing it takes
 * CAP_NET_ADMIN there.
 */
#pragma once

#include <sys/socket.h>

/* Return: 0 or -errno. */
int loopback_up(void);
/* Makes @address (AF_INET or AF_INET6) one of its own. Return: 0, also when it was one
 * before, or -errno. */
int loopback_add(const struct sockaddr *address);
