/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * A runtime of containerd's CRI plugin is a table of its config.toml, which may stand
 * anywhere in it. So ours is put at the end, and everything before it stays as it is:
 *
 *	version = 2 # for the runtime graft	only where there was nothing at all
 *
 *	[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc] # for the ...
 *						only where there were no runtimes: with
 *						one in the file, runc is not there by
 *						itself any more
 *
 *	[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.graft]
 *	  ...
 *	  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.graft.options]
 *
 * with an empty line before it, and a line's end after it if the file ended with one: so
 * it can be taken out without a trace. It is known by its name, not by who wrote it, as
 * tools that write the file anew drop comments. A table that is there already gets
 * another BinaryName, and keeps the rest.
 *
 * TOML lets a table be written as a value, or by dotted keys, and then nothing can be
 * added to it elsewhere: such a file is refused, as is one of version 1, in which the
 * plugins have other names. Files that it imports are not looked at.
 *
 * containerd 1.6 and 1.7 read version 2, containerd 2 reads 3, whose CRI plugin has
 * another name.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ctl/install_config.h"

#define MARK         "# for the runtime graft"
#define VERSION_LINE "version = 2 " MARK "\n"
#define WHERE_MAX    160

/* The text, with what is in @place replaced. NULL: no memory. */
static char *splice(const char *text, const struct place *place, const char *with)
{
	char *new;

	return asprintf(&new, "%.*s%s%s", (int)(place->start - text), text, with,
			place->end) < 0
		       ? NULL
		       : new;
}

static int put(const struct install *install, const char *text)
{
	int r = -ENOMEM;

	if (text && !*text)
		r = unlink(install->path) < 0 ? -errno : 0;
	else if (text)
		r = install_replace(install->path, text);
	if (r < 0)
		return install_complain(install, strerror(-r));
	printf("%s: the runtime graft is %s; make containerd read it: "
	       "systemctl restart containerd\n",
	       install->path, install->what == INSTALL ? "registered" : "gone");
	return 0;
}

/* What containerd takes for granted in a file without runtimes, and only there. */
static char *runc_table(const struct containerd_config *config)
{
	char *table;

	return asprintf(&table,
			"[plugins.\"%s\".containerd.runtimes.runc] " MARK "\n"
			"  runtime_type = \"io.containerd.runc.v2\"\n",
			containerd_plugin(config)) < 0
		       ? NULL
		       : table;
}

static char *graft_table(const struct install *install,
			 const struct containerd_config *config)
{
	char name[WHERE_MAX], systemd[64] = "", *table;

	snprintf(name, sizeof(name), "plugins.\"%s\".containerd.runtimes.graft",
		 containerd_plugin(config));
	if (config->systemd.start)
		snprintf(systemd, sizeof(systemd), "    SystemdCgroup = %.*s\n",
			 (int)(config->systemd.end - config->systemd.start),
			 config->systemd.start);
	if (asprintf(&table,
		     "[%s]\n  runtime_type = \"io.containerd.runc.v2\"\n"
		     "  pod_annotations = [\"graft.*\"]\n"
		     "  container_annotations = [\"graft.*\"]\n\n"
		     "  [%s.options]\n%s    BinaryName = \"%s\"",
		     name, name, systemd, install->runtime) < 0)
		return NULL;
	return table;
}

static char *with_table(const struct install *install,
			const struct containerd_config *config, const char *text)
{
	_cleanup_free_ char *graft = graft_table(install, config),
			    *runc = runc_table(config);
	size_t size = strlen(text);
	bool ends = !size || text[size - 1] == '\n';
	char *new;

	if (!graft || !runc)
		return NULL;
	if (asprintf(&new, "%s%s%s%s%s\n%s%s", text, config->n_items || ends ? "" : "\n",
		     config->n_items ? "" : VERSION_LINE,
		     config->has_runtimes ? "" : "\n", config->has_runtimes ? "" : runc,
		     graft, ends ? "\n" : "") < 0)
		return NULL;
	return new;
}

