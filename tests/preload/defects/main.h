/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

extern int n_failed;

/* What an exec'd copy of this program does with what it was left. */
int mode_inherited(int argc, char **argv);
