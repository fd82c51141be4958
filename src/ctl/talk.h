/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graftd's registry as the commands see it: one connection, and one sentence on stderr
 * about whatever went wrong on it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "wire/wire.h"

struct endpoint;
struct json_object;

/* The getopt_long line every command of the registry has. */
enum {
	TALK_OPTION_SOCKET = 0x300,
};
#define TALK_OPTIONS_LONG                                             \
	{                                                             \
		"socket", required_argument, NULL, TALK_OPTION_SOCKET \
	}
#define TALK_OPTIONS_HELP                                                  \
	"  --socket PATH  where graftd listens; else GRAFT_SOCKET, else\n" \
	"                 /run/graft/graftd.sock\n"

struct talk {
	const char *command; /* "graft add", before each message */
	const char *path;    /* NULL: broker_path() */
	int fd;              /* the caller closes it; -1: none */
};

/* Return: 0, or -errno once it was told. */
int talk_open(struct talk *talk);
int talk_send(const struct talk *talk, const struct wire_message *message);
int talk_receive(const struct talk *talk, struct wire_message *ret);
/* Tells why the connection failed with @r. Return: @r. */
int talk_tell(const struct talk *talk, int r);
/* What an error says, for people. */
const char *talk_error_text(const struct wire_error *error);
/* Says on stderr, behind @place and with the name unless it is in there, what graftd has
 * against @name. */
void talk_refused(const char *place, const char *name, const struct wire_error *error);

/*
 * Sends @ask and waits for its answer. Return: 0; 1 with @ret_error filled in when it was
 * refused; -errno once it was told.
 */
int talk_ask(const struct talk *talk, const struct wire_message *ask,
	     struct wire_error *ret_error);

/* Return: 0, or whatever else ends the walk. */
typedef int talk_take(void *context, const struct wire_endpoint *endpoint);

/* Sends @ask, an ask-endpoints or a watch, and hands each endpoint to @take until the
 * `bye`. Return: 0, what @take returned, or -errno once it was told. */
int talk_walk(const struct talk *talk, enum wire_type ask, talk_take *take,
	      void *context);

/* Whether @name can be the name of an endpoint; tells if not. */
bool talk_is_name(const struct talk *talk, const char *name);
