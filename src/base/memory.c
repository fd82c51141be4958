/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process that has started, and now waits for years, needs little of what it touched:
 * code and constants of libraries that parsed, compiled and connected once. Those pages
 * are files', mapped and never written, so they can go: whoever needs one again finds it
 * in the page cache, with its neighbours. What was written, relocations included, is in
 * the segments that can be, or once could be, written, and is left alone.
 */
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/memory.h"

#define RANGES_MAX 128

struct ranges {
	struct iovec at[RANGES_MAX];
	size_t n;
};

/* Where an object's parts are stands in pages that are among those to go: so all are
 * found first. */
static int find(struct dl_phdr_info *object, size_t size, void *context)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct ranges *ranges = context;

	(void)size;
	for (size_t i = 0; i < object->dlpi_phnum && ranges->n < RANGES_MAX; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		size_t start = object->dlpi_addr + part->p_vaddr, before = start % page;

		if (part->p_type != PT_LOAD || part->p_flags & PF_W)
			continue;
		ranges->at[ranges->n++] = (struct iovec){
			.iov_base = (void *)(start - before),
			.iov_len = (before + part->p_memsz + page - 1) / page * page,
		};
	}
	return 0;
}

void memory_give_back(void)
{
	struct ranges ranges = { .n = 0 };

	malloc_trim(0);
	dl_iterate_phdr(find, &ranges);
	for (size_t i = 0; i < ranges.n; i++)
		madvise(ranges.at[i].iov_base, ranges.at[i].iov_len, MADV_DONTNEED);
}
