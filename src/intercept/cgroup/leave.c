/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking away what the programs of a build have put on cgroups, whichever build that is.
 *
 * Another one's programs are not known here by name or type. So a cgroup is asked, for
 * each type of attachment there is, which programs it has, and those that are pinned go.
 * Before that a store in the cgroup's storage has turned all of them off at once. Those
 * that keep a revoked socket silent are of no policy, and stay with the cgroup.
 */
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "intercept/cgroup/internal.h"

#define SILENCING    "graft_dead_" /* what the names of such programs begin with */
#define PINNED_MAX   128
#define ATTACHED_MAX 256
#define TYPES_MAX    64 /* of attachment; the kernel has fewer */

struct pinned {
	int fd;
	uint32_t id;
};

struct cgroup_build {
	int directory, judged;
	uint32_t judged_size; /* of a value, which begins with the number of an image */
	struct pinned programs[PINNED_MAX];
	size_t n_programs;
};

static bool is_program(int fd)
{
	char path[40], target[40] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, target, sizeof(target) - 1) > 0 &&
	       !strcmp(target, "anon_inode:bpf-prog");
}

static void take_program(struct cgroup_build *build, const char *name)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	char path[96];
	_cleanup_fd_ int fd = -1;

	if (build->n_programs == PINNED_MAX || strlen(name) > 64 ||
	    !strncmp(name, SILENCING, strlen(SILENCING)))
		return;
	fd = bpf_obj_get(pin_path(build->directory, name, path));
	if (fd < 0 || !is_program(fd) || bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		return;
	build->programs[build->n_programs++] =
		(struct pinned){ .fd = fd_steal(&fd), .id = info.id };
}

static int take_programs(struct cgroup_build *build)
{
	int fd = fcntl(build->directory, F_DUPFD_CLOEXEC, 3);
	DIR *pins = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *pin;
	int r = pins ? 0 : -errno;

	if (!pins) {
		fd_close(fd);
		return r;
	}
	while ((pin = readdir(pins)))
		if (pin->d_name[0] != '.' && pin->d_type != DT_DIR)
			take_program(build, pin->d_name);
	closedir(pins);
	return 0;
}

static void build_close(struct cgroup_build *build)
{
	while (build->n_programs)
		fd_close(build->programs[--build->n_programs].fd);
	fd_close(build->judged);
	fd_close(build->directory);
}

