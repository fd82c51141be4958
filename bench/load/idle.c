// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the calls on the data path cost by themselves: both ends of one loopback
 * connection in this process, one byte a time in batches that fit any buffer. A process
 * whose calls are trapped or filtered pays here or nowhere; `null` (getppid) shows what
 * the entry into the kernel costs alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "load.h"

enum { BATCH = 64 };

enum call { CALL_NULL, CALL_SEND, CALL_RECV, CALL_WRITE, CALL_READ, N_CALLS };

static const char *const names[] = { "null", "send", "recv", "write", "read" };
_Static_assert(sizeof(names) / sizeof(*names) == N_CALLS, "a name for each call");

static int pair(const struct options *options, int ret_fds[2])
{
	struct options there = *options;
	int listener = socket_listen(options), r;

	if (listener < 0)
		return listener;
	there.address_size = sizeof(there.address);
	if (getsockname(listener, (struct sockaddr *)&there.address,
			&there.address_size) < 0) {
		r = -errno;
		close(listener);
		return r;
	}
	ret_fds[0] = socket_connect(&there, false);
	ret_fds[1] =
		ret_fds[0] < 0 ? ret_fds[0] : accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	r = ret_fds[0] < 0 ? ret_fds[0] : ret_fds[1] < 0 ? -errno : 0;
	close(listener);
	return r;
}

static ssize_t one(enum call call, const int fds[2])
{
	char byte = 0;

	switch (call) {
	case CALL_SEND:
		return send(fds[0], &byte, 1, MSG_NOSIGNAL);
	case CALL_RECV:
		return recv(fds[1], &byte, 1, 0);
	case CALL_WRITE:
		return write(fds[0], &byte, 1);
	case CALL_READ:
		return read(fds[1], &byte, 1);
	case CALL_NULL:
	case N_CALLS:
		break;
	}
	return syscall(SYS_getppid) >= 0 ? 1 : 0;
}

int idle(const struct options *options)
{
	struct samples samples[N_CALLS] = { 0 };
	uint64_t until = now_ns() + (uint64_t)(options->seconds * 1e9);
	int fds[2] = { -1, -1 }, r = pair(options, fds);

	while (r == 0 && now_ns() < until) {
		for (enum call call = 0; call < N_CALLS && r == 0; call++) {
			uint64_t start = now_ns();

			for (int i = 0; i < BATCH && r == 0; i++)
				r = one(call, fds) == 1 ? 0 : -EIO;
			samples_add(&samples[call], now_ns() - start);
		}
	}
	if (r < 0) {
		fprintf(stderr, "load: idle: %s\n", strerror(-r));
		return 1;
	}
	printf("{");
	for (enum call call = 0; call < N_CALLS; call++)
		printf("\"%s_ns\": %.1f, ", names[call],
		       samples_at(&samples[call], 0.5) * 1000 / BATCH);
	printf("\"batches\": %zu}\n", samples[0].n);
	return 0;
}
