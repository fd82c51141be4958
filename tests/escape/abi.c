/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls through other doors than the one a filter expects: x32 numbers, int 0x80 from a
 * 64-bit program, a 32-bit program. A filter that looks at the number alone takes them
 * for something else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "escape.h"

#if defined(__x86_64__) && !defined(__ILP32__)

enum { X32 = 0x40000000 };

/* The numbers of the i386 table. */
enum {
	IA32_SOCKETCALL = 102,
	IA32_SOCKET = 359,
	IA32_CONNECT = 362,
	IA32_SENDTO = 369,
	IA32_SENDMSG = 370,
	SOCKETCALL_SOCKET = 1,
	SOCKETCALL_CONNECT = 3,
	SOCKETCALL_SENDTO = 11,
	SOCKETCALL_SENDMSG = 16,
};

static long result_of(long result)
{
	if (result < 0 && result > -4096) {
		errno = -result;
		return -1;
	}
	return result;
}

static long int80(long number, long a, long b, long c, long d, long e, long f)
{
	int result;

	__asm__ volatile("push %%rbp\n\tmov %7, %%ebp\n\tint $0x80\n\tpop %%rbp"
			 : "=a"(result)
			 : "a"((int)number), "b"((int)a), "c"((int)b), "d"((int)c),
			   "S"((int)d), "D"((int)e), "r"((int)f)
			 : "memory", "r8", "r9", "r10", "r11");
	return result_of(result);
}

/* Memory that a 32-bit pointer can name. */
struct low {
	struct target target;
	uint32_t args[6];
	uint32_t iov[2];
	uint32_t header[7];
	char byte;
};

static struct low *low_new(const struct target *target)
{
	struct low *low = mmap(NULL, sizeof(*low), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	low->target = *target;
	low->iov[0] = (uint32_t)(uintptr_t)&low->byte;
	low->iov[1] = 1;
	low->header[0] = (uint32_t)(uintptr_t)&low->target;
	low->header[1] = target->len;
	low->header[2] = (uint32_t)(uintptr_t)low->iov;
	low->header[3] = 1;
	return low;
}

static uint32_t low_address(const void *pointer)
{
	return (uint32_t)(uintptr_t)pointer;
}

static long socketcall(struct low *low, int call, uint32_t a, uint32_t b, uint32_t c,
		       uint32_t d, uint32_t e, uint32_t f)
{
	uint32_t args[6] = { a, b, c, d, e, f };

	memcpy(low->args, args, sizeof(args));
	return int80(IA32_SOCKETCALL, call, low_address(low->args), 0, 0, 0, 0);
}

static void by_socketcall(const struct way *way)
{
	struct target canary = target_canary(way);
	struct low *low = low_new(&canary);
	uint32_t name = low_address(&low->target), byte = low_address(&low->byte);
	long fd =
		seen("socketcall(SOCKET)", socketcall(low, SOCKETCALL_SOCKET, way->family,
						      way->type, 0, 0, 0, 0));

	if (fd < 0)
		fd = host_socket(way);
	if (!way_is_stream(way)) {
		seen("socketcall(SENDTO)", socketcall(low, SOCKETCALL_SENDTO, fd, byte, 1,
						      0, name, canary.len));
		seen("socketcall(SENDMSG)",
		     socketcall(low, SOCKETCALL_SENDMSG, fd, low_address(low->header), 0,
				0, 0, 0));
	}
	if (!seen("socketcall(CONNECT)",
		  socketcall(low, SOCKETCALL_CONNECT, fd, name, canary.len, 0, 0, 0)))
		poke(fd);
	close(fd);
}

static void by_direct(const struct way *way)
{
	struct target canary = target_canary(way);
	struct low *low = low_new(&canary);
	uint32_t name = low_address(&low->target);
	long fd = seen("ia32 socket",
		       int80(IA32_SOCKET, way->family, way->type, 0, 0, 0, 0));

	if (fd < 0)
		fd = host_socket(way);
	if (!way_is_stream(way)) {
		seen("ia32 sendto", int80(IA32_SENDTO, fd, low_address(&low->byte), 1, 0,
					  name, canary.len));
		seen("ia32 sendmsg",
		     int80(IA32_SENDMSG, fd, low_address(low->header), 0, 0, 0, 0));
	}
	if (!seen("ia32 connect", int80(IA32_CONNECT, fd, name, canary.len, 0, 0, 0)))
		poke(fd);
	close(fd);
}

static void by_x32(const struct way *way)
{
	struct target canary = target_canary(way);
	long fd =
		seen("x32 socket", syscall(X32 | SYS_socket, way->family, way->type, 0));

	if (fd < 0 && errno == ENOSYS && !is_grafted)
		unsupported("no x32 in this kernel");
	if (fd < 0)
		fd = host_socket(way);
	if (!seen("x32 connect", syscall(X32 | SYS_connect, fd, &canary, canary.len)))
		poke(fd);
	seen("x32 sendto", syscall(X32 | SYS_sendto, fd, "x", 1, 0, &canary, canary.len));
	close(fd);
}

static void program(const struct way *way)
{
	const char *path = getenv("ESCAPE_PROGRAM32");
	int pid;

	if (!path)
		unsupported("no 32-bit compiler here");
	pid = fork();
	if (!pid) {
		execl(path, "escape32", "--bare",
		      way_is_stream(way) ? "disconnect" : "sendto", way->name, NULL);
		seen("execl", -1);
		_exit(1);
	}
	reap(pid);
	pid = fork();
	if (!pid) {
		execl(path, "escape32", "--bare", "connect", way->name, NULL);
		_exit(1);
	}
	reap(pid);
}

/* A 32-bit program with a socket that a 64-bit one made. */
static void program_inherits(const struct way *way)
{
	const char *path = getenv("ESCAPE_PROGRAM32");
	char number[16];
	int fd, pid;

	if (!path)
		unsupported("no 32-bit compiler here");
	fd = dup(host_socket(way));
	snprintf(number, sizeof(number), "%d", fd);
	pid = fork();
	if (!pid) {
		execl(path, "escape32", "--fd", number, way->name, NULL);
		seen("execl", -1);
		_exit(1);
	}
	reap(pid);
}

#else
static void by_x32(const struct way *way)
{
	(void)way;
	unsupported("this is not a 64-bit x86 program");
}
#	define by_direct        by_x32
#	define by_socketcall    by_x32
#	define program          by_x32
#	define program_inherits by_x32
#endif

const struct attempt attempts_abi[] = {
	{ "x32", WAY_ALL, 0, by_x32, "x32 system call numbers" },
	{ "ia32-socketcall", WAY_ALL, 0, by_socketcall, "int 0x80 with socketcall" },
	{ "ia32-direct", WAY_ALL, 0, by_direct, "int 0x80 with the 32-bit socket calls" },
	{ "ia32-program", WAY_ALL, 0, program, "a 32-bit static program" },
	{ "ia32-inherits", WAY_ALL, 0, program_inherits,
	  "a 32-bit static program on a socket it inherits" },
	{}
};
