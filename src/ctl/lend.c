/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft lend: the host's sockets for a rootless engine's containers. With a command it
 * becomes that command, and lends from a process aside for as long as that lives.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "ctl/command.h"
#include "run/lender.h"

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: graft lend [COMMAND [ARGUMENT...]]\n\n"
		"Lends sockets of this network namespace to the containers of an engine that\n"
		"the calling user runs in RootlessKit's, as rootless Docker does, until a\n"
		"signal; with COMMAND, which is that engine, until that ends.\n\n"
		"  -h, --help  show this help\n");
}

static int fail(const char *path, int r)
{
	fprintf(stderr, "graft lend: %s: %s\n", path,
		r == -EADDRINUSE ? "somebody lends there already" : strerror(-r));
	return EXIT_GRAFT_FAILED;
}

/* A terminal's signals are for the command, which ends who lends. Return: 0 or -errno. */
static int lend_aside(int door, const char *path)
{
	_cleanup_fd_ int fd = door, self = process_open(getpid());
	int r = self < 0 ? self : process_split_off();

	if (r > 0)
		_exit(lender_serve(fd_steal(&fd), path, self) < 0);
	return r;
}

static int become(char **argv)
{
	execvp(argv[0], argv);
	fprintf(stderr, "graft lend: %s: %s\n", argv[0], strerror(errno));
	return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}

static int lend(char **command)
{
	char path[PATH_MAX];
	int r = lender_path(path, sizeof(path)), fd;

	if (r < 0) {
		fprintf(stderr, "graft lend: XDG_RUNTIME_DIR is not set\n");
		return EXIT_GRAFT_FAILED;
	}
	fd = lender_open(path);
	if (fd < 0)
		return fail(path, fd);
	r = *command ? lend_aside(fd, path) : lender_serve(fd, path, -1);
	if (r < 0)
		return fail(path, r);
	return *command ? become(command) : 0;
}

int command_lend(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	log_init(STDERR_FILENO, LOG_LEVEL_WARNING, "graft lend");
	while ((option = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		usage(option == 'h' ? stdout : stderr);
		return option == 'h' ? 0 : EXIT_MISUSE;
	}
	if (process_is_real_root()) {
		fprintf(stderr, "graft lend: root's engines are on the host's network "
				"anyway\n");
		return EXIT_GRAFT_FAILED;
	}
	return lend(argv + optind);
}
