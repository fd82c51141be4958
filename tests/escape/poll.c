/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io_uring with a thread of the kernel that polls the ring: whose sockets does it make?
 * With a ring of the program's own, the program's; that thread is one of its threads.
 * With one that a process outside made and still has, that process's: its memory, its
 * descriptors, its cgroup.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "escape.h"
#include "modes.h"
#include "ring.h"

enum { IDLE_MS = 100, N_SLOTS = 4, OP_SOCKET = 45, OP_BIND = 56, OP_LISTEN = 57 };

/* What the thread reads is in the memory of the ring's maker. */
struct words {
	struct target canary, denied;
	struct msghdr message;
	struct iovec iov;
	char byte;
};

static struct words words[4];

static struct words *words_fill(const struct way *way)
{
	struct words *mine = &words[__builtin_ctz(way->bit) & 3];

	mine->canary = target_canary(way);
	mine->denied = target_denied(way);
	mine->iov = (struct iovec){ &mine->byte, 1 };
	mine->message = (struct msghdr){ .msg_name = &mine->denied,
					 .msg_namelen = mine->denied.len,
					 .msg_iov = &mine->iov,
					 .msg_iovlen = 1 };
	return mine;
}

static int polled_ring(struct ring *ring)
{
	ring->params = (struct io_uring_params){ .flags = IORING_SETUP_SQPOLL,
						 .sq_thread_idle = IDLE_MS };
	ring->fd = syscall(SYS_io_uring_setup, 4, &ring->params);
	return ring->fd;
}

/* @slot: of the ring's own files, or -1; then @fd. */
static void use(struct ring *ring, const struct way *way, const struct words *there,
		int slot, int fd)
{
	unsigned char flags = slot < 0 ? 0 : IOSQE_FIXED_FILE;
	struct io_uring_sqe entry = { .fd = slot < 0 ? fd : slot,
				      .flags = flags,
				      .opcode = IORING_OP_SENDMSG,
				      .addr = (uintptr_t)&there->message,
				      .len = 1,
				      .msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT };

	if (!way_is_stream(way))
		seen("IORING_OP_SENDMSG", ring_do(ring, &entry));
	entry.opcode = IORING_OP_SEND;
	entry.addr = (uintptr_t)&there->byte;
	entry.addr2 = (uintptr_t)&there->denied;
	entry.addr_len = way->family == AF_INET ? sizeof(struct sockaddr_in)
						: sizeof(struct sockaddr_in6);
	if (way_is_stream(way))
		entry.msg_flags |= MSG_FASTOPEN;
	seen("IORING_OP_SEND with an address", ring_do(ring, &entry));
	for (int i = 0; i < 2; i++) {
		const struct target *target = i ? &there->denied : &there->canary;
		struct io_uring_sqe join = { .fd = entry.fd,
					     .flags = flags,
					     .opcode = IORING_OP_CONNECT,
					     .addr = (uintptr_t)target,
					     .off = entry.addr_len };
		struct io_uring_sqe send = { .fd = entry.fd,
					     .flags = flags,
					     .opcode = IORING_OP_SEND,
					     .addr = (uintptr_t)&there->byte,
					     .len = 1,
					     .msg_flags = MSG_NOSIGNAL };

		if (seen("IORING_OP_CONNECT", ring_do(ring, &join)) == 0)
			seen("IORING_OP_SEND", ring_do(ring, &send));
	}
}

static void make_and_use(struct ring *ring, const struct way *way,
			 const struct words *there)
{
	struct io_uring_sqe make = {
		.opcode = OP_SOCKET, .fd = way->family, .off = way->type, .file_index = 1
	};

	if (seen("IORING_OP_SOCKET, of the ring", ring_do(ring, &make)) >= 0)
		use(ring, way, there, 0, -1);
}

static int sparse_files(const struct ring *ring)
{
	struct io_uring_rsrc_register files = { .nr = N_SLOTS,
						.flags = IORING_RSRC_REGISTER_SPARSE };

	return syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_FILES2, &files,
		       sizeof(files));
}

static void own(const struct way *way)
{
	struct words *mine = words_fill(way);
	struct io_uring_sqe make = { .opcode = OP_SOCKET,
				     .fd = way->family,
				     .off = way->type };
	struct ring ring = {};

	if (seen("io_uring_setup", polled_ring(&ring)) < 0) {
		if (!is_grafted)
			unsupported("no io_uring in this kernel");
		return;
	}
	if (ring_map(&ring) < 0 ||
	    seen("IORING_REGISTER_FILES2", sparse_files(&ring)) < 0)
		return;
	make_and_use(&ring, way, mine);
	use(&ring, way, mine, -1, seen("IORING_OP_SOCKET", ring_do(&ring, &make)));
	use(&ring, way, mine, -1, host_socket(way));
}

static void bind_by_ring(const struct way *way)
{
	struct target local = target_local(way, PORT_UNLISTED);
	struct io_uring_sqe take = { .fd = fresh(way),
				     .opcode = OP_BIND,
				     .addr = (uintptr_t)&local,
				     .addr2 = local.len };
	struct io_uring_sqe wait = { .fd = take.fd, .opcode = OP_LISTEN, .len = 8 };
	struct ring ring = {};
	long result;

	ring.fd = seen("io_uring_setup", syscall(SYS_io_uring_setup, 4, &ring.params));
	if (ring.fd < 0 || ring_map(&ring) < 0) {
		if (!is_grafted)
			unsupported("no io_uring in this kernel");
		return;
	}
	result = seen("IORING_OP_BIND", ring_do(&ring, &take));
	if (result < 0 && errno == EINVAL && !is_grafted)
		unsupported("no IORING_OP_BIND in this kernel");
	if (way_is_stream(way))
		seen("IORING_OP_LISTEN", ring_do(&ring, &wait));
	check_listeners();
}

static void outside(const struct way *way)
{
	const char *text = getenv("ESCAPE_WORDS");
	struct ring ring = { .fd = FD_RING };
	unsigned long there = 0;

	if (!text || sscanf(text, "%lx", &there) != 1 ||
	    ring_parse(&ring.params, "ESCAPE_POLLED") < 0)
		unsupported("no io_uring in this kernel");
	if (ring_map(&ring) < 0)
		seen("mmap of the ring", -1);
	else
		make_and_use(&ring, way,
			     (struct words *)there + (__builtin_ctz(way->bit) & 3));
}

int mode_with_poller(char **command)
{
	static const char *const names[] = { "tcp4", "tcp6", "udp4", "udp6" };
	struct ring ring = {};
	int status = 0, pid;
	char text[32];

	if (polled_ring(&ring) >= 0 && sparse_files(&ring) >= 0) {
		dup2(ring.fd, FD_RING);
		ring_print(&ring.params, "ESCAPE_POLLED");
	}
	for (int i = 0; i < 4; i++)
		words_fill(way_find(names[i]));
	snprintf(text, sizeof(text), "%lx", (unsigned long)words);
	setenv("ESCAPE_WORDS", text, 1);
	pid = fork();
	if (!pid) {
		execvp(command[0], command);
		perror(command[0]);
		_exit(1);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

const struct attempt attempts_poll[] = {
	{ "io-uring-polled", WAY_ALL, 0, own,
	  "a ring that the kernel polls: made, connected and sent by its thread" },
	{ "io-uring-bind", WAY_ALL, 0, bind_by_ring, "IORING_OP_BIND, IORING_OP_LISTEN" },
	{ "io-uring-outside", WAY_ALL, ONLY_CGROUP | NEEDS_POLLER, outside,
	  "a ring that a process outside left open and polls" },
	{}
};
