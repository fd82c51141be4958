/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls without libc, whose syscall() is one more function a library may replace.
 */
#include <errno.h>

#include "defects.h"

#if defined(__x86_64__)
static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a,
			 x1 __asm__("x1") = b, x2 __asm__("x2") = c, x3 __asm__("x3") = d,
			 x4 __asm__("x4") = e, x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#	error "the system call of this machine is missing here"
#endif

long kernel_call(long number, long a, long b, long c, long d, long e, long f)
{
	long result = call(number, a, b, c, d, e, f);

	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return -1;
	}
	return result;
}
