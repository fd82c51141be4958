/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who waits for sockets, and the calls that go another way than a system call each:
 * poll, select, epoll, io_uring, asynchronous I/O, a sockmap of BPF.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuzz.h"

#define RING_ENTRIES 8
#define RING_BYTES   4096

struct ring {
	int fd;
	unsigned char *rings; /* of submission and completion, in one */
	struct io_uring_sqe *entries;
	struct io_uring_params params;
	/* What an operation that goes on behind our back refers to. */
	unsigned char bytes[4096];
	struct sockaddr_storage address;
	socklen_t length;
	struct iovec part;
	struct msghdr message;
};

static int call_poll(struct actor *actor)
{
	struct pollfd fds[4];
	int i;

	for (i = 0; i < 4; i++)
		fds[i] = (struct pollfd){ .fd = slot_get(actor),
					  .events = POLLIN |
						    (random_bits(actor) & 0x1fff) };
	return poll(fds, 4, random_below(actor, 10)) > 0 ? 0 : -1;
}

static int call_select(struct actor *actor)
{
	struct timeval limit = { .tv_usec = random_below(actor, 10000) };
	fd_set reading, writing;
	int i, fd, max = 0;

	FD_ZERO(&reading);
	FD_ZERO(&writing);
	for (i = 0; i < 4; i++) {
		fd = slot_get(actor);
		if (fd < 0 || fd >= FUZZ_OWN_FD)
			continue;
		FD_SET(fd, &reading);
		FD_SET(fd, &writing);
		max = fd > max ? fd : max;
	}
	return select(max + 1, &reading, &writing, NULL, &limit) > 0 ? 0 : -1;
}

/* The set is one of the table, so that it outlives what is in it, and is in others. */
static int call_epoll(struct actor *actor)
{
	struct epoll_event event = { .events = random_bits(actor) | EPOLLIN,
				     .data.fd = 1 };
	int set, fd = slot_get(actor);

	if (random_one_in(actor, 4))
		return slot_put(actor, epoll_create1(EPOLL_CLOEXEC));
	set = slot_get(actor);
	switch (random_below(actor, 4)) {
	case 0:
		return epoll_wait(set, &event, 1, random_below(actor, 10)) > 0 ? 0 : -1;
	case 1:
		return epoll_ctl(set, EPOLL_CTL_DEL, fd, &event);
	case 2:
		return epoll_ctl(set, EPOLL_CTL_MOD, fd, &event);
	}
	set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0)
		return -1;
	epoll_ctl(set, EPOLL_CTL_ADD, slot_get(actor), &event);
	epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
	epoll_wait(set, &event, 1, random_below(actor, 4));
	return slot_put(actor, set);
}

static struct ring *ring_new(void)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int fd;

	if (!ring)
		return NULL;
	fd = syscall(SYS_io_uring_setup, RING_ENTRIES, &ring->params);
	ring->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FUZZ_OWN_FD);
	if (fd >= 0)
		close(fd);
	ring->rings = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
	ring->entries =
		mmap(NULL, RING_ENTRIES * sizeof(*ring->entries), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
	if (ring->fd < 0 || ring->rings == MAP_FAILED || ring->entries == MAP_FAILED) {
		if (ring->rings != MAP_FAILED)
			munmap(ring->rings, RING_BYTES);
		if (ring->fd >= 0)
			close(ring->fd);
		free(ring);
		return NULL;
	}
	return ring;
}

static void ring_entry(struct actor *actor, struct ring *ring, struct io_uring_sqe *entry)
{
	static const uint8_t operations[] = {
		IORING_OP_ACCEPT,   IORING_OP_CONNECT,      IORING_OP_SEND,
		IORING_OP_RECV,     IORING_OP_SENDMSG,      IORING_OP_RECVMSG,
		IORING_OP_POLL_ADD, IORING_OP_SHUTDOWN,     IORING_OP_READ,
		IORING_OP_WRITE,    IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_REMOVE
	};

	memset(entry, 0, sizeof(*entry));
	entry->opcode = random_of(actor, operations);
	entry->fd = slot_get(actor);
	entry->user_data = random_below(actor, 4);
	if (random_one_in(actor, 4))
		entry->flags = IOSQE_ASYNC;
	if (random_one_in(actor, 8))
		entry->flags |= IOSQE_IO_LINK;
	ring->part =
		(struct iovec){ ring->bytes, random_below(actor, sizeof(ring->bytes)) };
	ring->message = (struct msghdr){ .msg_iov = &ring->part, .msg_iovlen = 1 };
	switch (entry->opcode) {
	case IORING_OP_ACCEPT:
		ring->length = sizeof(ring->address);
		entry->addr = (uintptr_t)&ring->address;
		entry->addr2 = (uintptr_t)&ring->length;
		break;
	case IORING_OP_CONNECT:
		entry->addr2 = random_address(actor, &ring->address);
		entry->addr = (uintptr_t)&ring->address;
		break;
	case IORING_OP_SENDMSG:
	case IORING_OP_RECVMSG:
		if (random_one_in(actor, 2)) {
			ring->message.msg_name = &ring->address;
			ring->message.msg_namelen = random_address(actor, &ring->address);
		}
		entry->addr = (uintptr_t)&ring->message;
		entry->len = 1;
		break;
	case IORING_OP_POLL_ADD:
		entry->poll32_events = random_bits(actor) & 0xffff;
		break;
	case IORING_OP_SHUTDOWN:
		entry->len = random_below(actor, 3);
		break;
	case IORING_OP_ASYNC_CANCEL:
	case IORING_OP_POLL_REMOVE:
		entry->addr = random_below(actor, 4);
		break;
	default:
		entry->addr = (uintptr_t)ring->bytes;
		entry->len = ring->part.iov_len;
	}
}

