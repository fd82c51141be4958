/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * runc 1.1 and crun 1.9 have a command "features", whose answer lists the seccomp flags
 * that are supported. A crun that has not got it knows the flag if its name is in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/number.h"
#include "runtime/backend.h"

#define FLAG       "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
#define ANSWER_MAX (256u << 10)

static bool kernel_waits(void)
{
	const char *at;
	struct utsname name;
	uint64_t major, minor;

	if (uname(&name) < 0)
		return false;
	at = name.release;
	if (!number_take(&at, 10, &major) || *at++ != '.' ||
	    !number_take(&at, 10, &minor))
		return false;
	return major > 5 || (major == 5 && minor >= 19);
}

/* What `@path features` prints; NULL: nothing. */
static char *ask(const char *path)
{
	int pipe_fds[2], status;
	char *answer;
	ssize_t n;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return NULL;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null, STDIN_FILENO);
		dup2(pipe_fds[1], STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execl(path, path, "features", (char *)NULL);
		_exit(EXIT_FAILURE);
	}
	fd_close(pipe_fds[1]);
	answer = calloc(1, ANSWER_MAX);
	n = answer && pid > 0 ? fd_read_all(pipe_fds[0], answer, ANSWER_MAX - 1) : -1;
	fd_close(pipe_fds[0]);
	if (pid > 0 && (waitpid(pid, &status, 0) < 0 || status != 0))
		n = -1;
	if (n <= 0) {
		free(answer);
		return NULL;
	}
	return answer;
}

static bool is_listed(const char *answer)
{
	struct json_object *features = json_tokener_parse(answer), *list;
	bool is = false;

	list = json_object_object_get(features, "linux");
	list = json_object_object_get(list, "seccomp");
	list = json_object_object_get(list, "supportedFlags");
	for (size_t i = 0; json_object_is_type(list, json_type_array) &&
			   i < json_object_array_length(list);
	     i++) {
		const char *flag =
			json_object_get_string(json_object_array_get_idx(list, i));

		is |= flag && !strcmp(flag, FLAG);
	}
	json_object_put(features);
	return is;
}

static bool is_inside(const char *path, const struct stat *st)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *map =
		fd < 0 ? MAP_FAILED
		       : mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	bool is;

	if (map == MAP_FAILED)
		return false;
	is = memmem(map, (size_t)st->st_size, FLAG, strlen(FLAG)) != NULL;
	munmap(map, (size_t)st->st_size);
	return is;
}

static bool find_out(const char *path, const struct stat *st)
{
	char *answer = ask(path);
	bool waits = answer ? is_listed(answer) : is_inside(path, st);

	free(answer);
	return waits;
}

bool backend_waits(const char *path, const char *state)
{
	_cleanup_fd_ int fd = -1;
	char note[4096], answer = 0;
	struct stat st;

	if (!kernel_waits() || stat(path, &st) < 0)
		return false;
	if (snprintf(note, sizeof(note), "%s/backend.%llx.%llx.%llx.%llx", state,
		     (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
		     (unsigned long long)st.st_size,
		     (unsigned long long)st.st_mtim.tv_sec) >= (int)sizeof(note))
		return false;
	fd = open(note, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, &answer, 1) == 1)
		return answer == 'w';
	answer = find_out(path, &st) ? 'w' : '-';
	fd = fd_close(fd);
	fd = open(note, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		fd_write_all(fd, &answer, 1);
	return answer == 'w';
}
