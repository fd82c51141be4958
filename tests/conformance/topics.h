/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tables of cases, one per file, in the order of topics.def. */
#pragma once

#include "case.h"

#define TOPIC(name)                                   \
	extern const struct test_case name##_cases[]; \
	extern const size_t n_##name##_cases;
#include "topics.def"
#undef TOPIC

/* Ends a topic's file: its table and how long it is. */
#define CASES(name) const size_t n_##name##_cases = ARRAY_SIZE(name##_cases)

/*
 * The program started anew by a case (`conformance --passed FD HOW`): uses the descriptor
 * it was left with. Its exit status is what it found (lifetime_process.c).
 */
int passed_main(int argc, char **argv);
