/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bundle's config.json: read, changed in one place, and put back.
 */
#pragma once

#include <stddef.h>

struct json_object;

struct bundle {
	int directory; /* where the file is */
	char *name;    /* of the file there */
	char *text;    /* what is in it */
	size_t size;
	struct json_object *config;
};

#define BUNDLE_MAX (16u << 20)

/* @directory NULL: the working directory; @config NULL: config.json. Return: 0, or -errno
 * after one line. bundle_release() on success. */
int bundle_open(struct bundle *ret, const char *directory, const char *config);
void bundle_release(struct bundle *bundle);
/* Frees what is in the file; it can be put back still. */
void bundle_forget(struct bundle *bundle);

/*
 * The text with linux.seccomp replaced by @profile, or put in, and every other byte as it
 * was. Return: 0, *ret_text is the caller's; -EINVAL when that place cannot be found in
 * it; -ENOMEM.
 */
int bundle_edit(const struct bundle *bundle, struct json_object *profile, char **ret_text,
		size_t *ret_size);

/*
 * Puts @text in the place of the file, which is kept beside it with whatever it has
 * besides its text. Return: 0, or -errno after one line.
 */
int bundle_swap(const struct bundle *bundle, const char *text, size_t size);
/* Puts the file kept by bundle_swap() back, if there is one. */
void bundle_put_back(const struct bundle *bundle);
