/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's generation number, mapped: reading it takes no call.
 *
 * A page belongs to the connection it was asked for on. When that is made anew the page
 * is not believed until it was asked for again; usually it turns out to be the same file.
 * A page is never unmapped, for another thread may be reading it.
 */
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/preload/broker.h"

typedef const _Atomic uint64_t page_number;

static _Atomic(page_number *) page;
static _Atomic uint64_t page_inode;
static atomic_bool is_current;

void page_forget(void)
{
	atomic_store(&is_current, false);
}

uint64_t page_generation(void)
{
	page_number *number = atomic_load_explicit(&page, memory_order_acquire);

	if (!number || !atomic_load_explicit(&is_current, memory_order_relaxed))
		return 0;
	return atomic_load_explicit(number, memory_order_acquire);
}

void page_want(void)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;
	void *map;

	if (atomic_load(&is_current))
		return;
	fd = channel_ask_memory(WIRE_ASK_PAGE);
	if (fd < 0 || fstat(fd, &st) < 0 || (size_t)st.st_size < sizeof(uint64_t))
		return;
	if (!atomic_load(&page) || atomic_load(&page_inode) != st.st_ino) {
		map = mmap(NULL, sizeof(uint64_t), PROT_READ, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			return;
		atomic_store_explicit(&page, (page_number *)map, memory_order_release);
		atomic_store(&page_inode, st.st_ino);
	}
	atomic_store(&is_current, true);
}
