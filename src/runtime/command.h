/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of an OCI runtime, as far as we have to understand it.
 */
#pragma once

#include <stdbool.h>

enum command_kind {
	COMMAND_OTHER, /* passed on */
	COMMAND_CREATE,
	COMMAND_RUN,
	COMMAND_RESTORE,
	COMMAND_CHECKPOINT,
	COMMAND_DELETE,
	COMMAND_EXEC,
	COMMAND_VERSION, /* --version alone */
	COMMAND_HELP,    /* --help alone, or nothing */
};

struct command {
	enum command_kind kind;
	bool has_help;      /* among the options of the command: nothing will be done */
	const char *bundle; /* NULL: the working directory */
	const char *config; /* crun's --config; NULL: config.json of the bundle */
	const char *id;     /* the last word; NULL: none */
	const char *log;
	bool log_is_json;
	char **rest; /* after the command */
};

void command_parse(char **argv, struct command *ret);
