/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Handles on processes (pidfd_open(2)), and who we are.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct ucred;

/* Return: a pidfd, close-on-exec and the caller's, or -errno. */
int process_open(pid_t pid);
/* The same of one thread, from Linux 6.9 on; -EINVAL before. */
int process_open_thread(pid_t thread);
/* Return: the process, as our PID namespace numbers it; 0 when @pidfd is none, or the
 * process has ended or has no number here. */
pid_t process_of(int pidfd);
/*
 * Makes a process that is nobody's child and leads a session. Return: 1 in it, 0 in the
 * caller, or -errno.
 */
int process_split_off(void);
/* Of @peer, which SO_PEERCRED tells of @socket. Return: as process_open(). */
int process_open_peer(int socket, const struct ucred *peer);
/* Is @pid in our namespace of that kind, a name in /proc/PID/ns? Return: 1, 0, or -errno:
 * it has ended, or may not be asked. */
int process_shares(pid_t pid, const char *namespace);
/* Are we root where it counts, and not of a user namespace below? */
bool process_is_real_root(void);
/* The caller's user id as the user namespace around its own has it. */
uid_t process_outer_uid(void);
