/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process of graft-holder: what store_holder.c reaches, starts and ends.
 */
#pragma once

#include <sys/types.h>

/* With a holder that is busy; the tests have less. */
#ifndef STORE_PATIENCE_MS
#	define STORE_PATIENCE_MS 2000
#endif

/* A socket that listens at HOLDER_SOCKET in directory @state; a connection to it. Return:
 * descriptor, the caller's, or -errno. */
int store_process_listen(int state);
int store_process_connect(int state);
/* Starts one; both descriptors stay the caller's, too. Return: its number or -errno. */
pid_t store_process_start(int listener, int state);
/* Kills it, with whom @via is the connection, unless it ended before. */
void store_process_end(pid_t pid, int via);
