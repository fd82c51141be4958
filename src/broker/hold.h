/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeping the bound socket of a `hold` endpoint while the servers behind it come and go:
 * whoever binds next gets the same socket, still listening, with the connections that
 * wait in it.
 *
 * One server at a time has it, unless the endpoint is shared: the one it was granted to
 * last, as long as that process lives and has the socket in its table. What its children
 * do with copies is their own affair, as it is with any inherited socket.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct event_loop;
struct grant_request;
struct hold;
struct wire_grant;

/* A process for good: ids are used again, with another start time. pid 0: nobody. */
struct hold_user {
	pid_t pid;
	uint64_t start; /* clock ticks since boot, as /proc/PID/stat has it */
};

/* Keeps @socket, which is bound, and is taken over on success. Return: 0 or -errno. */
int hold_new(struct hold **ret, struct event_loop *loop, int socket);
/* The socket lives on with who has it. */
struct hold *hold_free(struct hold *hold);

/* Borrowed: to be stored away, or asked for its address. */
int hold_socket(const struct hold *hold);
uint64_t hold_cookie(const struct hold *hold);

/* Process @pid was granted the socket just now. */
void hold_note(struct hold *hold, pid_t pid);
/* For a journal, and from it: a process noted by the daemon before us. */
struct hold_user hold_get_user(const struct hold *hold);
void hold_set_user(struct hold *hold, const struct hold_user *user);

/*
 * Does the one it was granted to last still have it? That a process does not have it is
 * believed at once of @asker, whose earlier asks were answered, and of others after a
 * moment: a grant may be on its way. A process with more than 65536 descriptors has it.
 */
bool hold_is_taken(struct hold *hold, pid_t asker);

/*
 * The socket for the next one; grant_again() says how. Return: a descriptor, the
 * caller's, with WIRE_F_HELD in @ret->flags; or -errno (-ESTALE: free @hold, then make a
 * new socket).
 */
int hold_grant(struct hold *hold, const struct grant_request *request,
	       struct wire_grant *ret);
