/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Scope-bound release. `_cleanup_(f)` calls f(&variable) when the variable goes out
 * of scope; every f accepts the empty value (NULL, -1). Hand a value over with
 * fd_steal() or steal_pointer().
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#define _cleanup_(f)        __attribute__((cleanup(f)))
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define steal_pointer(p)                     \
	__extension__({                      \
		__typeof__(p) stolen_ = (p); \
		(p) = NULL;                  \
		stolen_;                     \
	})

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _cleanup_free_   _cleanup_(freep)
#define _cleanup_fclose_ _cleanup_(fclosep)
