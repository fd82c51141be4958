/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ip: answers `ip graft` in the words of the iproute2 of old, and is the next ip of PATH
 * for everything else. It stands before ip(8) in scripts that know nothing of graft, so
 * it looks at its arguments as ip(8) does, changes none of them, and links to nothing.
 *
 *	ip [OPTION...] g[raft] a[dd]|d[elete]|s[how] ...	graft add|del|show ...
 *	ip [OPTION...] g[raft] [help]				the usage, status 255
 *	anything else						ip, the next one
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config.h"

#define NETNS_DIR "/run/netns/"
/* Set to our pid by an ip of ours that executes one outside of PATH, against circles. */
#define MARK "GRAFT_IP"

enum {
	EXIT_USAGE = 255,
	EXIT_NO_PROGRAM = 127,
};

/* In the order ip(8) compares them: a cut down option is the first it begins. */
static const struct {
	const char *name;
	bool exact, takes_value;
} options[] = {
	{ "loops", .takes_value = true },
	{ "family", .takes_value = true },
	{ "4", .exact = true },
	{ "6", .exact = true },
	{ "0", .exact = true },
	{ "M", .exact = true },
	{ "B", .exact = true },
	{ "human-readable" },
	{ "iec" },
	{ "statistics" },
	{ "stats" },
	{ "details" },
	{ "resolve" },
	{ "oneline" },
	{ "timestamp" },
	{ "tshort" },
	{ "Version" },
	{ "force" },
	{ "batch", .takes_value = true },
	{ "brief" },
	{ "json" },
	{ "pretty" },
	{ "rcvbuf", .takes_value = true },
	{ "color" },
	{ "help" },
	{ "netns", .takes_value = true },
	{ "Numeric" },
	{ "all" },
	{ "echo" },
};

/* What stands before the object. */
struct request {
	const char *netns; /* or NULL */
	bool json;
	bool is_other; /* -batch, -Version, -help: no object is read */
	char **rest;   /* from the object on */
};

static bool begins(const char *whole, const char *part)
{
	return *part && !strncmp(whole, part, strlen(part));
}

/* Whether @name, from the command line, means options[i]. */
static bool is_option(size_t i, const char *name)
{
	size_t len = strlen(name);

	if (options[i].exact)
		return !strcmp(options[i].name, name);
	if (!strcmp(options[i].name, "color"))
		len = strcspn(name, "="); /* auto, always or never may follow */
	return len && !strncmp(options[i].name, name, len);
}

/* Return: whether all options are ones we know. */
static bool parse(char **argv, struct request *ret)
{
	char **at = argv + 1;

	for (; *at && (*at)[0] == '-'; at++) {
		const char *name = *at + 1, *option;
		size_t i = 0;

		if (!strcmp(*at, "--")) {
			at++;
			break;
		}
		while (i < ARRAY_SIZE(options) && !is_option(i, name + (*name == '-')))
			i++;
		if (i == ARRAY_SIZE(options) || (options[i].takes_value && !at[1]))
			return false;
		option = options[i].name;
		if (!strcmp(option, "batch") || !strcmp(option, "Version") ||
		    !strcmp(option, "help"))
			ret->is_other = true;
		else if (!strcmp(option, "json"))
			ret->json = true;
		else if (!strcmp(option, "netns"))
			ret->netns = at[1];
		at += options[i].takes_value;
	}
	ret->rest = at;
	return true;
}

/* --- the next ip ------------------------------------------------------------------- */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The next directory of *@path, as "DIRECTORY/ip". Return: false at the end. */
static bool next_candidate(const char **path, char *ret, size_t size)
{
	size_t len;

	if (!*path)
		return false;
	len = strcspn(*path, ":");
	snprintf(ret, size, "%.*s/ip", len ? (int)len : 1, len ? *path : ".");
	*path = (*path)[len] ? *path + len + 1 : NULL;
	return true;
}

/*
 * Executes the first ip of @path that is not this file. Only those behind the last place
 * of this file are tried when it is there, so that several such files are passed in turn.
 */
