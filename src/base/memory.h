/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How long a process has been idle that gives memory back. */
#define MEMORY_REST_MS 3000

/* Gives the kernel back what is free of the heap, and the pages of code and constants of
 * the program and its libraries. Any thread, while others run. */
void memory_give_back(void);
