/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * A file in the state directory, not a memfd: it is found again by a graftd that was
 * started after another one was killed, so the maps that clients made of it go on living.
 *
 * Clients get a descriptor opened for reading. One for writing could be had from it
 * through /proc/self/fd by whoever may write to the file: root in a container, too. So it
 * is opened through a copy of the mount that is read-only and belongs to no namespace,
 * where nobody may. Without the privilege to make one (a user's own graftd) the file's
 * mode has to do.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "broker/page.h"

#define PAGE_NAME "page"
#define PAGE_SIZE 4096

#ifndef OPEN_TREE_CLONE
#	define OPEN_TREE_CLONE 1
#endif
#ifndef MOUNT_ATTR_RDONLY
#	define MOUNT_ATTR_RDONLY 1
#endif

struct page {
	_Atomic uint64_t *map;
	int fd; /* for reading */
};

/* struct mount_attr, which older headers lack. */
struct attributes {
	uint64_t set, clear, propagation, userns;
};

static int open_read_only(int dir)
{
	struct attributes attributes = { .set = MOUNT_ATTR_RDONLY };
	_cleanup_fd_ int tree = (int)syscall(SYS_open_tree, dir, "",
					     OPEN_TREE_CLONE | AT_EMPTY_PATH | O_CLOEXEC);

	if (tree >= 0 && syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes,
				 sizeof(attributes)) == 0)
		return openat(tree, PAGE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return openat(dir, PAGE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static int map(struct page *page, int dir)
{
	_cleanup_fd_ int fd =
		openat(dir, PAGE_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	void *at;

	if (fd < 0 || ftruncate(fd, PAGE_SIZE) < 0)
		return -errno;
	at = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	page->map = at;
	page->fd = open_read_only(dir);
	return page->fd < 0 ? -errno : 0;
}

int page_new(struct page **ret, int dir)
{
	struct page *page = calloc(1, sizeof(*page));
	int r;

	if (!page)
		return -ENOMEM;
	page->fd = -1;
	r = map(page, dir);
	if (r < 0) {
		page_free(page);
		return r;
	}
	page_bump(page);
	*ret = page;
	return 0;
}

struct page *page_free(struct page *page)
{
	if (!page)
		return NULL;
	if (page->map)
		munmap((void *)page->map, PAGE_SIZE);
	fd_close(page->fd);
	free(page);
	return NULL;
}

uint64_t page_generation(const struct page *page)
{
	return atomic_load(page->map);
}

void page_bump(struct page *page)
{
	uint64_t next = atomic_load(page->map) + 1;

	atomic_store(page->map, next ? next : 1);
}

int page_fd(const struct page *page)
{
	return page->fd;
}
