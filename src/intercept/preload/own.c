/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers near the top of what a program uses, but not near that of its limit: the kernel
 * keeps tables as large as the highest number, and copies them in fork().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "intercept/preload/own.h"

#define NUMBER_TOP  1024
#define NUMBER_ROOM 64 /* from the top down */

#define COOKIE_BITS 48
#define COOKIE_MASK ((UINT64_C(1) << COOKIE_BITS) - 1)

atomic_int own_lowest = INT_MAX;

static _Atomic uint64_t slots[OWN_MAX];

static int number_of(uint64_t word)
{
	return (int)(word >> COOKIE_BITS);
}

/* Return: what a slot holds for @fd; 0: it is no socket. */
static uint64_t word_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0)
		return 0;
	return (uint64_t)fd << COOKIE_BITS | (cookie & COOKIE_MASK);
}

static bool is_ours(uint64_t word)
{
	int saved = errno;
	bool same = word && word_of(number_of(word)) == word;

	errno = saved;
	return same;
}

int own_get(unsigned int slot)
{
	uint64_t word = atomic_load_explicit(&slots[slot], memory_order_acquire);

	return is_ours(word) ? number_of(word) : -1;
}

int own_guess(unsigned int slot)
{
	uint64_t word = atomic_load_explicit(&slots[slot], memory_order_acquire);

	return word ? number_of(word) : -1;
}

static int raise_number(int fd)
{
	struct rlimit limit;
	int top = NUMBER_TOP, high;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < NUMBER_TOP)
		top = (int)limit.rlim_cur;
	if (top - NUMBER_ROOM <= fd)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, top - NUMBER_ROOM);
	if (high < 0)
		return fd;
	close(fd);
	return high;
}

static void lower(int number)
{
	int lowest = atomic_load(&own_lowest);

	while (number < lowest &&
	       !atomic_compare_exchange_weak(&own_lowest, &lowest, number))
		;
}

int own_put(unsigned int slot, int fd)
{
	uint64_t word, old;

	fd = raise_number(fd);
	word = fd > UINT16_MAX ? 0 : word_of(fd);
	if (!word) {
		close(fd);
		return -EMFILE;
	}
	lower(fd);
	old = atomic_load(&slots[slot]);
	while (!is_ours(old))
		if (atomic_compare_exchange_strong(&slots[slot], &old, word))
			return fd;
	close(fd);
	return number_of(old);
}

void own_drop(unsigned int slot, int number)
{
	uint64_t word = atomic_load(&slots[slot]);

	if (number_of(word) != number || !is_ours(word))
		return;
	if (atomic_compare_exchange_strong(&slots[slot], &word, 0))
		close(number);
}

static int slot_of(int fd)
{
	for (int i = 0; i < OWN_MAX; i++) {
		uint64_t word = atomic_load_explicit(&slots[i], memory_order_acquire);

		if (word && number_of(word) == fd && is_ours(word))
			return i;
	}
	return -1;
}

bool own_has(int fd)
{
	return own_may_have(fd) && slot_of(fd) >= 0;
}

void own_make_way(int fd)
{
	int slot = own_may_have(fd) ? slot_of(fd) : -1;
	uint64_t old, word;
	int moved;

	if (slot < 0)
		return;
	old = atomic_load(&slots[slot]);
	moved = fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
	if (moved < 0)
		moved = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (moved < 0)
		return;
	lower(moved);
	word = (uint64_t)moved << COOKIE_BITS | (old & COOKIE_MASK);
	if (number_of(old) != fd ||
	    !atomic_compare_exchange_strong(&slots[slot], &old, word))
		close(moved);
}

int own_first(unsigned int first, unsigned int last)
{
	int found = -1;

	for (int i = 0; i < OWN_MAX; i++) {
		uint64_t word = atomic_load_explicit(&slots[i], memory_order_acquire);
		int number = number_of(word);

		if (!word || (unsigned int)number < first ||
		    (unsigned int)number > last || (found >= 0 && number >= found))
			continue;
		if (is_ours(word))
			found = number;
	}
	return found;
}
