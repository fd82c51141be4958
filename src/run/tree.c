/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The processes below a subreaper: whoever loses its parent becomes our child, so the
 * tree cannot get away. It can grow while we look; hence the rounds.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/number.h"
#include "run/tree.h"

#define TREE_MAX 65536

struct process {
	pid_t pid, parent;
	bool is_ours;
};

static pid_t read_parent(pid_t pid)
{
	char path[40], text[512];
	_cleanup_fd_ int fd = -1;
	const char *after;
	uint64_t parent;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : fd_read_all(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -1;
	text[n] = '\0';
	/* PID (COMM) STATE PPID; COMM may hold anything, ')' too. */
	after = strrchr(text, ')');
	if (!after || strlen(after) < 4)
		return -1;
	after += 3;
	return number_take(&after, 10, &parent) ? (pid_t)parent : -1;
}

static size_t list_processes(struct process *list, size_t max)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	size_t n = 0;

	if (!dir)
		return 0;
	while (n < max && (entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0)
			list[n++] = (struct process){ pid, read_parent(pid), false };
	}
	closedir(dir);
	return n;
}

static bool is_marked(const struct process *list, size_t n, pid_t pid)
{
	if (pid == getpid())
		return true;
	for (size_t i = 0; i < n; i++)
		if (list[i].pid == pid)
			return list[i].is_ours;
	return false;
}

/* Marks all descendants. Return: how many. */
static size_t mark(struct process *list, size_t n)
{
	size_t total = 0, before;

	do {
		before = total;
		for (size_t i = 0; i < n; i++)
			if (!list[i].is_ours && is_marked(list, n, list[i].parent)) {
				list[i].is_ours = true;
				total++;
			}
	} while (total != before);
	return total;
}

void tree_kill(void)
{
	_cleanup_free_ struct process *list = calloc(TREE_MAX, sizeof(*list));

	for (;;) {
		size_t n = list ? list_processes(list, TREE_MAX) : 0;
		size_t n_ours = mark(list, n);

		for (size_t i = 0; i < n; i++)
			if (list[i].is_ours)
				kill(list[i].pid, SIGKILL);
		/* Everybody below was killed, so there is a child to wait for. */
		if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
			return;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			continue;
		if (!n_ours)
			return;
	}
}
