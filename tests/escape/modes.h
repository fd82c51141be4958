/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the program does besides attempts; see main.c. */
#pragma once

#include "escape.h"

int mode_fd(int fd, const struct way *way);
int mode_with_descriptors(char **command);
int mode_with_poller(char **command);
int mode_give(const char *path, const struct way *way);
int mode_take(const char *path, const struct way *way);
int mode_victim(void);
int mode_identity(void);