static int change(const struct install *install, const struct containerd_config *config,
		  const char *text)
{
	_cleanup_free_ char *value = NULL, *new = NULL;
	char is[PATH_MAX];

	if (!config->binary.start)
		return containerd_complain(install, config->graft_line,
					   "a runtime graft without options.BinaryName is "
					   "not ours; the file was left alone");
	if (!containerd_has(&config->annotations, "\"graft.*\"") &&
	    !containerd_has(&config->annotations, "'graft.*'"))
		return containerd_complain(install, config->graft_line,
					   "this runtime graft has no pod_annotations "
					   "[\"graft.*\"], so no policy comes through");
	containerd_registered(config, is);
	if (!strcmp(is, install->runtime)) {
		printf("%s: the runtime graft is registered already\n", install->path);
		return 0;
	}
	if (asprintf(&value, "\"%s\"", install->runtime) >= 0)
		new = splice(text, &config->binary, value);
	return put(install, new);
}

static int enter(struct install *install, const struct containerd_config *config,
		 const char *text)
{
	_cleanup_free_ char *new = NULL;

	if (install_find_runtime(install) != 0)
		return 1;
	if (strpbrk(install->runtime, "\"\\\n"))
		return install_complain(install,
					"a path with \", \\ or a line's end in it "
					"cannot be written there");
	if (containerd_has(&config->disabled, containerd_plugin(config)))
		return install_complain(install, "disabled_plugins has the CRI plugin, "
						 "whose runtimes these are");
	if (config->graft.start)
		return change(install, config, text);
	new = with_table(install, config, text);
	return put(install, new);
}

/* Takes out @place, and the end of the line before it, or an empty line. */
static char *without(const char *text, const struct place *place)
{
	struct place whole = *place;
	bool ends = place->end[-1] == '\n';

	if (whole.start > text && whole.start[-1] == '\n' &&
	    (!ends || whole.start == text + 1 || whole.start[-2] == '\n'))
		whole.start--;
	return splice(text, &whole, "");
}

static bool is_ours(const struct place *place, const char *text)
{
	return place->start && text &&
	       (size_t)(place->end - place->start) == strlen(text) &&
	       !memcmp(place->start, text, strlen(text));
}

/* What with_table() put in for the sake of ours, and nobody has changed. *text is
 * replaced. Return: whether there was something. */
static bool take_out_rest(char **text)
{
	struct containerd_config rest;
	_cleanup_free_ char *runc = NULL, *before = steal_pointer(*text);
	bool had_runc;

	containerd_read_again(before, &rest);
	runc = runc_table(&rest);
	had_runc = !rest.has_others && is_ours(&rest.runc, runc);
	*text = had_runc ? without(before, &rest.runc) : strdup(before);
	if (!*text)
		return had_runc;
	containerd_read_again(*text, &rest);
	if (rest.n_items == 1 && is_ours(&rest.version_line, VERSION_LINE)) {
		free(before);
		before = *text;
		*text = splice(before, &rest.version_line, "");
		return true;
	}
	return had_runc;
}

static int leave(const struct install *install, const struct containerd_config *config,
		 const char *text)
{
	_cleanup_free_ char *new = NULL;

	if (!config->graft.start) {
		printf("%s: the runtime graft is not registered\n", install->path);
		return 0;
	}
	if (containerd_has(&config->standard, "graft"))
		return install_complain(install, "graft is the default_runtime_name; "
						 "change that first");
	new = without(text, &config->graft);
	/* The file had no end of a line at its end. */
	if (new &&take_out_rest(&new) && new &&*new && config->graft.end[-1] != '\n')
		new[strlen(new) - 1] = '\0';
	return put(install, new);
}

int install_containerd(struct install *install)
{
	_cleanup_free_ char *read = NULL;
	struct containerd_config config = { .n_items = 0 };
	char is[PATH_MAX];
	const char *text;
	int r = install_read(install->path, &read);

	if (r < 0 && r != -ENOENT)
		return install_complain(install, strerror(-r));
	text = read ? read : "";
	r = containerd_read(install, text, &config);
	if (r != 0)
		return r;
	if (install->what == INSTALL)
		return enter(install, &config, text);
	if (install->what == UNINSTALL)
		return leave(install, &config, text);
	containerd_registered(&config, is);
	return install_status(install, *is ? is : NULL);
}