static int call_ring(struct actor *actor)
{
	struct ring *ring = actor->ring;
	unsigned int *head, *tail, index;
	int i, n = 1 + random_below(actor, 3), descriptor;
	struct io_uring_cqe *results;

	if (!ring)
		ring = actor->ring = ring_new();
	if (!ring)
		return -1;
	tail = (unsigned int *)(ring->rings + ring->params.sq_off.tail);
	for (i = 0; i < n; i++) {
		index = *tail & (RING_ENTRIES - 1);
		ring_entry(actor, ring, &ring->entries[index]);
		((unsigned int *)(ring->rings + ring->params.sq_off.array))[index] =
			index;
		__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	}
	n = syscall(SYS_io_uring_enter, ring->fd, n, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	head = (unsigned int *)(ring->rings + ring->params.cq_off.head);
	tail = (unsigned int *)(ring->rings + ring->params.cq_off.tail);
	results = (struct io_uring_cqe *)(ring->rings + ring->params.cq_off.cqes);
	while (*head != __atomic_load_n(tail, __ATOMIC_ACQUIRE)) {
		descriptor = results[*head & (2 * RING_ENTRIES - 1)].res;
		/* It may be what accept() returned; else there is likely no such one. */
		if (descriptor > 3 && descriptor < FUZZ_OWN_FD && random_one_in(actor, 2))
			slot_put(actor, fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
		__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	}
	/* With all that is under way in it. */
	if (random_one_in(actor, 32)) {
		actor->ring = NULL;
		munmap(ring->rings, RING_BYTES);
		munmap(ring->entries, RING_ENTRIES * sizeof(*ring->entries));
		close(ring->fd);
		/* The memory of @ring may still be written: it stays. */
	}
	return n > 0 ? 0 : -1;
}

static int call_aio(struct actor *actor)
{
	struct iocb request = { .aio_fildes = slot_get(actor),
				.aio_lio_opcode = random_one_in(actor, 2)
							  ? IOCB_CMD_POLL
							  : IOCB_CMD_PREAD,
				.aio_buf = POLLIN | POLLOUT };
	struct iocb *requests[] = { &request };
	aio_context_t context = 0;
	int result;

	if (request.aio_lio_opcode == IOCB_CMD_PREAD) {
		request.aio_buf = (uintptr_t)actor->bytes;
		request.aio_nbytes = 64;
	}
	if (syscall(SYS_io_setup, 4, &context) < 0)
		return -1;
	result = syscall(SYS_io_submit, context, 1, requests);
	syscall(SYS_io_destroy, context);
	return result == 1 ? 0 : -1;
}

/* Whoever is in a sockmap has other functions behind it. */
static int call_sockmap(struct actor *actor)
{
	union bpf_attr attributes;
	uint32_t key = random_below(actor, 4);
	uint64_t value = slot_get(actor);
	int fd;

	memset(&attributes, 0, sizeof(attributes));
	if (actor->map < 0) {
		attributes.map_type = BPF_MAP_TYPE_SOCKMAP;
		attributes.key_size = 4;
		attributes.value_size = 8;
		attributes.max_entries = 4;
		fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes));
		actor->map = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FUZZ_OWN_FD);
		close(fd);
		memset(&attributes, 0, sizeof(attributes));
	}
	attributes.map_fd = actor->map;
	attributes.key = (uintptr_t)&key;
	attributes.value = (uintptr_t)&value;
	return syscall(SYS_bpf,
		       random_one_in(actor, 3) ? BPF_MAP_DELETE_ELEM
					       : BPF_MAP_UPDATE_ELEM,
		       &attributes, sizeof(attributes));
}

const struct fuzz_call wait_calls[] = {
	{ "poll", 8, call_poll },
	{ "select", 4, call_select },
	{ "epoll", 10, call_epoll },
	{ "io_uring", 14, call_ring },
	{ "aio", 3, call_aio },
	{ "sockmap", 4, call_sockmap },
	{},
};
