/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft-holder: a process that keeps descriptors for a graftd that may be killed. It
 * talks to nobody but graftd, one at a time, over the SOCK_SEQPACKET socket HOLDER_SOCKET
 * in graftd's state directory.
 *
 * A message is one byte, a name of at most STORE_NAME_MAX bytes, and with some a
 * descriptor:
 *
 *	graftd	p NAME fd	keep this; one of the same name is closed
 *		r NAME		close it
 *		t		give me copies of all
 *		e		end, nothing is needed any more
 *	holder	h NAME fd	a copy, as asked for
 *		d PID		that was all; its process
 *		f NAME		could not be kept
 */
#pragma once

#include "broker/store.h"

#define HOLDER_SOCKET       "holder"
#define HOLDER_PROCESS_NAME "graft-holder"
#define HOLDER_MESSAGE_MAX  (1 + STORE_NAME_MAX)
/* How long it waits for the next graftd. */
#define HOLDER_PATIENCE_MS (10 * 60 * 1000)

enum holder_op {
	HOLDER_PUT = 'p',
	HOLDER_REMOVE = 'r',
	HOLDER_TAKE = 't',
	HOLDER_END = 'e',
	HOLDER_HELD = 'h',
	HOLDER_TOLD = 'd',
	HOLDER_REFUSED = 'f',
};

/* What it has when it starts, by number. */
enum holder_fd {
	HOLDER_FD_LISTENER = 3, /* at HOLDER_SOCKET */
	HOLDER_FD_STATE = 4,    /* the directory */
};

/*
 * Serves at @listener, which listens at HOLDER_SOCKET in directory @state, until told to
 * end, or there was no graftd for @patience_ms, or none and nothing to keep. Closes both,
 * and what it kept, but not the connection, whose end tells graftd that the process is
 * gone. Return: 0 or -errno.
 */
int holder_run(int listener, int state, int patience_ms);

/* The process: what main() does when it is called HOLDER_PROCESS_NAME. Return: its exit
 * status. */
int holder_main(void);
