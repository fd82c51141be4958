/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SipHash-2-4: a hash that whoever chooses the input cannot make collide without the key.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct hash_key {
	uint64_t low, high;
};

/* A key nobody knows. */
void hash_key_make(struct hash_key *ret);
uint64_t hash_bytes_keyed(const struct hash_key *key, uint64_t salt, const void *data,
			  size_t size);
