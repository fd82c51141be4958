/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One record for each number, modulo the size of the table; the last one made stays.
 *
 * A record is written by the thread that made the socket, before it hands the number out,
 * so nobody else has business with it yet. While it is written its number is none. What
 * others may do to a record later is to set marks in it and to count up its options; that
 * they do it to one which has just been replaced by another number's is kept from harm by
 * their comparing the number, and otherwise makes a move more careful than it need be.
 */
#include <string.h>

#include "intercept/preload/known.h"

#define RECORDS   1024
#define NO_NUMBER 0

static struct record {
	_Atomic uint64_t cookie; /* 0: not read yet */
	atomic_int number;       /* its complement, so that zeroed memory holds none */
	atomic_uint marks;
	atomic_uint changes;
	atomic_int n_options;
	_Atomic uint64_t options[KNOWN_OPTIONS]; /* level, name */
	uint64_t netns;
	int domain, type, protocol;
} records[RECORDS];

static struct record *record_of(int number)
{
	return &records[(unsigned int)number % RECORDS];
}

void known_add(int number, const struct known *known)
{
	struct record *record = record_of(number);

	atomic_store(&record->number, NO_NUMBER);
	atomic_store_explicit(&record->cookie, known->cookie, memory_order_relaxed);
	atomic_store_explicit(&record->marks, known->marks, memory_order_relaxed);
	record->netns = known->netns;
	record->domain = known->domain;
	record->type = known->type;
	record->protocol = known->protocol;
	for (int i = 0; i < known->n_options; i++)
		atomic_store_explicit(&record->options[i],
				      (uint64_t)(uint32_t)known->options[i].level << 32 |
					      (uint32_t)known->options[i].name,
				      memory_order_relaxed);
	atomic_store_explicit(&record->n_options, known->n_options, memory_order_relaxed);
	atomic_store_explicit(&record->number, ~number, memory_order_release);
}

/* Is it the record of this very socket? The first to use it tells its cookie. */
static bool is_of(struct record *record, int number, uint64_t cookie)
{
	uint64_t known = 0;

	if (number < 0 || !cookie ||
	    atomic_load_explicit(&record->number, memory_order_acquire) != ~number)
		return false;
	return atomic_compare_exchange_strong(&record->cookie, &known, cookie) ||
	       known == cookie;
}

bool known_find(int number, uint64_t cookie, struct known *ret)
{
	struct record *record = record_of(number);

	if (!is_of(record, number, cookie))
		return false;
	*ret = (struct known){
		.cookie = cookie,
		.netns = record->netns,
		.domain = record->domain,
		.type = record->type,
		.protocol = record->protocol,
		.marks = atomic_load(&record->marks),
		.changes = atomic_load(&record->changes),
		.n_options = atomic_load(&record->n_options),
	};
	if (ret->n_options > KNOWN_OPTIONS) {
		ret->n_options = KNOWN_OPTIONS;
		ret->marks |= KNOWN_OPTION;
	}
	for (int i = 0; i < ret->n_options; i++) {
		uint64_t option = atomic_load(&record->options[i]);

		ret->options[i].level = (int)(option >> 32);
		ret->options[i].name = (int)(uint32_t)option;
	}
	atomic_thread_fence(memory_order_acquire);
	return is_of(record, number, cookie);
}

void known_forget(int number)
{
	struct record *record = record_of(number);
	int stored = ~number;

	if (atomic_load_explicit(&record->number, memory_order_relaxed) == stored)
		atomic_compare_exchange_strong(&record->number, &stored, NO_NUMBER);
}

void known_forget_range(unsigned int first, unsigned int last)
{
	for (size_t i = 0; i < RECORDS; i++) {
		int stored =
			atomic_load_explicit(&records[i].number, memory_order_relaxed);
		unsigned int number = (unsigned int)~stored;

		if (stored != NO_NUMBER && number >= first && number <= last)
			atomic_compare_exchange_strong(&records[i].number, &stored,
						       NO_NUMBER);
	}
}

void known_mark(int number, unsigned int marks)
{
	struct record *record = record_of(number);

	if (number >= 0 &&
	    atomic_load_explicit(&record->number, memory_order_relaxed) == ~number &&
	    (atomic_load_explicit(&record->marks, memory_order_relaxed) & marks) != marks)
		atomic_fetch_or(&record->marks, marks);
}

void known_mark_option(int number, int level, int name)
{
	struct record *record = record_of(number);
	uint64_t option = (uint64_t)(uint32_t)level << 32 | (uint32_t)name;
	int n;

	if (number < 0 ||
	    atomic_load_explicit(&record->number, memory_order_relaxed) != ~number)
		return;
	atomic_fetch_add_explicit(&record->changes, 1, memory_order_relaxed);
	n = atomic_load(&record->n_options);
	for (int i = 0; i < n && i < KNOWN_OPTIONS; i++)
		if (atomic_load_explicit(&record->options[i], memory_order_relaxed) ==
		    option)
			return;
	if (n < KNOWN_OPTIONS)
		n = atomic_fetch_add(&record->n_options, 1);
	if (n < KNOWN_OPTIONS)
		atomic_store(&record->options[n], option);
	else
		known_mark(number, KNOWN_OPTION);
}
