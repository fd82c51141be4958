/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

extern int n_failed;

/* What an exec'd copy of this program does with what it was left. */
int mode_inherited(int argc, char **argv);
/* Runs this program for what it inherits as @fd: see mode_inherited(). Return: status. */
int run_self(int fd, int port);
void check_kept(int fd); /* an AF_GRAFT socket bound to s4 */
