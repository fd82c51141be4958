/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft install, uninstall, status: graft-runtime in the configuration of a container
 * engine. Here is the command line; an engine is in a file of its name.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ctl/command.h"
#include "ctl/install.h"
#include "ctl/json.h"

static const struct engine {
	const char *name, *path;
	const char *own; /* an ordinary user's; NULL: he has none */
	int (*act)(struct install *install);
} engines[] = {
	{ "docker", INSTALL_DOCKER, INSTALL_OWN_DOCKER, install_docker },
	{ "containerd", INSTALL_CONTAINERD, NULL, install_containerd },
	{ "podman", INSTALL_PODMAN, INSTALL_OWN_PODMAN, install_podman },
	/* Another name: a node's engine, where it is containerd. */
	{ "k8s", INSTALL_CONTAINERD, NULL, install_containerd },
	/* No file of runtimes. */
	{ "nerdctl", NULL, NULL, install_nerdctl },
};
#define N_ENGINES (ARRAY_SIZE(engines) - 2)

static const struct engine *find_engine(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		if (!strcmp(engines[i].name, name))
			return &engines[i];
	return NULL;
}

/* Return: @path, or NULL: there is no home. */
static const char *find_own(const char *own, char path[PATH_MAX])
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n;

	if (config && *config == '/')
		n = snprintf(path, PATH_MAX, "%s/%s", config, own);
	else if (home && *home == '/')
		n = snprintf(path, PATH_MAX, "%s/.config/%s", home, own);
	else
		return NULL;
	return n < PATH_MAX ? path : NULL;
}

static int act(const struct engine *engine, struct install *install)
{
	struct install one = *install;
	char path[PATH_MAX];

	one.engine = engine->act == install_containerd ? "containerd" : engine->name;
	if (!one.path && engine->own && getuid() != 0)
		one.path = find_own(engine->own, path);
	/* Who has none of his own may ask about the host's. */
	if (one.path == path && one.what == STATUS && access(path, F_OK) < 0)
		one.path = NULL;
	if (!one.path)
		one.path = engine->path;
	return engine->act(&one);
}

/* Without an engine: a line of each, and whether one of them has it. */
static int status(const struct engine *engine, struct install *install)
{
	int r = 1;

	if (engine)
		r = act(engine, install);
	for (size_t i = 0; !engine && i < N_ENGINES; i++)
		if (act(&engines[i], install) == 0)
			r = 0;
	if (install->json)
		json_show(install->json);
	return r;
}

static void usage(enum install_what what, FILE *to)
{
	static const char *const first[] = {
		[INSTALL] =
			"Usage: graft install [OPTION...] ENGINE\n\n"
			"Registers graft-runtime, as the runtime graft, with ENGINE:\n\n"
			"  docker      docker run --runtime=graft\n"
			"  containerd  its CRI plugin, for a RuntimeClass with handler "
			"graft\n"
			"  k8s         the same\n"
			"  podman      podman run --runtime graft\n"
			"  nerdctl     has no file for it: nerdctl run --runtime PATH\n\n"
			"An ordinary user's docker and podman are rootless, with files of his.\n\n",
		[UNINSTALL] =
			"Usage: graft uninstall [OPTION...] ENGINE\n\n"
			"Takes it out again: of docker, containerd, k8s, podman or nerdctl.\n\n",
		[STATUS] =
			"Usage: graft status [OPTION...] [ENGINE]\n\n"
			"Says whether it is registered, with docker, containerd, k8s, podman "
			"or nerdctl,\nor with which. Exit status 0 when it is.\n\n",
	};

	fprintf(to,
		"%s"
		"  -c, --config FILE   instead of the engine's own\n"
		"%s"
		"  -h, --help          show this help\n",
		first[what],
		what == INSTALL
			? "  -r, --runtime PATH  instead of graft-runtime beside graft\n"
		: what == STATUS ? "      --json          print an array of objects\n"
				 : "");
}

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, 'j' },
	{ "runtime", required_argument, NULL, 'r' },
	{ 0 },
};

/* A file without an engine is Docker's, as it was when there was no other. */
static int dispatch(enum install_what what, struct install *install, int n, char **words)
{
	const struct engine *engine = n == 1 ? find_engine(words[0]) : NULL;

	if (n == 0 && what == STATUS && install->path)
		engine = &engines[0];
	if (n > 1 || (!engine && (n == 1 || what != STATUS))) {
		usage(what, stderr);
		return EXIT_MISUSE;
	}
	return what == STATUS ? status(engine, install) : act(engine, install);
}

static int run(enum install_what what, int argc, char **argv)
{
	struct install install = { .what = what };
	int option;

	while ((option = getopt_long(argc, argv, what == INSTALL ? "c:r:h" : "c:h",
				     options, NULL)) != -1) {
		if (option == 'h') {
			usage(what, stdout);
			return 0;
		}
		if (option == 'c') {
			install.path = optarg;
		} else if (option == 'r' && what == INSTALL) {
			snprintf(install.runtime, sizeof(install.runtime), "%s", optarg);
		} else if (option == 'j' && what == STATUS) {
			if (!install.json)
				install.json = json_object_new_array();
		} else {
			usage(what, stderr);
			return EXIT_MISUSE;
		}
	}
	return dispatch(what, &install, argc - optind, argv + optind);
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
