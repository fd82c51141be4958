/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syscall() with the number of a call that is intercepted: the same as that call. The
 * numbers that a machine lacks (accept on some, dup2 on newer ones) are left out.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "intercept/preload/calls.h"

typedef long entry(long a, long b, long c, long d, long e, long f);

#define ENTRY(name, ...)                                                         \
	static long enter_##name(long a, long b, long c, long d, long e, long f) \
	{                                                                        \
		return (long)hijack_##name(__VA_ARGS__);                         \
	}

ENTRY(socket, (int)a, (int)b, (int)c)
ENTRY(socketpair, (int)a, (int)b, (int)c, (int *)d)
ENTRY(bind, (int)a, (const struct sockaddr *)b, (socklen_t)c)
ENTRY(connect, (int)a, (const struct sockaddr *)b, (socklen_t)c)
ENTRY(listen, (int)a, (int)b)
ENTRY(sendto, (int)a, (const void *)b, (size_t)c, (int)d, (const struct sockaddr *)e,
      (socklen_t)f)
ENTRY(sendmsg, (int)a, (const struct msghdr *)b, (int)c)
ENTRY(sendmmsg, (int)a, (struct mmsghdr *)b, (unsigned int)c, (int)d)
ENTRY(accept4, (int)a, (struct sockaddr *)b, (socklen_t *)c, (int)d)
ENTRY(getsockname, (int)a, (struct sockaddr *)b, (socklen_t *)c)
ENTRY(getpeername, (int)a, (struct sockaddr *)b, (socklen_t *)c)
ENTRY(recvfrom, (int)a, (void *)b, (size_t)c, (int)d, (struct sockaddr *)e,
      (socklen_t *)f)
ENTRY(recvmsg, (int)a, (struct msghdr *)b, (int)c)
ENTRY(recvmmsg, (int)a, (struct mmsghdr *)b, (unsigned int)c, (int)d,
      (struct timespec *)e)
ENTRY(getsockopt, (int)a, (int)b, (int)c, (void *)d, (socklen_t *)e)
ENTRY(setsockopt, (int)a, (int)b, (int)c, (const void *)d, (socklen_t)e)
ENTRY(close, (int)a)
ENTRY(dup, (int)a)
ENTRY(dup3, (int)a, (int)b, (int)c)
ENTRY(fcntl, (int)a, (int)b, c)
ENTRY(epoll_ctl, (int)a, (int)b, (int)c, (struct epoll_event *)d)
ENTRY(setns, (int)a, (int)b)
ENTRY(unshare, (int)a)
#ifdef SYS_accept
ENTRY(accept, (int)a, (struct sockaddr *)b, (socklen_t *)c)
#endif
#ifdef SYS_dup2
ENTRY(dup2, (int)a, (int)b)
#endif
#ifdef SYS_close_range
ENTRY(close_range, (unsigned int)a, (unsigned int)b, (int)c)
#endif

static entry *entry_of(long number)
{
	switch (number) {
#define CASE(name)       \
	case SYS_##name: \
		return enter_##name;
		CASE(socket)
		CASE(socketpair)
		CASE(bind)
		CASE(connect)
		CASE(listen)
		CASE(sendto)
		CASE(sendmsg)
		CASE(sendmmsg)
		CASE(accept4)
		CASE(getsockname)
		CASE(getpeername)
		CASE(recvfrom)
		CASE(recvmsg)
		CASE(recvmmsg)
		CASE(getsockopt)
		CASE(setsockopt)
		CASE(close)
		CASE(dup)
		CASE(dup3)
		CASE(fcntl)
		CASE(epoll_ctl)
		CASE(setns)
		CASE(unshare)
#ifdef SYS_accept
		CASE(accept)
#endif
#ifdef SYS_dup2
		CASE(dup2)
#endif
#ifdef SYS_close_range
		CASE(close_range)
#endif
	default:
		return NULL;
	}
}

long hijack_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	entry *ours = entry_of(number);

	return ours ? ours(a, b, c, d, e, f) : real.syscall(number, a, b, c, d, e, f);
}
