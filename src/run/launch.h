/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bringing the program to life inside its namespaces, behind its filter.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "run/dns.h"
#include "run/namespaces.h"

struct launch_request {
	char *const *argv;
	const sigset_t *mask;  /* the signal mask the program starts with */
	bool ignores_children; /* it starts with SIGCHLD ignored */
	unsigned int traps;    /* 0: no filter, no fence */
	bool is_judged;        /* by the kernel: the fence lets it name addresses */
	/* The preload library: the program is to load it and finds a broker; or NULL. */
	const char *library;
	bool has_module; /* and sockets are the kernel module's affair */
	/* The program stays in the namespaces of the caller and goes into this cgroup; or
	 * -1. */
	int cgroup;
	struct namespaces_wish wish;
	const struct dns_server *servers;
	size_t n_servers;
};

/* A program that waits at the door: everything is set up but the exec. */
struct launch {
	pid_t pid;
	int pidfd;
	int channel;  /* launch_go() */
	int listener; /* seccomp notifications; -1 without a filter */
	int broker;   /* run_broker_listen()'s; -1 without a library */
	bool fenced;
	dev_t netns_dev; /* of its network namespace */
	ino_t netns_ino;
	int dns[DNS_SERVERS_MAX][2];
};

/*
 * Forks the program-to-be as a child of the caller, who then owns all of @ret.
 * Return: 0, or -errno after logging what could not be done.
 */
int launch_prepare(struct launch *ret, const struct launch_request *request);
/*
 * Lets it exec. Return: 0 when it did, the positive errno of exec when it could not (the
 * child then ends by itself), or -errno.
 */
int launch_go(struct launch *launch);
/* Closes the descriptors; the process is the caller's to reap. */
void launch_deinit(struct launch *launch);
