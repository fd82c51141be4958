/* SPDX-License-Identifier: GPL-2.0-or-later */
/* io_uring, which no seccomp filter sees behind: by raw calls, without a library. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "escape.h"
#include "modes.h"
#include "ring.h"

#ifndef IORING_FEAT_REG_REG_RING
#	define IORING_OP_SOCKET 45
#endif

int ring_map(struct ring *ring)
{
	size_t size = ring->params.cq_off.cqes +
		      ring->params.cq_entries * sizeof(struct io_uring_cqe);

	if (size < ring->params.sq_off.array + ring->params.sq_entries * 4)
		size = ring->params.sq_off.array + ring->params.sq_entries * 4;
	ring->queue = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
			   IORING_OFF_SQ_RING);
	ring->entries =
		mmap(NULL, ring->params.sq_entries * sizeof(*ring->entries),
		     PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	return ring->queue == MAP_FAILED || ring->entries == MAP_FAILED ? -1 : 0;
}

long ring_do(struct ring *ring, const struct io_uring_sqe *entry)
{
	struct io_uring_params *p = &ring->params;
	uint32_t *tail = (uint32_t *)(ring->queue + p->sq_off.tail);
	uint32_t *array = (uint32_t *)(ring->queue + p->sq_off.array);
	uint32_t *head = (uint32_t *)(ring->queue + p->cq_off.head);
	struct io_uring_cqe *results =
		(struct io_uring_cqe *)(ring->queue + p->cq_off.cqes);
	uint32_t index = *tail & (p->sq_entries - 1);
	unsigned int flags = IORING_ENTER_GETEVENTS;
	int result;

	if (p->flags & IORING_SETUP_SQPOLL)
		flags |= IORING_ENTER_SQ_WAKEUP;
	ring->entries[index] = *entry;
	array[index] = index;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, flags, NULL, 0) < 0)
		return seen("io_uring_enter", -1);
	result = results[*head & (p->cq_entries - 1)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	if (result < 0) {
		errno = -result;
		return -1;
	}
	return result;
}

static void ring_attack(struct ring *ring, const struct way *way)
{
	struct target canary = target_canary(way);
	struct io_uring_sqe make = { .opcode = IORING_OP_SOCKET,
				     .fd = way->family,
				     .off = way->type };
	struct io_uring_sqe join = { .opcode = IORING_OP_CONNECT,
				     .addr = (uintptr_t)&canary,
				     .off = canary.len };
	struct io_uring_sqe send = { .opcode = IORING_OP_SEND,
				     .addr = (uintptr_t) "x",
				     .len = 1,
				     .msg_flags = MSG_NOSIGNAL };
	int made = seen("IORING_OP_SOCKET", ring_do(ring, &make));
	int fds[2] = { host_socket(way), made };

	for (int i = 0; i < 2; i++) {
		join.fd = send.fd = fds[i];
		if (seen("IORING_OP_CONNECT", ring_do(ring, &join)) == 0)
			seen("IORING_OP_SEND", ring_do(ring, &send));
	}
}

static void own_ring(const struct way *way)
{
	struct ring ring = {};

	ring.fd = seen("io_uring_setup", syscall(SYS_io_uring_setup, 4, &ring.params));
	if (ring.fd < 0) {
		if (!is_grafted)
			unsupported("no io_uring in this kernel");
		return;
	}
	if (ring_map(&ring) == 0)
		ring_attack(&ring, way);
}

void ring_print(const struct io_uring_params *params, const char *variable)
{
	char text[2 * sizeof(*params) + 1];

	for (size_t i = 0; i < sizeof(*params); i++)
		snprintf(text + 2 * i, 3, "%02x", ((const unsigned char *)params)[i]);
	setenv(variable, text, 1);
}

int ring_parse(struct io_uring_params *params, const char *variable)
{
	const char *text = getenv(variable);

	for (size_t i = 0; text && i < sizeof(*params); i++)
		sscanf(text + 2 * i, "%2hhx", (unsigned char *)params + i);
	return text ? 0 : -1;
}

static void inherited_ring(const struct way *way)
{
	struct ring ring = { .fd = FD_RING };

	if (ring_parse(&ring.params, "ESCAPE_RING") < 0)
		unsupported("no io_uring in this kernel");
	if (ring_map(&ring) < 0)
		seen("mmap of the inherited ring", -1);
	else
		ring_attack(&ring, way);
}

static void leave_ring(void)
{
	struct io_uring_params params = {};
	int fd = syscall(SYS_io_uring_setup, 4, &params);

	if (fd < 0)
		return;
	dup2(fd, FD_RING);
	close(fd);
	ring_print(&params, "ESCAPE_RING");
}

int mode_with_descriptors(char **command)
{
	static const char *const names[] = { "tcp4", "tcp6", "udp4", "udp6" };

	leave_ring();
	for (int i = 0; i < 4; i++) {
		const struct way *way = way_find(names[i]);
		int fd = socket(way->family, way->type, 0);

		dup2(fd, FD_INHERITED + i);
		close(fd);
	}
	execvp(command[0], command);
	perror(command[0]);
	return 1;
}

const struct attempt attempts_ring[] = {
	{ "io-uring", WAY_ALL, 0, own_ring, "socket, connect and send by io_uring" },
	{ "io-uring-inherited", WAY_ALL, NEEDS_INHERIT, inherited_ring,
	  "the same through a ring made before graft started" },
	{}
};
