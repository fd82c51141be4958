/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UNIX sockets of the file system, in $ESCAPE_PATHS: paths/secret and paths/secret.log
 * are canaries, a stream and a datagram socket; paths/allowed and paths/allowed.log
 * serve. own/ is everybody's to write to.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "escape.h"
#include "race.h"

static const char *top;

static void find_top(void)
{
	top = getenv("ESCAPE_PATHS");
	if (!top)
		unsupported("no ESCAPE_PATHS");
}

/* Not freed: the program ends soon. */
static const char *below(const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", top, name) < 0 ? "" : path;
}

static socklen_t address_of(struct sockaddr_un *ret, const void *path, size_t size)
{
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	if (size > sizeof(ret->sun_path))
		size = sizeof(ret->sun_path);
	memcpy(ret->sun_path, path, size);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
}

/* Every call that names a path. */
static void send_to(int fd, struct sockaddr_un *address, socklen_t len)
{
	struct iovec byte = { "x", 1 };
	struct mmsghdr message = { .msg_hdr = { .msg_name = address,
						.msg_namelen = len,
						.msg_iov = &byte,
						.msg_iovlen = 1 } };

	seen("sendto", sendto(fd, "x", 1, 0, (struct sockaddr *)address, len));
	seen("sendmsg", sendmsg(fd, &message.msg_hdr, 0));
	seen("sendmmsg", sendmmsg(fd, &message, 1, 0));
	if (!seen("connect", connect(fd, (struct sockaddr *)address, len)))
		poke(fd);
}

static void reach_bytes(const void *path, size_t size)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM, SOCK_RAW };
	struct sockaddr_un address, first;
	socklen_t len = address_of(&address, path, size), first_len;
	int fds[2];

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		int fd = socket(AF_UNIX, types[i], 0);

		if (types[i] == SOCK_STREAM || types[i] == SOCK_SEQPACKET)
			seen("connect", connect(fd, (struct sockaddr *)&address, len));
		else
			send_to(fd, &address, len);
		close(fd);
	}
	if (!socketpair(AF_UNIX, SOCK_DGRAM, 0, fds))
		send_to(fds[0], &address, len);
	first_len = address_of(&first, below("paths/allowed.log"),
			       strlen(below("paths/allowed.log")));
	fds[1] = dup(fds[0]);
	seen("connect to what is allowed",
	     connect(fds[0], (struct sockaddr *)&first, first_len));
	send_to(fds[1], &address, len);
	close(fds[0]);
	close(fds[1]);
}

static void reach_path(const char *path)
{
	note("%s", path);
	reach_bytes(path, strlen(path));
	reach_bytes(path, strlen(path) + 1);
}

/* A file of the canary, by names that are not its own. */
static void by_names(const char *file)
{
	const char *link_name = below("own/link"), *hard = below("own/hard"),
		   *secret = below(file);
	char text[PATH_MAX];
	int fd;

	snprintf(text, sizeof(text), "%s/paths/../%s", top, file);
	reach_path(text);
	snprintf(text, sizeof(text), "%s/./%s", top, file);
	reach_path(text);
	snprintf(text, sizeof(text), "/%s/%s", top, file);
	reach_path(text);
	snprintf(text, sizeof(text), "/proc/self/root%s/%s", top, file);
	reach_path(text);
	if (!chdir(below("paths"))) {
		reach_path(strchr(file, '/') + 1);
		snprintf(text, sizeof(text), "./%s", strchr(file, '/') + 1);
		reach_path(text);
		snprintf(text, sizeof(text), "/proc/self/cwd/%s", strchr(file, '/') + 1);
		reach_path(text);
		seen("chdir", chdir("/"));
	}
	if (!seen("symlink", symlink(secret, link_name)))
		reach_path(link_name);
	if (!seen("link", link(secret, hard)))
		reach_path(hard);
	unlink(link_name);
	unlink(hard);
	fd = open(secret, O_PATH | O_CLOEXEC);
	snprintf(text, sizeof(text), "/proc/self/fd/%d", fd);
	if (seen("open(O_PATH)", fd) >= 0)
		reach_path(text);
	close(fd);
}

