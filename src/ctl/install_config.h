/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What containerd's config.toml says of runtimes, by places in its text.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "ctl/install.h"

struct place {
	const char *start, *end; /* NULL: there is none */
};

/* A text is walked once, from its start: what is said first is known first. */
struct containerd_config {
	size_t n_items;
	unsigned int version; /* 0: not said */
	struct place version_line, disabled, standard;
	struct place graft; /* whole lines, to the end of its last */
	struct place runc;
	bool has_runtimes; /* besides graft */
	bool has_others;   /* besides runc, too */
	bool is_in_graft;
	struct place binary, annotations;
	struct place systemd; /* what runc has: the node's cgroups are one or the other */
	size_t graft_line, odd_line;
};

/* The CRI plugin's name: another one in version 3. */
const char *containerd_plugin(const struct containerd_config *config);
/* Return: 0, ret is of @text; or 1, after one line: it cannot be changed. */
int containerd_read(const struct install *install, const char *text,
		    struct containerd_config *ret);
/* The same of a text that is known to be read: without a line. */
void containerd_read_again(const char *text, struct containerd_config *ret);
/* Is @text in there? */
bool containerd_has(const struct place *place, const char *text);
/* The path that is registered, or "". */
void containerd_registered(const struct containerd_config *config, char path[PATH_MAX]);
/* One line with the file's name and the line's number. Return: 1. */
int containerd_complain(const struct install *install, size_t line, const char *sentence);
