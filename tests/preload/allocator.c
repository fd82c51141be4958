/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An allocator as jemalloc is one: while it starts, with its lock held, it opens a file
 * by syscall() and closes it. A library in between that wants memory then never gets it:
 * this one ends the program instead of waiting for itself.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define POOL (256u * 1024 * 1024)

void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *old, size_t size);
void free(void *p);

static char pool[POOL] __attribute__((aligned(16)));
static size_t used;
static _Thread_local bool is_starting;
static bool is_started;

static void start(void)
{
	int fd;

	if (is_started)
		return;
	if (is_starting)
		_exit(99);
	is_starting = true;
	fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/sys/vm/overcommit_memory",
			  O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		fcntl(fd, F_GETFD);
		close(fd);
	}
	is_started = true;
	is_starting = false;
}

static void *take(size_t size)
{
	size_t whole = (size + 16 + 15) & ~(size_t)15, at;

	start();
	at = __atomic_fetch_add(&used, whole, __ATOMIC_RELAXED);
	if (whole < size || at + whole > POOL)
		return NULL;
	memcpy(pool + at, &size, sizeof(size));
	return pool + at + 16;
}

void *malloc(size_t size)
{
	return take(size);
}

void *calloc(size_t n, size_t size)
{
	/* The pool is zero, and nothing is used twice. */
	return size && n > POOL / size ? NULL : take(n * size);
}

void *realloc(void *old, size_t size)
{
	void *new = take(size);
	size_t had;

	if (!old || !new)
		return new;
	memcpy(&had, (char *)old - 16, sizeof(had));
	return memcpy(new, old, had < size ? had : size);
}

void free(void *p)
{
	(void)p;
}

/* Ahead of the library's own, which is loaded before this one. */
__attribute__((constructor)) static void begin(void)
{
	start();
}
