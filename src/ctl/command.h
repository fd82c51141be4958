/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands of `graft`: one file each, one row in the table of main.c.
 *
 * Exit status: 0 it worked, 1 it failed (explain: denied), 2 misuse or bad input.
 * `graft run` ends as its program does, 128 + N for signal N, 125 when graft itself
 * failed, 126 the program cannot be executed, 127 it was not found.
 */
#pragma once

#include "run/exit.h"

struct command {
	const char *name;
	int (*main)(int argc, char **argv); /* argv[0] is the command's name */
	const char *summary;                /* NULL: another name of the one before */
};

int command_run(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_check(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_ps(int argc, char **argv);
int command_add(int argc, char **argv);
int command_del(int argc, char **argv);
int command_show(int argc, char **argv);
int command_monitor(int argc, char **argv);
int command_reload(int argc, char **argv);
int command_attach(int argc, char **argv);
int command_detach(int argc, char **argv);
int command_stat(int argc, char **argv);
int command_trace(int argc, char **argv);
int command_revoke(int argc, char **argv);
int command_install(int argc, char **argv);
int command_lend(int argc, char **argv);
int command_uninstall(int argc, char **argv);
int command_status(int argc, char **argv);
int command_help(int argc, char **argv);