static void not_allowed(const struct way *way)
{
	static const char *const files[] = { "paths/secret", "paths/secret.log" };
	char bytes[108];
	int pid;

	(void)way;
	find_top();
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		size_t len;

		reach_path(below(files[i]));
		by_names(files[i]);
		/* What is allowed, and more behind it. */
		len = (size_t)snprintf(bytes, sizeof(bytes), "%s/paths/allowed/../%s",
				       top, strchr(files[i], '/') + 1);
		reach_bytes(bytes, len);
		memset(bytes, '/', sizeof(bytes));
		memcpy(bytes + sizeof(bytes) - strlen(below(files[i])), below(files[i]),
		       strlen(below(files[i])));
		reach_bytes(bytes, sizeof(bytes));
	}
	pid = fork();
	if (!pid) {
		reach_path(below(files[0]));
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

/* One path alone is denied. */
static void other_names(const struct way *way)
{
	(void)way;
	find_top();
	by_names("paths/secret");
}

static void reach_allowed(const char *path)
{
	struct sockaddr_un address;
	socklen_t len = address_of(&address, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	seen("connect", connect(fd, (struct sockaddr *)&address, len));
	close(fd);
}

/* An allowed path that is a link of the program's own. */
static void own_link(const struct way *way)
{
	(void)way;
	find_top();
	seen("symlink", symlink(below("paths/secret"), below("own/allowed")));
	reach_allowed(below("own/allowed"));
	unlink(below("own/allowed"));
}

/* An allowed path where the program has mounted something else, for itself. */
static void own_mount(const struct way *way)
{
	int pid = fork();

	(void)way;
	find_top();
	if (!pid) {
		if (seen("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNS)))
			unsupported("no user namespaces for this user");
		seen("mount", mount(below("paths/secret"), below("paths/allowed"), NULL,
				    MS_BIND, NULL));
		reach_allowed(below("paths/allowed"));
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

struct flips {
	struct sockaddr_un shared, a, b;
};

static void *flip(void *context)
{
	struct flips *flips = context;

	while (!race_is_over()) {
		memcpy(&flips->shared, &flips->a, sizeof(flips->a));
		memcpy(&flips->shared, &flips->b, sizeof(flips->b));
	}
	return NULL;
}

static void race_paths(const char *good, const char *bad, int type)
{
	struct flips flips;
	struct race race;

	address_of(&flips.a, below(good), strlen(below(good)));
	address_of(&flips.b, below(bad), strlen(below(bad)));
	flips.shared = flips.a;
	race_start(&race, flip, &flips);
	while (race_goes_on(&race)) {
		int fd = socket(AF_UNIX, type, 0);

		if (type == SOCK_DGRAM)
			sendto(fd, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&flips.shared,
			       sizeof(flips.shared));
		fcntl(fd, F_SETFL, O_NONBLOCK);
		connect(fd, (struct sockaddr *)&flips.shared, sizeof(flips.shared));
		close(fd);
	}
	race_end(&race);
}

static void race(const struct way *way)
{
	(void)way;
	find_top();
	n_tries /= 2;
	race_paths("paths/allowed", "paths/secret", SOCK_STREAM);
	race_paths("paths/allowed.log", "paths/secret.log", SOCK_DGRAM);
}

const struct attempt attempts_path[] = {
	{ "path", WAY_NONE, ONLY_CGROUP | NEEDS_PATHS, not_allowed,
	  "a UNIX path, where rules allow others by name and deny the rest" },
	{ "path-race", WAY_NONE, ONLY_CGROUP | NEEDS_PATHS | IS_RACE, race,
	  "the same, and the path changes in memory" },
	{ "path-link", WAY_NONE, ONLY_CGROUP | NEEDS_PATHS, own_link,
	  "the same, by an allowed path in a directory of the program's" },
	{ "path-mount", WAY_NONE, ONLY_CGROUP | NEEDS_PATHS, own_mount,
	  "the same, mounted over an allowed path in a user namespace" },
	{ "path-names", WAY_NONE, ONLY_CGROUP | DENIES_PATH, other_names,
	  "a UNIX path that a rule denies, by other names" },
	{}
};
