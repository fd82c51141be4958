/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the administrator told graft-runtime: lines of a file, "#" starts a comment.
 *
 *	backend PATH		the runtime to wrap; else runc, then crun, from PATH
 *	policies DIR		policy files by name
 *	environment WORD	what GRAFT_CONV_PAIRS of a container's may say: yes,
 *				names, no
 *	labels WORD		which labels of Docker's are heard: own (not of the
 *				image), yes, no
 *	ports WORD		which containers are given their published ports:
 *				policy (those that have one), all, no
 *	log FILE		where supervisors say what they say
 *	verbose yes|no		and what became of each call
 *
 * GRAFT_RUNTIME_CONFIG names another file, GRAFT_RUNTIME_BACKEND the backend; sockets
 * and notes are in GRAFT_RUNTIME_STATE. All of these are the engine's environment,
 * never the container's.
 */
#pragma once

#include <stdbool.h>

#include "runtime/docker.h"

#define SETTINGS_PATH     "/etc/graft/runtime.conf"
#define SETTINGS_POLICIES "/etc/graft/containers"
#define SETTINGS_STATE    "/run/graft/containers"

/* GRAFT_CONV_PAIRS of a container's environment, which is its image's, too. */
enum environment {
	ENVIRONMENT_NO,
	ENVIRONMENT_NAMES, /* may name endpoints, and nothing else */
	ENVIRONMENT_YES,   /* may say whatever a policy may */
};

/* Docker's published ports are grafted. */
enum publish {
	PUBLISH_NO,
	PUBLISH_POLICY, /* of containers that have a policy besides */
	PUBLISH_ALL,
};

struct settings {
	char *backend; /* a path that can be executed */
	char *policies;
	char *state; /* a directory; made when needed */
	char *log;   /* NULL: none */
	enum environment environment;
	enum labels labels;
	enum publish publish;
	bool is_verbose;
};

/* Return: 0 or -errno, after one line. settings_release() in either case. */
int settings_read(struct settings *ret);
void settings_release(struct settings *settings);
