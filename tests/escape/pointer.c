/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pointers and lengths that no honest program passes, in each call that may be judged.
 * Each line "errno CASE RESULT" must be the same natively and grafted.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "escape.h"

static char *page_end; /* the first byte that is not mapped */

static void result(const char *name, int index, long value)
{
	printf("errno %s.%d %s\n", name, index,
	       value < 0 ? strerrorname_np(errno) : "ok");
}

static void *bad_pointers[6];

static void prepare(void)
{
	long size = sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(pages + size, size);
	page_end = pages + size;
	bad_pointers[0] = NULL;
	bad_pointers[1] = (void *)8;
	bad_pointers[2] = page_end;
	bad_pointers[3] = page_end - 3;
	bad_pointers[4] = (void *)(uintptr_t)0x8000000000000000ULL;
	bad_pointers[5] = (void *)(uintptr_t)0xffffffff81000000ULL;
}

/* A closed allowed port: connects end in ECONNREFUSED on the way out as well. */
static void connects(const struct way *way)
{
	static const long lengths[] = { 0, 1, 2, 15, 27, 28, 128, 129, 0x7fffffff, -1 };
	struct target closed = target_closed(way);

	for (int i = 0; i < 6; i++) {
		int fd = fresh(way);

		result("connect-pointer", i,
		       syscall(SYS_connect, fd, bad_pointers[i], (long)closed.len));
		result("connect-zero", i, syscall(SYS_connect, fd, bad_pointers[i], 0L));
		close(fd);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		int fd = fresh(way);

		result("connect-length", i,
		       syscall(SYS_connect, fd, &closed, lengths[i]));
		close(fd);
	}
	result("connect-fd", 0, connect(-1, &closed.any, closed.len));
	result("connect-fd", 1, connect(9999, &closed.any, closed.len));
	result("connect-fd", 2, connect(STDIN_FILENO, &closed.any, closed.len));
	memcpy(page_end - closed.len, &closed, closed.len);
	for (int i = 0; i < 2; i++) {
		int fd = fresh(way);

		result("connect-page", i,
		       syscall(SYS_connect, fd, page_end - closed.len,
			       (long)closed.len + i));
		close(fd);
	}
}

static void binds(const struct way *way)
{
	static const long lengths[] = { 0, 1, 2, 15, 23, 129, 0x7fffffff, -1 };
	struct target local = target_local(way, PORT_GIVEN);

	for (int i = 0; i < 6; i++) {
		int fd = fresh(way);

		result("bind-pointer", i,
		       syscall(SYS_bind, fd, bad_pointers[i], (long)local.len));
		close(fd);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		int fd = fresh(way);

		result("bind-length", i, syscall(SYS_bind, fd, &local, lengths[i]));
		close(fd);
	}
	result("bind-fd", 0, bind(-1, &local.any, local.len));
	result("bind-fd", 1, bind(STDIN_FILENO, &local.any, local.len));
	result("listen-fd", 0, listen(-1, 1));
	result("listen-fd", 1, listen(STDIN_FILENO, 1));
}

static void sendtos(const struct way *way, int fd)
{
	static const long lengths[] = { 1, 2, 15, 129, 0x7fffffff, -1 };
	struct target allowed = target_allowed(way);

	for (int i = 0; i < 6; i++) {
		result("sendto-data", i,
		       syscall(SYS_sendto, fd, bad_pointers[i], 8L, 0L, &allowed,
			       (long)allowed.len));
		if (bad_pointers[i])
			result("sendto-name", i,
			       syscall(SYS_sendto, fd, "x", 1L, 0L, bad_pointers[i],
				       (long)allowed.len));
	}
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		result("sendto-length", i,
		       syscall(SYS_sendto, fd, "x", 1L, 0L, &allowed, lengths[i]));
	result("sendto-size", 0,
	       syscall(SYS_sendto, fd, page_end - 8, 1L << 31, 0L, &allowed,
		       (long)allowed.len));
	result("sendto-size", 1,
	       syscall(SYS_sendto, fd, page_end - 8, 65536L, 0L, &allowed,
		       (long)allowed.len));
	result("sendto-size", 2,
	       syscall(SYS_sendto, fd, "x", -1L, 0L, &allowed, (long)allowed.len));
	result("sendto-size", 3,
	       syscall(SYS_sendto, fd, NULL, 0L, 0L, &allowed, (long)allowed.len));
}

