/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "run/judged_list.h"
#include "run/scope.h"

static int open_at(const char *path)
{
	char mount[4096], full[8192];
	int fd, r = scope_mount(mount, sizeof(mount));

	if (r < 0)
		return r;
	snprintf(full, sizeof(full), "%s%s", mount, path);
	fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void judged_release(struct judged_cgroup *judged)
{
	cgroup_counters_release(&judged->counters);
	cgroup_revoked_release(&judged->sockets);
	free(judged->path);
}

/* Return: 0, or -errno: -ENOENT, -ESTALE: the cgroup or its policy has gone. */
static int describe(struct cgroup_programs *programs, uint64_t id, bool has_sockets,
		    struct judged_cgroup *ret)
{
	const struct cgroup_choice all = { .is_dry = true, .is_listed = true };
	struct judged_cgroup judged = { 0 };
	_cleanup_fd_ int cgroup = -1;
	char path[4096];
	int r = scope_path(id, path, sizeof(path));

	if (r == 0)
		r = cgroup = open_at(path);
	if (r < 0)
		return r;
	judged.path = strdup(path);
	r = judged.path ? cgroup_count(programs, cgroup, &judged.counters) : -ENOMEM;
	if (r == 0 && has_sockets)
		r = cgroup_revoke(programs, cgroup, &all, &judged.sockets);
	if (r < 0)
		judged_release(&judged);
	else
		*ret = judged;
	return r;
}

static int by_path(const void *a, const void *b)
{
	const struct judged_cgroup *left = a, *right = b;

	return strcmp(left->path, right->path);
}

static int describe_all(struct cgroup_programs *programs, bool has_sockets,
			struct judged_list *ret)
{
	_cleanup_(judged_list_release) struct judged_list list = { 0 };
	_cleanup_free_ uint64_t *ids = NULL;
	size_t n;
	int r = cgroup_list(programs, &ids, &n);

	if (r < 0)
		return r;
	list.items = calloc(n + 1, sizeof(*list.items));
	if (!list.items)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		r = describe(programs, ids[i], has_sockets, &list.items[list.n]);
		if (r == 0)
			list.n++;
		else if (r != -ENOENT && r != -ESTALE && r != -ENODEV)
			return r;
	}
	qsort(list.items, list.n, sizeof(*list.items), by_path);
	*ret = list;
	list = (struct judged_list){ 0 };
	return 0;
}

int judged_list_new(struct judged_list *ret, bool has_sockets)
{
	struct cgroup_programs *programs;
	int r;

	*ret = (struct judged_list){ 0 };
	if (geteuid() != 0)
		return 0;
	r = cgroup_programs_find(&programs);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = describe_all(programs, has_sockets, ret);
	cgroup_programs_free(programs);
	return r;
}

void judged_list_release(struct judged_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		judged_release(&list->items[i]);
	free(list->items);
	*list = (struct judged_list){ 0 };
}

uint64_t judged_calls(const struct judged_cgroup *judged)
{
	uint64_t n = 0;

	for (size_t i = 0; i <= judged->counters.n_rules; i++)
		n += judged->counters.hits[i];
	return n;
}

void judged_rule(const struct judged_cgroup *judged, size_t number, char *text,
		 size_t size)
{
	const char *line = judged->counters.text;

	for (size_t i = 1; line && i < number; i++) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	snprintf(text, size, "%.*s", line ? (int)strcspn(line, "\n") : 0,
		 line ? line : "");
}
