/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket of one run: where `graft ps` asks. Nothing of it is
 * in the file system, so nothing stays behind when the supervisor is killed.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Abstract name: CONTROL_PREFIX "UID/PID", PID the front process, ".N" appended when
 * somebody else sits on that name. */
#define CONTROL_PREFIX "graft/run/"

struct event_loop;
struct control;
struct stack;

/* Times are CLOCK_MONOTONIC. Texts live until the next call of the operation. */
struct run_info {
	pid_t pid; /* the front process */
	pid_t supervisor;
	pid_t program;
	uid_t uid;
	const char *name; /* may be NULL, as all of these */
	const char *command;
	const char *engine;
	const char *policy; /* "-p 8080:80 ..." */
	const char *image;  /* of a container */
	uint64_t started_ns;
	uint64_t n_traps, n_grafts, n_swaps, n_refused;
};

struct graft_info {
	pid_t pid;
	int fd;
	char program[16];
	int family, type, protocol;
	struct sockaddr_storage local, peer;
	socklen_t local_len, peer_len; /* 0: none */
	const char *rule;
	uint64_t since_ns; /* 0: not known */
	uint64_t cookie;
	const char *state;
};

typedef int control_emit(void *context, const struct graft_info *graft);

struct control_ops {
	void (*run)(void *context, struct run_info *ret);
	/* Calls @emit for each live graft and stops, passing its value on, when that is
	 * not 0. Return: 0 or -errno. */
	int (*grafts)(void *context, control_emit *emit, void *emit_context);
};

/*
 * Listens in the network namespace of @host and serves on @loop, which must outlive it.
 * @ops is called on the loop's thread. Return: 0 or -errno.
 */
int control_new(struct control **ret, struct event_loop *loop, struct stack *host,
		pid_t front, const struct control_ops *ops, void *context);
/* Return: NULL. */
struct control *control_free(struct control *control);