static void send_header(const char *name, int index, int fd, struct msghdr *header)
{
	result(name, index, syscall(SYS_sendmsg, fd, header, (long)MSG_DONTWAIT));
}

static void sendmsgs(const struct way *way, int fd)
{
	struct target allowed = target_allowed(way);
	struct iovec iov = { "x", 1 };
	static struct iovec many[2000];
	static const long counts[] = { 0, 1, 1024, 1025, 2000, 1L << 31, -1 };
	const struct msghdr good = { .msg_name = &allowed,
				     .msg_namelen = allowed.len,
				     .msg_iov = &iov,
				     .msg_iovlen = 1 };
	struct msghdr header;

	for (int i = 0; i < 6; i++) {
		send_header("sendmsg-header", i, fd, bad_pointers[i]);
		header = good;
		if (bad_pointers[i]) {
			header.msg_name = bad_pointers[i];
			send_header("sendmsg-name", i, fd, &header);
		}
		header = good;
		header.msg_iov = bad_pointers[i];
		send_header("sendmsg-iov", i, fd, &header);
		header = good;
		header.msg_control = bad_pointers[i];
		header.msg_controllen = bad_pointers[i] ? 64 : 0;
		send_header("sendmsg-control", i, fd, &header);
	}
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		header = good;
		header.msg_iov = many;
		header.msg_iovlen = counts[i];
		send_header("sendmsg-count", i, fd, &header);
	}
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct iovec){ page_end - 4096, 1L << 31 };
	header = good;
	header.msg_iov = many;
	header.msg_iovlen = 1024;
	send_header("sendmsg-huge", 0, fd, &header);
	header = good;
	header.msg_controllen = 1L << 31;
	header.msg_control = page_end - 64;
	send_header("sendmsg-huge", 1, fd, &header);
	header = good;
	header.msg_namelen = -1;
	send_header("sendmsg-namelen", 0, fd, &header);
}

static void sendmmsgs(const struct way *way, int fd)
{
	struct target allowed = target_allowed(way);
	struct iovec iov = { "x", 1 };
	struct mmsghdr vector[3] = {};
	long sent;

	for (int i = 0; i < 3; i++) {
		vector[i].msg_hdr.msg_name = &allowed;
		vector[i].msg_hdr.msg_namelen = allowed.len;
		vector[i].msg_hdr.msg_iov = &iov;
		vector[i].msg_hdr.msg_iovlen = 1;
	}
	for (int i = 0; i < 6; i++)
		result("sendmmsg-vector", i,
		       syscall(SYS_sendmmsg, fd, bad_pointers[i], 2L, 0L));
	vector[1].msg_hdr.msg_name = page_end;
	sent = syscall(SYS_sendmmsg, fd, vector, 3L, 0L);
	printf("errno sendmmsg-second.0 %ld\n", sent);
	result("sendmmsg-none", 0, syscall(SYS_sendmmsg, fd, vector, 0L, 0L));
}

static void pointers(const struct way *way)
{
	int fd;

	prepare();
	connects(way);
	binds(way);
	if (way_is_stream(way))
		return;
	fd = host_socket(way);
	sendtos(way, fd);
	sendmsgs(way, fd);
	sendmmsgs(way, fd);
	close(fd);
}

const struct attempt attempts_pointer[] = {
	{ "pointers", WAY_ALL, COMPARES, pointers,
	  "unmapped pointers and absurd lengths in every call that is judged" },
	{}
};
