/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the engines of graft install share: their file, read and replaced.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "ctl/install.h"
#include "ctl/json.h"

#define FILE_MAX (1u << 20)

int install_complain(const struct install *install, const char *sentence)
{
	fprintf(stderr, "graft: %s: %s\n", install->path, sentence);
	return 1;
}

int install_find_runtime(struct install *install)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (!*install->runtime && n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		*slash = '\0';
		if (snprintf(install->runtime, sizeof(install->runtime),
			     "%s/graft-runtime", self) >= PATH_MAX)
			install->runtime[0] = '\0';
	}
	if (install->runtime[0] == '/' && access(install->runtime, X_OK) == 0)
		return 0;
	fprintf(stderr, "graft install: '%s' is no absolute path of a program\n",
		install->runtime);
	return 1;
}

static void add_status(const struct install *install, const char *is, bool works)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "engine", json_text(install->engine));
	json_object_object_add(object, "file",
			       install->path ? json_text(install->path) : NULL);
	json_object_object_add(object, "runtime", is ? json_text(is) : NULL);
	json_object_object_add(object, "works", json_object_new_boolean(works));
	json_object_array_add(install->json, object);
}

int install_status(const struct install *install, const char *is)
{
	bool works = is && access(is, X_OK) == 0;

	if (install->json)
		add_status(install, is, works);
	else if (is)
		printf("%s  %s  graft is %s%s\n", install->engine, install->path, is,
		       works ? "" : ", which cannot be executed");
	else
		printf("%s  %s  not registered\n", install->engine, install->path);
	return works ? 0 : 1;
}

int install_read(const char *path, char **ret)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	ssize_t n;

	if (fd < 0)
		return -errno;
	text = calloc(1, FILE_MAX + 1);
	if (!text)
		return -ENOMEM;
	n = fd_read_all(fd, text, FILE_MAX + 1);
	if (n < 0)
		return (int)n;
	if (n > FILE_MAX)
		return -EFBIG;
	*ret = steal_pointer(text);
	return 0;
}

static int write_all(const char *path, const char *text, const char *like)
{
	_cleanup_fd_ int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (stat(like, &st) == 0 &&
	    (fchown(fd, st.st_uid, st.st_gid) < 0 || fchmod(fd, st.st_mode & 07777) < 0))
		return -errno;
	n = fd_write_all(fd, text, strlen(text));
	if (n >= 0 && fsync(fd) < 0)
		return -errno;
	return n < 0 ? (int)n : 0;
}

int install_make_directories(const char *path)
{
	char parent[PATH_MAX];

	if (snprintf(parent, sizeof(parent), "%s", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	for (char *at = strchr(parent + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(parent, 0755) < 0 && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	return 0;
}

int install_replace(const char *path, const char *text)
{
	char real[PATH_MAX], new[PATH_MAX + 8];
	int r;

	if (!realpath(path, real)) {
		if (errno != ENOENT)
			return -errno;
		snprintf(real, sizeof(real), "%s", path);
	}
	snprintf(new, sizeof(new), "%s.graft", real);
	unlink(new);
	r = write_all(new, text, real);
	if (r == 0 && rename(new, real) < 0)
		r = -errno;
	if (r < 0)
		unlink(new);
	return r;
}
