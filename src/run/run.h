/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One `graft run`: what the command line asked for, and the two processes that do it.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct policy;

enum run_engine {
	RUN_NOTIFY,
	RUN_PRELOAD,
	RUN_AF_GRAFT,
	RUN_CGROUP,
};

struct run {
	char *const *argv; /* the program */
	struct policy *policy;
	char *name;    /* --name, or the program's */
	char *summary; /* the policy options, for `graft ps` */
	enum run_engine engine;
	char *library; /* its path, where the engine needs it */
	bool has_dns;
	int verbosity;
	sigset_t mask;         /* as the caller of `graft run` left it */
	bool ignores_children; /* SIGCHLD was ignored, and is to be for the program */
	pid_t front;
};

/* What the supervisor tells the front process, over a SOCK_SEQPACKET pair. */
enum run_event {
	RUN_STARTED,     /* pid of the program, with its pidfd */
	RUN_EXITED,      /* wait status of the program */
	RUN_EXEC_FAILED, /* errno of exec */
	RUN_FAILED,      /* graft itself failed; it has said why */
};

struct run_report {
	enum run_event event;
	int value;
};

/* The front process: starts the supervisor, forwards signals, ends as the program ends.
 * Return: exit status. */
int front_main(struct run *run);
/* The supervisor. @front: the pair. Never returns. */
_Noreturn void supervisor_main(struct run *run, int front);
