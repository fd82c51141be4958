/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "broker/hash.h"

struct state {
	uint64_t a, b, c, d;
};

static inline uint64_t turn(uint64_t value, unsigned int bits)
{
	return value << bits | value >> (64 - bits);
}

static inline void mix(struct state *s)
{
	s->a += s->b;
	s->c += s->d;
	s->b = turn(s->b, 13) ^ s->a;
	s->d = turn(s->d, 16) ^ s->c;
	s->a = turn(s->a, 32);
	s->c += s->b;
	s->a += s->d;
	s->b = turn(s->b, 17) ^ s->c;
	s->d = turn(s->d, 21) ^ s->a;
	s->c = turn(s->c, 32);
}

static inline void take(struct state *s, uint64_t word)
{
	s->d ^= word;
	mix(s);
	mix(s);
	s->a ^= word;
}

uint64_t hash_bytes_keyed(const struct hash_key *key, uint64_t salt, const void *data,
			  size_t size)
{
	struct state s = {
		key->low ^ 0x736f6d6570736575,
		key->high ^ 0x646f72616e646f6d,
		key->low ^ 0x6c7967656e657261,
		key->high ^ 0x7465646279746573,
	};
	const char *at = data;
	uint64_t word;
	size_t left = size;

	take(&s, salt);
	for (; left >= sizeof(word); at += sizeof(word), left -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		take(&s, word);
	}
	word = (uint64_t)size << 56;
	for (size_t i = 0; i < left; i++)
		word |= (uint64_t)(unsigned char)at[i] << (8 * i);
	take(&s, word);
	s.c ^= 0xff;
	for (int i = 0; i < 4; i++)
		mix(&s);
	return s.a ^ s.b ^ s.c ^ s.d;
}

void hash_key_make(struct hash_key *ret)
{
	if (getrandom(ret, sizeof(*ret), GRND_NONBLOCK) == (ssize_t)sizeof(*ret))
		return;
	/* Very early after boot only. */
	ret->low = (uint64_t)time(NULL) * 0x9e3779b97f4a7c15;
	ret->high = (uint64_t)getpid() * 0x9e3779b97f4a7c15 ^ (uintptr_t)ret;
}
