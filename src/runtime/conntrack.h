/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel remembers of datagrams and where they were translated to: as long as a
 * client goes on sending, new rules do not count for it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Forgets those that were sent to one of the UDP ports @ports (in host order). In the
 * calling thread's network namespace; takes CAP_NET_ADMIN. Return: 0 or -errno. */
int conntrack_forget(const uint16_t *ports, size_t n);