static void execute_next(const char *path, const struct stat *self, char **argv)
{
	char candidate[PATH_MAX];
	const char *from = path;
	struct stat is;

	for (const char *at = path; next_candidate(&at, candidate, sizeof(candidate));)
		if (stat(candidate, &is) == 0 && is_same_file(&is, self))
			from = at;
	while (next_candidate(&from, candidate, sizeof(candidate)))
		if (stat(candidate, &is) == 0 && S_ISREG(is.st_mode) &&
		    !is_same_file(&is, self))
			execv(candidate, argv);
}

static int be_next(char **argv)
{
	const char *path = getenv("PATH"), *mark = getenv(MARK);
	struct stat self;
	char pid[16];

	if (stat("/proc/self/exe", &self) < 0)
		memset(&self, 0, sizeof(self));
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	execute_next(path ? path : "", &self, argv);
	if (!mark || strcmp(mark, pid) != 0) {
		setenv(MARK, pid, 1);
		execute_next("/usr/sbin:/usr/bin:/sbin:/bin", &self, argv);
	}
	fprintf(stderr, "ip: no ip but graft's own is in PATH; iproute2 has it\n");
	return EXIT_NO_PROGRAM;
}

/* --- ip graft ------------------------------------------------------------------------
 */

static int usage(void)
{
	fputs("Usage: ip graft add NAME\n"
	      "          type { ipv4 | ipv6 } addr ADDR port PORT\n"
	      "          type unix path PATH\n"
	      "          [ netns { PID | NETNSNAME } ]\n"
	      "\n"
	      "       ip graft del NAME\n"
	      "\n"
	      "       ip graft show\n"
	      "\n"
	      "Where: NAME := STRING\n"
	      "       ADDR := { IPv4_ADDRESS | IPv6_ADDRESS }\n"
	      "       PORT := { 0..65535 | dynamic }\n"
	      "       PATH := STRING\n",
	      stderr);
	return EXIT_USAGE;
}

/* `ip -netns NAME`: from here on we are in there. */
static int enter_netns(const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s%s", *name == '/' ? "" : NETNS_DIR, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		fprintf(stderr, "Cannot open network namespace \"%s\": %s\n", name,
			strerror(errno));
		return -1;
	}
	if (setns(fd, CLONE_NEWNET) < 0) {
		fprintf(stderr, "setting the network namespace \"%s\" failed: %s\n", name,
			strerror(errno));
		close(fd);
		return -1;
	}
	return close(fd);
}

/* graft lies beside this file, or where it was installed to. */
static int be_graft(char **argv)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/graft"));

	if (n > 0) {
		path[n] = '\0';
		*strrchr(path, '/') = '\0';
		memcpy(path + strlen(path), "/graft", sizeof("/graft"));
		execv(path, argv);
	}
	execv(GRAFT_BINDIR "/graft", argv);
	execvp("graft", argv);
	fprintf(stderr, "ip graft: cannot execute " GRAFT_BINDIR "/graft: %s\n",
		strerror(errno));
	return EXIT_NO_PROGRAM;
}

static int graft(const struct request *request)
{
	char **words = request->rest + 1, **argv;
	const char *command = NULL;
	size_t n = 0;

	if (!*words || begins("help", *words))
		return usage();
	if (begins("add", *words))
		command = "add";
	else if (begins("delete", *words))
		command = "del";
	else if (begins("show", *words))
		command = "show";
	if (!command) {
		fprintf(stderr, "Command \"%s\" is unknown, try \"ip graft help\".\n",
			*words);
		return EXIT_USAGE;
	}
	while (words[n])
		n++;
	argv = calloc(n + 3, sizeof(*argv));
	if (!argv || (request->netns && enter_netns(request->netns) < 0))
		return EXIT_USAGE;
	n = 0;
	argv[n++] = (char *)"graft";
	argv[n++] = (char *)command;
	if (request->json && !strcmp(command, "show"))
		argv[n++] = (char *)"--json";
	while (*++words)
		argv[n++] = *words;
	return be_graft(argv);
}

int main(int argc, char **argv)
{
	struct request request = { 0 };

	if (argc < 1)
		return EXIT_USAGE;
	if (parse(argv, &request) && !request.is_other && *request.rest &&
	    begins("graft", *request.rest))
		return graft(&request);
	return be_next(argv);
}
