/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs of other builds, as an upgrade leaves them behind: 17 MB each.
 *
 * They are needed as long as a cgroup is judged by them, and their table of sockets that
 * are reached past TCP as long as there are such, as bytes that nobody has read yet would
 * go with it. Whoever is about to use a directory has its lock, and looks whether it is
 * still there when he has got it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "intercept/cgroup/internal.h"

int build_map(int directory, enum map map, struct bpf_map_info *ret)
{
	uint32_t size = sizeof(*ret);
	char path[96];
	int fd = bpf_obj_get(pin_path(directory, map_name(map), path));

	if (fd < 0)
		return -errno;
	memset(ret, 0, sizeof(*ret));
	if (bpf_obj_get_info_by_fd(fd, ret, &size) == 0)
		return fd;
	fd_close(fd);
	return -EBADF;
}

/* A cgroup's storage stays as long as the cgroup; in front is the number of an image. */
static bool judges(int directory)
{
	struct bpf_map_info info;
	_cleanup_fd_ int map = build_map(directory, MAP_JUDGED, &info);
	_cleanup_free_ uint64_t *value = NULL;
	uint64_t key, *at = NULL;

	if (map < 0)
		return map != -ENOENT;
	value = calloc(1, info.value_size + sizeof(*value));
	if (!value || info.key_size != sizeof(key))
		return true;
	for (; bpf_map_get_next_key(map, at, &key) == 0; at = &key)
		if (bpf_map_lookup_elem(map, &key, value) == 0 && *value)
			return true;
	return errno != ENOENT;
}

static bool has_shortcuts(int directory)
{
	struct bpf_map_info info;
	_cleanup_fd_ int map = build_map(directory, MAP_SHORTCUTS, &info);
	uint64_t key;

	if (map < 0)
		return map != -ENOENT;
	return info.key_size != sizeof(key) ||
	       bpf_map_get_next_key(map, NULL, &key) == 0 || errno != ENOENT;
}

static void unlink_all(int directory)
{
	int fd = fcntl(directory, F_DUPFD_CLOEXEC, 3);
	DIR *pins = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *pin;

	while (pins && (pin = readdir(pins)))
		if (unlinkat(directory, pin->d_name, 0) < 0 && errno == EISDIR)
			unlinkat(directory, pin->d_name, AT_REMOVEDIR);
	if (pins)
		closedir(pins);
	else
		fd_close(fd);
}

void build_sweep(int all, const char *tag)
{
	_cleanup_fd_ int directory =
		openat(all, tag, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (directory < 0 || flock(directory, LOCK_EX | LOCK_NB) < 0 ||
	    judges(directory) || has_shortcuts(directory))
		return;
	unlink_all(directory);
	if (unlinkat(all, tag, AT_REMOVEDIR) == 0)
		log_debug("programs %s of another build judge nobody: removed", tag);
}

void builds_sweep(int all, const char *own)
{
	int fd = fcntl(all, F_DUPFD_CLOEXEC, 3);
	DIR *tags = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *tag;

	while (tags && (tag = readdir(tags)))
		if (tag->d_name[0] != '.' && strcmp(tag->d_name, own) != 0)
			build_sweep(all, tag->d_name);
	if (tags)
		closedir(tags);
	else
		fd_close(fd);
}
