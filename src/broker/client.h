/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Talking to graftd, or to the broker of a run, from a process of our own. Blocking, with
 * a time limit; one connection, one thread.
 */
#pragma once

#include <sys/types.h>

#include "wire/wire.h"

/* Where graftd listens, unless GRAFT_SOCKET in the environment says otherwise. */
#define BROKER_SOCKET "/run/graft/graftd.sock"
/* Patience with one answer. */
#define BROKER_PATIENCE_MS 5000

/* Return: @path of GRAFT_SOCKET (secure_getenv), else BROKER_SOCKET. */
const char *broker_path(void);

/*
 * Connects (SOCK_SEQPACKET) to @path, NULL for broker_path(); "@NAME" is an abstract
 * name, as GRAFT_RUN has it. Return: a descriptor, the
 * caller's, or -errno (-ENOENT, -ECONNREFUSED: nobody is there; -EACCES).
 */
int broker_connect(const char *path);
/* As broker_connect(), and says hello. */
int broker_open(const char *path);

/* Sends @message with @fds beside it. Return: 0 or -errno. */
int broker_send(int via, const struct wire_message *message, const int *fds,
		size_t n_fds);
/* Receives one message, at most @max_fds descriptors beside it, close-on-exec and the
 * caller's. Return: 0; -ECONNRESET at the end of the stream; -ETIMEDOUT; -EBADMSG. */
int broker_receive(int via, struct wire_message *ret, int timeout_ms, int *ret_fds,
		   size_t max_fds, size_t *ret_n_fds);

/*
 * Asks for a socket. @socket: the one to replace, whose options count, or -1. @whom: a
 * pidfd of the process that will have it, or -1 for ourselves. @ret_path, or NULL: a
 * second descriptor beside the grant, O_PATH, by which a UNIX socket is reached whatever
 * the caller's mount namespace is; -1 when there is none.
 *
 * Return: the new descriptor, close-on-exec and the caller's, with the rest in @ret; or
 * -errno as the broker said it; -ENETDOWN when there is no broker or it does not answer,
 * and the connection had better be made anew; or what is short here (-EMFILE ...).
 */
int broker_ask(int via, const struct wire_ask *ask, int socket, int whom,
	       struct wire_grant *ret, int *ret_path);
