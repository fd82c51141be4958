/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Handles on processes (pidfd_open(2)), and who we are.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Return: a pidfd, close-on-exec and the caller's, or -errno. */
int process_open(pid_t pid);
/* The same of one thread, from Linux 6.9 on; -EINVAL before. */
int process_open_thread(pid_t thread);
/* Return: the process, as our PID namespace numbers it; 0 when @pidfd is none, or the
 * process has ended or has no number here. */
pid_t process_of(int pidfd);
/* Are we root where it counts, and not of a user namespace below? */
bool process_is_real_root(void);
/* The caller's user id as the user namespace around its own has it. */
uid_t process_outer_uid(void);
