/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Podman reads, after containers.conf, each file of containers.conf.d: one of them is
 * ours as a whole, and is known by its first line.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/toml_text.h"
#include "ctl/install.h"

#define FIRST_LINE "# Written by graft install podman.\n"
#define RUNTIME    "engine" TOML_THEN "runtimes" TOML_THEN "graft"

/* graft = ["PATH"] */
static int note_runtime(void *context, const struct toml_item *item)
{
	char *is = context;
	const char *start;
	size_t size;

	if (item->kind != TOML_VALUE || strcmp(item->path, RUNTIME) != 0)
		return 0;
	start = item->value + strspn(item->value, "[ \t\"");
	size = strcspn(start, "\"\n");
	if (size < PATH_MAX)
		memcpy(is, start, size);
	return 0;
}

static int enter(struct install *install, const char *is)
{
	_cleanup_free_ char *text = NULL;
	int r;

	if (install_find_runtime(install) != 0)
		return 1;
	if (!strcmp(is, install->runtime)) {
		printf("%s: the runtime graft is registered already\n", install->path);
		return 0;
	}
	if (strpbrk(install->runtime, "\"\\\n"))
		return install_complain(install,
					"a path with \", \\ or a line's end in it "
					"cannot be written there");
	if (asprintf(&text, FIRST_LINE "[engine.runtimes]\ngraft = [\"%s\"]\n",
		     install->runtime) < 0)
		return install_complain(install, strerror(ENOMEM));
	r = install_make_directories(install->path);
	if (r == 0)
		r = install_replace(install->path, text);
	if (r < 0)
		return install_complain(install, strerror(-r));
	printf("%s: the runtime graft is registered: podman run --runtime graft\n",
	       install->path);
	return 0;
}

static int leave(const struct install *install)
{
	if (unlink(install->path) < 0)
		return install_complain(install, strerror(errno));
	printf("%s: gone, and the runtime graft with it\n", install->path);
	return 0;
}

int install_podman(struct install *install)
{
	_cleanup_free_ char *text = NULL;
	char is[PATH_MAX] = "";
	size_t line;
	int r = install_read(install->path, &text);

	if (r < 0 && r != -ENOENT)
		return install_complain(install, strerror(-r));
	if (r == 0 && toml_text_walk(text, note_runtime, is, &line) < 0)
		*is = '\0';
	if (install->what == STATUS)
		return install_status(install, *is ? is : NULL);
	if (r == 0 && strncmp(text, FIRST_LINE, strlen(FIRST_LINE)) != 0)
		return install_complain(install, "not written by graft install; it was "
						 "left alone");
	if (install->what == INSTALL)
		return enter(install, is);
	if (r == 0)
		return leave(install);
	printf("%s: the runtime graft is not registered\n", install->path);
	return 0;
}
