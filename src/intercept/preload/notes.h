/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A table of notes: fixed-size keys to fixed-size values, for a library inside of other
 * people's programs. It takes no locks and no memory from malloc(), so it works in signal
 * handlers, in the children of fork and vfork (a vfork child writes into its parent's
 * table, and may be killed while it does), and among threads.
 *
 * It begins empty, grows by levels as notes come, and at its limit lets an old one go.
 * Who looks for a note while it is written finds the old value, the new one, or none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOTES_LEVELS_MAX 12

struct notes_slot;

/* Sizes in words of 8 bytes; unused bytes of keys must be zero. */
struct notes {
	uint16_t key_words, value_words;
	uint8_t first_bits; /* log2 of slots in the first level; each next has twice */
	uint8_t n_levels;   /* at most */
	_Atomic uint32_t n_evicted;
	_Atomic(struct notes_slot *) levels[NOTES_LEVELS_MAX];
};

#define NOTES_OF(key, value, bits, levels_)                                     \
	{                                                                       \
		.key_words = sizeof(key) / 8, .value_words = sizeof(value) / 8, \
		.first_bits = (bits), .n_levels = (levels_),                    \
	}

/* Words of key and value together, at most. */
#define NOTES_WORDS_MAX 40

bool notes_is_empty(struct notes *notes);
bool notes_find(struct notes *notes, const void *key, void *ret_value);
/* Writes over what is there. Nothing is noted when there is no memory. */
void notes_set(struct notes *notes, const void *key, const void *value);
void notes_forget(struct notes *notes, const void *key);
