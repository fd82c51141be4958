/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft install, uninstall, status: graft-runtime in the configuration of a container
 * engine. Docker's daemon.json is changed in one place and otherwise stays as it is; it
 * is replaced as a whole, so that a daemon that reads it meanwhile reads one of both.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json_text.h"
#include "ctl/command.h"

#define DAEMON_JSON "/etc/docker/daemon.json"
#define FILE_MAX    (1u << 20)
#define EMPTY       "{}\n"

static const char *const place[] = { "runtimes", "graft" };

enum what { INSTALL, UNINSTALL, STATUS };

struct request {
	enum what what;
	const char *path;
	char runtime[PATH_MAX];
};

static int complain(const struct request *request, const char *sentence)
{
	fprintf(stderr, "graft: %s: %s\n", request->path, sentence);
	return 1;
}

/* Where there is no file there is an empty object. Return: 0 or -errno. */
static int read_file(const char *path, char **ret)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = calloc(1, FILE_MAX + 1);
	ssize_t n;

	if (!text)
		return -ENOMEM;
	*ret = text;
	if (fd < 0 && errno == ENOENT) {
		memcpy(text, EMPTY, sizeof(EMPTY));
		return 0;
	}
	n = fd < 0 ? -errno : fd_read_all(fd, text, FILE_MAX + 1);
	if (n > FILE_MAX)
		return -EFBIG;
	/* dockerd takes an empty file for an empty object. */
	if (n >= 0 && !text[strspn(text, " \t\r\n")])
		memcpy(text, EMPTY, sizeof(EMPTY));
	return n < 0 ? (int)n : 0;
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

/* A link stays one: what it names is replaced. */
static int replace_file(const char *path, const char *text)
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

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value = json_object_object_get(object, key);

	return json_object_is_type(value, json_type_string)
		       ? json_object_get_string(value)
		       : NULL;
}

/* The path that is registered; NULL: none. */
static const char *registered(struct json_object *config)
{
	struct json_object *runtimes = json_object_object_get(config, place[0]);

	if (!json_object_is_type(runtimes, json_type_object))
		return NULL;
	return text_of(json_object_object_get(runtimes, place[1]), "path");
}

static int find_runtime(struct request *request)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (!*request->runtime && n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		*slash = '\0';
		if (snprintf(request->runtime, sizeof(request->runtime),
			     "%s/graft-runtime", self) >= PATH_MAX)
			request->runtime[0] = '\0';
	}
	if (request->runtime[0] == '/' && access(request->runtime, X_OK) == 0)
		return 0;
	fprintf(stderr, "graft install: '%s' is no absolute path of a program\n",
		request->runtime);
	return 1;
}

static int put(const struct request *request, char *text, int r)
{
	if (r == 0)
		r = replace_file(request->path, text);
	free(text);
	if (r < 0)
		return complain(request, r == -EINVAL ? "\"runtimes\" is no object"
						      : strerror(-r));
	printf("%s: the runtime graft is %s\n", request->path,
	       request->what == INSTALL
		       ? "registered; make dockerd read it: systemctl reload docker"
		       : "gone; a dockerd that runs forgets it when it is restarted");
	return 0;
}

static int install(struct request *request, const char *text, const char *is)
{
	struct json_object *path, *value;
	char *new = NULL;
	int r;

	if (find_runtime(request) != 0)
		return 1;
	if (is && !strcmp(is, request->runtime)) {
		printf("%s: the runtime graft is registered already\n", request->path);
		return 0;
	}
	value = json_object_new_object();
	path = json_object_new_string(request->runtime);
	json_object_object_add(value, "path", path);
	r = json_text_set(text, place, 2,
			  json_object_to_json_string_ext(
				  value, JSON_C_TO_STRING_PLAIN |
						 JSON_C_TO_STRING_NOSLASHESCAPE),
			  &new);
	json_object_put(value);
	return put(request, new, r);
}

static int uninstall(struct request *request, const char *text, const char *is,
		     struct json_object *config)
{
	const char *standard = text_of(config, "default-runtime");
	char *new = NULL;
	int r;

	if (!is) {
		printf("%s: the runtime graft is not registered\n", request->path);
		return 0;
	}
	if (standard && !strcmp(standard, place[1]))
		return complain(request, "graft is the default-runtime; change that "
					 "first");
	r = json_text_remove(text, place, 2, &new);
	return put(request, new, r);
}

static int status(const struct request *request, const char *is)
{
	if (is)
		printf("docker  %s  graft is %s%s\n", request->path, is,
		       access(is, X_OK) == 0 ? "" : ", which cannot be executed");
	else
		printf("docker  %s  not registered\n", request->path);
	return is && access(is, X_OK) == 0 ? 0 : 1;
}

static int act(struct request *request)
{
	_cleanup_free_ char *text = NULL;
	struct json_object *config;
	const char *is;
	int r = read_file(request->path, &text);

	if (r < 0)
		return complain(request, strerror(-r));
	config = json_tokener_parse(text);
	if (!json_object_is_type(config, json_type_object)) {
		json_object_put(config);
		return complain(request, "not a JSON object; it was left alone");
	}
	is = registered(config);
	if (request->what == INSTALL)
		r = install(request, text, is);
	else if (request->what == UNINSTALL)
		r = uninstall(request, text, is, config);
	else
		r = status(request, is);
	json_object_put(config);
	return r;
}

static void usage(enum what what, FILE *to)
{
	static const char *const first[] = {
		[INSTALL] = "Usage: graft install [OPTION...] docker\n\n"
			    "Registers graft-runtime with Docker, for docker run "
			    "--runtime=graft.\n\n",
		[UNINSTALL] = "Usage: graft uninstall [OPTION...] docker\n\n"
			      "Takes it out again.\n\n",
		[STATUS] = "Usage: graft status [OPTION...]\n\n"
			   "Says whether it is registered. Exit status 0 when it is.\n\n",
	};

	fprintf(to,
		"%s"
		"  -c, --config FILE   instead of " DAEMON_JSON "\n"
		"%s"
		"  -h, --help          show this help\n",
		first[what],
		what == INSTALL
			? "  -r, --runtime PATH  instead of graft-runtime beside graft\n"
			: "");
}

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "help", no_argument, NULL, 'h' },
	{ "runtime", required_argument, NULL, 'r' },
	{ 0 },
};

static int run(enum what what, int argc, char **argv)
{
	struct request request = { .what = what, .path = DAEMON_JSON };
	int option, n = what == STATUS ? 0 : 1;

	while ((option = getopt_long(argc, argv, what == INSTALL ? "c:r:h" : "c:h",
				     options, NULL)) != -1) {
		if (option == 'h') {
			usage(what, stdout);
			return 0;
		}
		if (option == 'c') {
			request.path = optarg;
		} else if (option == 'r' && what == INSTALL) {
			snprintf(request.runtime, sizeof(request.runtime), "%s", optarg);
		} else {
			usage(what, stderr);
			return EXIT_MISUSE;
		}
	}
	if (argc - optind != n || (n && strcmp(argv[optind], "docker") != 0)) {
		usage(what, stderr);
		return EXIT_MISUSE;
	}
	return act(&request);
}

int command_install(int argc, char **argv)
{
	return run(INSTALL, argc, argv);
}

int command_uninstall(int argc, char **argv)
{
	return run(UNINSTALL, argc, argv);
}

int command_status(int argc, char **argv)
{
	return run(STATUS, argc, argv);
}
