/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reaching into the program that made a call: its memory, its descriptors, its signals.
 *
 * A notification names a thread by id, and ids are reused. Two things keep us from
 * acting on a stranger: a pidfd opened with PIDFD_THREAD while the call was live names
 * its thread for ever, so a cached one can only fail; and call_is_live() is asked after
 * anything else was read that is not judged afterwards. Kernels without PIDFD_THREAD
 * (before 6.9) get no cache and pay for the look-up of the thread group.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"
#include "intercept/notify/engine.h"
#include "intercept/notify/kernel.h"

int target_read(const struct call *call, uint64_t address, void *data, size_t size)
{
	struct iovec local = { data, size };
	struct iovec remote = { (void *)(uintptr_t)address, size };
	ssize_t n;

	if (size == 0)
		return 0;
	n = process_vm_readv(call->pid, &local, 1, &remote, 1, 0);
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EFAULT;
}

int target_write(const struct call *call, uint64_t address, const void *data, size_t size)
{
	struct iovec local = { (void *)data, size };
	struct iovec remote = { (void *)(uintptr_t)address, size };
	ssize_t n = process_vm_writev(call->pid, &local, 1, &remote, 1, 0);

	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EFAULT;
}

/* Reads one "Key:\tvalue" of /proc/TID/status. */
static int read_status(pid_t thread, char *text, size_t size)
{
	char path[40];
	_cleanup_fd_ int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = fd_read_all(fd, text, size - 1);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	return 0;
}

static uint64_t status_number(const char *text, const char *key, int base)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, base) : 0;
}

static int open_process(pid_t thread)
{
	char text[4096];
	int r = read_status(thread, text, sizeof(text));

	if (r < 0)
		return r;
	return process_open((pid_t)status_number(text, "\nTgid:", 10));
}

int target_open_process(const struct call *call)
{
	return open_process(call->pid);
}

/* Return: a descriptor that stays the worker's, or -errno. */
static int cached_pidfd(const struct call *call, bool renew)
{
	struct worker *worker = call->worker;
	pid_t thread = call->pid;
	struct pidfd_slot *slot = &worker->slots[thread % PIDFD_CACHE_SIZE];
	int fd;

	if (slot->pid == thread && slot->fd >= 0 && !renew && worker->pidfd_is_exact)
		return slot->fd;
	fd = worker->pidfd_is_exact ? process_open_thread(thread) : open_process(thread);
	if (fd == -EINVAL && worker->pidfd_is_exact) {
		worker->pidfd_is_exact = false;
		fd = open_process(thread);
	}
	if (fd < 0)
		return fd;
	fd_close(slot->fd);
	slot->fd = -1;
	if (!call_is_live(call)) {
		fd_close(fd);
		return -ESRCH;
	}
	slot->pid = thread;
	slot->fd = fd;
	return fd;
}

int target_get_fd(const struct call *call, int number)
{
	bool renew = false;

	for (;;) {
		int pidfd = cached_pidfd(call, renew);
		int fd;

		if (pidfd < 0)
			return pidfd;
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
		if (fd >= 0)
			return fd;
		/* The thread that had this id before is gone. */
		if (errno != ESRCH || renew)
			return -errno;
		renew = true;
	}
}

int target_signal(const struct call *call, int signal)
{
	int pidfd = cached_pidfd(call, true);

	if (pidfd < 0)
		return pidfd;
	if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0)
		return -errno;
	return 0;
}

void target_close_all(struct worker *worker)
{
	for (size_t i = 0; i < PIDFD_CACHE_SIZE; i++)
		worker->slots[i].fd = fd_close(worker->slots[i].fd);
}

int target_read_address(const struct call *call, uint64_t pointer, uint64_t size,
			union address *ret_address, socklen_t *ret_size)
{
	int length = (int)(uint32_t)size; /* an int, whatever the upper half says */
	int r;

	if (length < 0 || (size_t)length > sizeof(ret_address->storage))
		return -EINVAL;
	memset(ret_address, 0, sizeof(*ret_address));
	r = target_read(call, pointer, ret_address, (size_t)length);
	if (r < 0)
		return r;
	*ret_size = (socklen_t)length;
	return 0;
}

bool target_is_nested(const struct call *call)
{
	const struct notify_config *config = &call->notify->config;
	struct stat st;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", call->pid);
	if (stat(path, &st) < 0)
		return true; /* cannot tell: leave it alone */
	return st.st_ino != config->own_ino || st.st_dev != config->own_dev;
}

bool target_is_alone(const struct call *call)
{
	char text[4096];

	if (atomic_load(&call->notify->shares_tables) ||
	    read_status(call->pid, text, sizeof(text)) < 0)
		return false;
	return status_number(text, "\nThreads:", 10) == 1;
}

enum target_signal target_pending_signal(pid_t thread)
{
	uint64_t blocked, ignored, own, shared;
	char text[4096];

	if (read_status(thread, text, sizeof(text)) < 0)
		return TARGET_SIGNAL_NONE;
	blocked = status_number(text, "\nSigBlk:", 16);
	ignored = status_number(text, "\nSigIgn:", 16);
	own = status_number(text, "\nSigPnd:", 16) & ~blocked & ~ignored;
	shared = status_number(text, "\nShdPnd:", 16) & ~blocked & ~ignored;
	if (own || (shared && status_number(text, "\nThreads:", 10) == 1))
		return TARGET_SIGNAL_OWN;
	return shared ? TARGET_SIGNAL_SHARED : TARGET_SIGNAL_NONE;
}
