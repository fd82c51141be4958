/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libc's own functions, and the way to them from inside the library.
 *
 * They are looked up once, with the first call of any of them, which may come from the
 * constructor of another library before ours has run. The lookup may be interrupted by
 * itself: one that fails allocates memory, and an allocator may make calls of the list
 * while it starts. Hence each pointer is usable as soon as it is set, and what allocators
 * use is looked up by itself. Two threads that look up at once find the same.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "intercept/preload/calls.h"

struct real real;

static atomic_bool is_resolved;

/* What this libc does not have. */
static long missing(void)
{
	errno = ENOSYS;
	return -1;
}

static const struct name {
	const char *name;
	size_t offset;
} names[] = {
#define CALL(name, type, parameters, arguments, what) \
	{ #name, offsetof(struct real, name) },
#define CALL_WAKES CALL
#define CALL_LATE  CALL
#define CALL_REST  CALL
#define CALL_ALIAS(name, of)
#define LEFT(name, why)
#include "intercept/preload/calls.def"
#undef CALL
};

static void *look_up(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	/* Before 2.28 the GNU libc has no second fcntl. */
	if (!found && !__builtin_strcmp(name, "fcntl64"))
		found = dlsym(RTLD_NEXT, "fcntl");
	return found ? found : (void *)missing;
}

void *real_find(const char *name, void **slot)
{
	if (!*slot)
		*slot = look_up(name);
	return *slot;
}

void real_resolve(void)
{
	if (atomic_load_explicit(&is_resolved, memory_order_acquire))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		real_find(names[i].name, (void **)((char *)&real + names[i].offset));
	}
	atomic_store_explicit(&is_resolved, true, memory_order_release);
}

/* What --wrap makes of the references inside the library. */
#define CALL(name, type, parameters, arguments, what) \
	type __wrap_##name parameters;                \
	type __wrap_##name parameters                 \
	{                                             \
		return real.name arguments;           \
	}
#include "intercept/preload/calls.def"
