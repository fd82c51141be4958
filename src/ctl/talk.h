/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registry as the commands see it: one connection, and one sentence on stderr about
 * whatever went wrong on it. It is graftd's when somebody said where graftd listens, by
 * --socket or GRAFT_SOCKET; else that of the module af_graft, when it is loaded; else
 * graftd's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "wire/wire.h"

struct endpoint;
struct json_object;
struct module;

/* The getopt_long line every command of the registry has. */
enum {
	TALK_OPTION_SOCKET = 0x300,
};
#define TALK_OPTIONS_LONG                                             \
	{                                                             \
		"socket", required_argument, NULL, TALK_OPTION_SOCKET \
	}
#define TALK_OPTIONS_HELP                                                             \
	"  --socket PATH  ask graftd, which listens there; else where GRAFT_SOCKET\n" \
	"                 says; else the module af_graft when it is loaded, or\n"     \
	"                 graftd at /run/graft/graftd.sock\n"

struct talk {
	const char *command; /* "graft add", before each message */
	const char *path;    /* of graftd, or NULL */
	bool is_for_graftd;  /* the module cannot do it */
	int fd;              /* to graftd; -1: none */
	struct module *module;
};
/* talk_close() in any case. */
#define TALK_INIT(command_)                     \
	{                                       \
		.command = (command_), .fd = -1 \
	}

/* Return: 0, or -errno once it was told. */
int talk_open(struct talk *talk);
void talk_close(struct talk *talk);
/* "graftd" or "the module af_graft". */
const char *talk_with(const struct talk *talk);
/* graftd may be sent more before it has answered, the module not. */
int talk_send(const struct talk *talk, const struct wire_message *message);
int talk_receive(const struct talk *talk, struct wire_message *ret);
/* Tells why the connection failed with @r. Return: @r. */
int talk_tell(const struct talk *talk, int r);
/* What an error says, for people. */
const char *talk_error_text(const struct wire_error *error);
/* Says on stderr, behind @place and with the name unless it is in there, what there is
 * against @name. */
void talk_refused(const char *place, const char *name, const struct wire_error *error);

/*
 * Sends @ask and waits for its answer. Return: 0; 1 with @ret_error filled in when it was
 * refused; -errno once it was told.
 */
int talk_ask(const struct talk *talk, const struct wire_message *ask,
	     struct wire_error *ret_error);

/* What is told of an endpoint, and the endpoint; not its line, which the module's have
 * not. Return: 0, or whatever else ends the walk. */
typedef int talk_take(void *context, const struct wire_endpoint *told,
		      const struct endpoint *endpoint);

/* Hands each endpoint one may see to @take. Return: 0, what @take returned, or -errno
 * once it was told. */
int talk_walk(const struct talk *talk, talk_take *take, void *context);

/* Connects, and asks to be told what happens. Return: 0 or -errno, not told. */
int talk_watch(struct talk *talk);
/* Waits for the next message about it. Return: 0 or -errno, not told. */
int talk_next(const struct talk *talk, struct wire_message *ret);

/* Whether @name can be the name of an endpoint; tells if not. */
bool talk_is_name(const struct talk *talk, const char *name);