/* Locked until build_close(). */
static int build_open(struct cgroup_build *ret, int all, const char *tag)
{
	struct bpf_map_info info = { 0 };
	int r;

	ret->n_programs = 0;
	ret->judged = -1;
	ret->directory =
		openat(all, tag, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (ret->directory < 0)
		return -errno;
	r = pins_lock(ret->directory);
	if (r == 0)
		r = take_programs(ret);
	if (r < 0) {
		build_close(ret);
		return r;
	}
	ret->judged = build_map(ret->directory, MAP_JUDGED, &info);
	ret->judged_size = info.value_size;
	return 0;
}

/* Return: 1: it was judged; 0: it was not; or -errno. */
static int judge_no_more(const struct cgroup_build *build, uint64_t id, bool is_dry)
{
	_cleanup_free_ uint64_t *value = calloc(1, build->judged_size + sizeof(*value));

	if (!value)
		return -ENOMEM;
	if (build->judged < 0 || bpf_map_lookup_elem(build->judged, &id, value) < 0 ||
	    !*value)
		return 0;
	*value = 0;
	if (!is_dry && bpf_map_update_elem(build->judged, &id, value, BPF_EXIST) < 0)
		return -errno;
	return 1;
}

static const struct pinned *find_program(const struct cgroup_build *build, uint32_t id)
{
	for (size_t i = 0; i < build->n_programs; i++)
		if (build->programs[i].id == id)
			return &build->programs[i];
	return NULL;
}

/* Return: how many of @type there were, or -errno. */
static int detach_type(const struct cgroup_build *build, int cgroup,
		       enum bpf_attach_type type, bool is_dry)
{
	uint32_t ids[ATTACHED_MAX], flags, n = ATTACHED_MAX;
	int found = 0;

	if (bpf_prog_query(cgroup, type, 0, &flags, ids, &n) < 0)
		return errno == EINVAL ? 0 : -errno; /* no type of this kernel's */
	for (uint32_t i = 0; i < n; i++) {
		const struct pinned *program = find_program(build, ids[i]);

		if (!program)
			continue;
		if (!is_dry && bpf_prog_detach2(program->fd, cgroup, type) < 0)
			return -errno;
		found++;
	}
	return found;
}

/* Those for UNIX sockets are not among the names that libbpf 1.1 has. */
static bool is_of_cgroups(enum bpf_attach_type type)
{
	const char *name = libbpf_bpf_attach_type_str(type);

	return (name && !strncmp(name, "cgroup_", strlen("cgroup_"))) ||
	       (type >= UNIX_CONNECT && type <= UNIX_GETPEERNAME);
}

int cgroup_build_leave(struct cgroup_build *build, int cgroup, bool is_dry)
{
	uint64_t id = 0;
	int r = cgroup_id(cgroup, &id), found = 0;

	if (r == 0)
		r = found = judge_no_more(build, id, is_dry);
	for (int type = 0; r >= 0 && type < TYPES_MAX; type++) {
		if (!is_of_cgroups((enum bpf_attach_type)type))
			continue;
		r = detach_type(build, cgroup, (enum bpf_attach_type)type, is_dry);
		found += r > 0;
	}
	return r < 0 ? r : found > 0;
}

/* The kernel keeps a removed cgroup, and what is attached to it, for its sockets. */
static bool is_gone(int top, uint64_t id)
{
	struct {
		struct file_handle handle;
		uint64_t id;
	} file = { .handle.handle_bytes = sizeof(id) };
	_cleanup_fd_ int fd = -1;
	int mount;

	if (name_to_handle_at(top, "", &file.handle, &mount, AT_EMPTY_PATH) < 0)
		return false;
	memcpy(file.handle.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(top, &file.handle, O_PATH | O_CLOEXEC);
	return fd < 0 && errno == ESTALE;
}

int cgroup_build_leave_gone(struct cgroup_build *build, int top)
{
	uint64_t id, *at = NULL;
	int r = 0;

	if (build->judged < 0)
		return 0;
	for (; r >= 0 && bpf_map_get_next_key(build->judged, at, &id) == 0; at = &id)
		if (is_gone(top, id))
			r = judge_no_more(build, id, false);
	return r < 0 ? r : 0;
}

/* Return: 1: the directory is there still; 0; or -errno. */
static int visit_build(int all, const char *tag, bool is_dry, cgroup_build_fn *visit,
		       void *context)
{
	struct cgroup_build build;
	int r = build_open(&build, all, tag);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = visit(&build, context);
	build_close(&build);
	if (r == 0 && !is_dry)
		r = calls_wait();
	if (r < 0 || is_dry)
		return r < 0 ? r : 1;
	build_sweep(all, tag);
	return faccessat(all, tag, F_OK, 0) == 0;
}

int cgroup_builds_walk(const char *bpffs, bool is_dry, cgroup_build_fn *visit,
		       void *context, size_t *ret_left)
{
	const struct dirent *tag;
	size_t left = 0;
	char path[4096];
	DIR *tags;
	int r = 0;

	snprintf(path, sizeof(path), "%s/graft", bpffs ? bpffs : CGROUP_BPFFS);
	tags = opendir(path);
	if (!tags && errno != ENOENT)
		return -errno;
	while (r == 0 && tags && (tag = readdir(tags))) {
		if (tag->d_name[0] == '.')
			continue;
		r = visit_build(dirfd(tags), tag->d_name, is_dry, visit, context);
		left += r > 0;
		r = r < 0 ? r : 0;
	}
	if (tags)
		closedir(tags);
	if (r == 0)
		*ret_left = left;
	return r;
}
