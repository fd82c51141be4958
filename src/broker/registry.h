/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Endpoints by namespace and name. Pure data: no descriptor, no file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of all users and namespaces together. */
#define REGISTRY_MAX 1000000

enum entry_flag {
	ENTRY_FILE = 1 << 0,  /* of the configuration file: only a reload takes it away */
	ENTRY_OWN = 1 << 1,   /* leads into the namespace it was added in, whichever */
	ENTRY_ADMIN = 1 << 2, /* the administrator added it */
};

struct use; /* what an endpoint is used for; use.h */
struct user;

struct table {
	uint64_t netns; /* cookie */
	uint32_t n_entries;
	int nsid; /* our namespace's number for it, or -1 */
	struct table *next;
};

struct entry {
	struct table *table;
	struct use *use;   /* or NULL; its keeper's, like the next */
	struct user *user; /* whose quota it counts in */
	uint32_t next;     /* in its chain */
	uint32_t hash;
	uint32_t slot;
	uint32_t uid, gid; /* who added it */
	uint16_t line_size;
	uint8_t name_size;
	uint8_t flags; /* enum entry_flag */
	char line[];   /* "NAME ipv4 ADDR:PORT ...", NUL at the end */
};

struct registry;

struct registry *registry_new(void);
struct registry *registry_free(struct registry *registry);

/* @line is copied; its first word is the name. Return: 0; -EEXIST, -E2BIG, -ENOMEM,
 * -EINVAL for a line without a name. */
int registry_add(struct registry *registry, uint64_t netns, const char *line, size_t size,
		 struct entry **ret);
/* What the keeper put into it is to be given up before. */
void registry_del(struct registry *registry, struct entry *entry);
/* Return: NULL when there is none. */
struct entry *registry_find(const struct registry *registry, uint64_t netns,
			    const char *name);
size_t registry_n(const struct registry *registry);

/*
 * Walks over all entries: start with *@cursor 0 and call until NULL. Entries may be added
 * and deleted in between; one that is there all the time is met once.
 */
struct entry *registry_next(const struct registry *registry, uint32_t *cursor);

/* The tables there are, first of a list; one lives as long as it has entries. */
struct table *registry_tables(const struct registry *registry);
struct table *registry_table(const struct registry *registry, uint64_t netns);

/* Copies its name, at most 63 bytes and NUL, to @name. */
void entry_name(const struct entry *entry, char name[64]);
