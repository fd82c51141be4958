/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A call's registers in pieces ("cells") that do not overlap and leave nothing out: those
 * our filter judges, and those it lets pass. cell.c says why.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As the runtime specification has them: MASKED holds where ARG & value == value_two. */
enum cell_op {
	CELL_EQ,
	CELL_NE,
	CELL_LT,
	CELL_LE,
	CELL_GT,
	CELL_GE,
	CELL_MASKED,
	CELL_N_OPS,
};

struct cell_condition {
	unsigned int index;
	enum cell_op op;
	uint64_t value, value_two;
};

#define CELL_CONDITIONS_MAX 6

enum cell_kind {
	CELL_PASSES, /* our filter lets it pass, whatever the ABI */
	CELL_JUDGED, /* our filter, or the supervisor, has a say */
	CELL_ABSENT, /* fails with ENOSYS */
	CELL_APART, /* passes, and holds one of @apart of cells_of(), of what is known alone */
};

struct cell {
	enum cell_kind kind;
	unsigned int n;
	struct cell_condition conditions[CELL_CONDITIONS_MAX];
};

#define CELLS_MAX 64

struct cells {
	size_t n;
	struct cell at[CELLS_MAX];
	bool is_whole; /* even where the profile gives it no right to be: socketcall() */
};

/* The calls that cells_of() knows, in order. Return: NULL at the end. */
const char *cells_call(size_t index);
/*
 * The cells of call @index under @traps (enum trap). @apart: values of argument 0 that a
 * cell is to have for itself, as far as can be. Return: 0: the filter leaves this call
 * alone; else how many.
 */
size_t cells_of(size_t index, unsigned int traps, const uint64_t *apart, size_t n_apart,
		struct cells *ret);

enum cell_meet {
	CELL_NEVER,   /* no register meets both */
	CELL_MEETS,   /* @ret is what meets both */
	CELL_UNKNOWN, /* cannot be said in one condition */
};
/* Two conditions on one argument. @ret may be one of them. */
enum cell_meet cell_meet(const struct cell_condition *a, const struct cell_condition *b,
			 struct cell_condition *ret);
