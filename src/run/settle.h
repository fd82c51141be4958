/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a supervisor makes of itself before it starts threads.
 */
#pragma once

#include <stdbool.h>

/* Signals, standard input and output, the limit of descriptors, the directory. */
void settle_process(void);
/*
 * As root, what the work needs: taking descriptors of processes of any user (PTRACE,
 * DAC_READ_SEARCH for their /proc/PID/fd), low ports, UNIX endpoints whose directories
 * are not root's and removing a cgroup (DAC_OVERRIDE), killing the run. An ordinary user
 * has none of these and needs none: owning the program's user namespace is enough.
 * @overrides: it keeps CAP_DAC_OVERRIDE. @steers: CAP_NET_ADMIN and CAP_BPF stay
 * permitted, and are in effect between settle_raise(true) and settle_raise(false) only:
 * options of a program's socket, which the engine's threads carry to sockets of their
 * own, must not be set by what they may.
 */
void settle_privileges(bool overrides, bool steers);
/* For the calling thread. Return: 0 or -errno. */
int settle_raise(bool is_raised);
