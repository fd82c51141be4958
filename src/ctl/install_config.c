/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/toml_text.h"
#include "ctl/install_config.h"

#define IN_RUNTIMES TOML_THEN "runtimes"
#define WHERE_MAX   160

const char *containerd_plugin(const struct containerd_config *config)
{
	return config->version == 3 ? "io.containerd.cri.v1.runtime"
				    : "io.containerd.grpc.v1.cri";
}

/* plugins.PLUGIN.containerd@below, as a path. */
static void path_of(const struct containerd_config *config, const char *below,
		    char path[WHERE_MAX])
{
	snprintf(path, WHERE_MAX, "plugins" TOML_THEN "%s" TOML_THEN "containerd%s",
		 containerd_plugin(config), below);
}

static bool is_at(const struct containerd_config *config, const struct toml_item *item,
		  const char *below)
{
	char path[WHERE_MAX];

	path_of(config, below, path);
	return !strcmp(item->path, path);
}

/* Is the first @size of @path the path @whole, or a table above it? */
static bool is_above(const char *path, size_t size, const char *whole)
{
	return size <= strlen(whole) && !strncmp(path, whole, size) &&
	       (!whole[size] || whole[size] == *TOML_THEN);
}

/* Does it make one of the tables above ours, or ours, in a way that closes it? */
static bool is_closed(const struct toml_item *item, const char *graft)
{
	size_t size = strlen(item->path);
	const char *last = strrchr(item->path, *TOML_THEN);

	if (item->kind == TOML_TABLE)
		return false;
	if (is_above(item->path, size, graft))
		return true;
	/* a.b.c = 1 makes b, and a. */
	while (item->kind == TOML_VALUE && last &&
	       (size_t)(last - item->path) > item->table_size) {
		size = (size_t)(last - item->path);
		if (is_above(item->path, size, graft))
			return true;
		last = memrchr(item->path, *TOML_THEN, size);
	}
	return false;
}

static struct place value_of(const struct toml_item *item)
{
	return (struct place){ item->value, item->end };
}

static void note_root(struct containerd_config *config, const struct toml_item *item)
{
	if (!strcmp(item->path, "version")) {
		config->version = (unsigned int)strtoul(item->value, NULL, 10);
		config->version_line = (struct place){ item->start, item->next };
	} else if (!strcmp(item->path, "disabled_plugins")) {
		config->disabled = value_of(item);
	}
}

static int note_graft(struct containerd_config *config, const struct toml_item *item)
{
	if (!config->graft.start) {
		config->graft.start = item->start;
		config->graft_line = item->line;
	} else if (!config->is_in_graft) {
		config->odd_line = item->line;
		return 1;
	}
	config->is_in_graft = true;
	config->graft.end = item->next;
	if (item->kind != TOML_VALUE)
		return 0;
	if (is_at(config, item,
		  IN_RUNTIMES TOML_THEN "graft" TOML_THEN "options" TOML_THEN
					"BinaryName"))
		config->binary = value_of(item);
	if (is_at(config, item,
		  IN_RUNTIMES TOML_THEN "graft" TOML_THEN "pod_annotations"))
		config->annotations = value_of(item);
	return 0;
}

static void note_runtime(struct containerd_config *config, const struct toml_item *item)
{
	char runtimes[WHERE_MAX], runc[WHERE_MAX];

	path_of(config, IN_RUNTIMES, runtimes);
	path_of(config, IN_RUNTIMES TOML_THEN "runc", runc);
	if (is_above(runtimes, strlen(runtimes), item->path) &&
	    strlen(item->path) > strlen(runtimes))
		config->has_runtimes = true;
	else
		return;
	if (!is_above(runc, strlen(runc), item->path)) {
		config->has_others = true;
		return;
	}
	if (!config->runc.start)
		config->runc.start = item->start;
	config->runc.end = item->next;
}

static int note(void *context, const struct toml_item *item)
{
	struct containerd_config *config = context;
	char graft[WHERE_MAX];

	config->n_items++;
	if (item->kind == TOML_VALUE)
		note_root(config, item);
	path_of(config, IN_RUNTIMES TOML_THEN "graft", graft);
	if (is_closed(item, graft)) {
		config->odd_line = item->line;
		return 1;
	}
	if (is_above(graft, strlen(graft), item->path))
		return note_graft(config, item);
	config->is_in_graft = false;
	note_runtime(config, item);
	if (item->kind != TOML_VALUE)
		return 0;
	if (is_at(config, item, TOML_THEN "default_runtime_name"))
		config->standard = value_of(item);
	if (is_at(config, item,
		  IN_RUNTIMES TOML_THEN "runc" TOML_THEN "options" TOML_THEN
					"SystemdCgroup"))
		config->systemd = value_of(item);
	return 0;
}

int containerd_complain(const struct install *install, size_t line, const char *sentence)
{
	fprintf(stderr, "graft: %s:%zu: %s\n", install->path, line, sentence);
	return 1;
}

bool containerd_has(const struct place *place, const char *text)
{
	return place->start && memmem(place->start, (size_t)(place->end - place->start),
				      text, strlen(text));
}

int containerd_read(const struct install *install, const char *text,
		    struct containerd_config *ret)
{
	size_t line;
	int r = toml_text_walk(text, note, ret, &line);

	if (r < 0)
		return containerd_complain(install, line,
					   "not understood; the file was left alone");
	if (r > 0)
		return containerd_complain(
			install, ret->odd_line,
			"runtimes have to be tables of their own, each in "
			"one place; the file was left alone");
	if (ret->n_items && ret->version != 2 && ret->version != 3)
		return install_complain(install,
					"it does not say `version = 2` or 3; `containerd "
					"config dump` prints one that does");
	return 0;
}

void containerd_read_again(const char *text, struct containerd_config *ret)
{
	size_t line;

	*ret = (struct containerd_config){ .n_items = 0 };
	toml_text_walk(text, note, ret, &line);
}

void containerd_registered(const struct containerd_config *config, char path[PATH_MAX])
{
	int size = config->binary.start
			   ? (int)(config->binary.end - config->binary.start) - 2
			   : 0;

	snprintf(path, PATH_MAX, "%.*s", size > 0 ? size : 0,
		 size > 0 ? config->binary.start + 1 : "");
}
