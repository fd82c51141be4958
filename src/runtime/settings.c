/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/process.h"
#include "runtime/complain.h"
#include "runtime/settings.h"

#define BLANKS " \t\n"

static int set_text(char **at, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*at);
	*at = copy;
	return 0;
}

static int set_bool(bool *at, const char *value)
{
	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return -EINVAL;
	*at = !strcmp(value, "yes");
	return 0;
}

static const char *const environment_words[] = {
	[ENVIRONMENT_NO] = "no",
	[ENVIRONMENT_NAMES] = "names",
	[ENVIRONMENT_YES] = "yes",
};
static const char *const labels_words[] = {
	[LABELS_NO] = "no",
	[LABELS_OWN] = "own",
	[LABELS_YES] = "yes",
};
static const char *const publish_words[] = {
	[PUBLISH_NO] = "no",
	[PUBLISH_POLICY] = "policy",
	[PUBLISH_ALL] = "all",
};

/* Return: the place of @value among @words, or -EINVAL. */
static int find_word(const char *const *words, size_t n, const char *value)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(value, words[i]))
			return (int)i;
	return -EINVAL;
}

static int set_environment(enum environment *at, const char *value)
{
	int word = find_word(environment_words, ARRAY_SIZE(environment_words), value);

	if (word < 0)
		return word;
	*at = (enum environment)word;
	return 0;
}

static int set_labels(enum labels *at, const char *value)
{
	int word = find_word(labels_words, ARRAY_SIZE(labels_words), value);

	if (word < 0)
		return word;
	*at = (enum labels)word;
	return 0;
}

static int set_publish(enum publish *at, const char *value)
{
	int word = find_word(publish_words, ARRAY_SIZE(publish_words), value);

	if (word < 0)
		return word;
	*at = (enum publish)word;
	return 0;
}

static int set(struct settings *settings, const char *key, const char *value)
{
	if (!strcmp(key, "backend"))
		return set_text(&settings->backend, value);
	if (!strcmp(key, "policies"))
		return set_text(&settings->policies, value);
	if (!strcmp(key, "log"))
		return set_text(&settings->log, value);
	if (!strcmp(key, "environment"))
		return set_environment(&settings->environment, value);
	if (!strcmp(key, "labels"))
		return set_labels(&settings->labels, value);
	if (!strcmp(key, "ports"))
		return set_publish(&settings->publish, value);
	if (!strcmp(key, "verbose"))
		return set_bool(&settings->is_verbose, value);
	return -EINVAL;
}

static int take_line(struct settings *settings, char *line)
{
	char *rest = NULL, *key, *value;

	line[strcspn(line, "#")] = '\0';
	key = strtok_r(line, BLANKS, &rest);
	if (!key)
		return 0;
	value = strtok_r(NULL, BLANKS, &rest);
	if (!value || strtok_r(NULL, BLANKS, &rest))
		return -EINVAL;
	return set(settings, key, value);
}

static int read_file(struct settings *settings)
{
	const char *told = getenv("GRAFT_RUNTIME_CONFIG");
	const char *path = told && *told ? told : SETTINGS_PATH;
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	char line[PATH_MAX + 64];
	int r = 0;

	if (!file && errno == ENOENT && path != told)
		return 0;
	if (!file) {
		r = -errno;
		complain("cannot read %s: %s", path, strerror(-r));
		return r;
	}
	for (int n = 1; r == 0 && fgets(line, sizeof(line), file); n++) {
		r = take_line(settings, line);
		if (r < 0)
			complain("%s:%d: %s", path, n,
				 r == -EINVAL ? "not a setting and its value"
					      : strerror(-r));
	}
	return r;
}

/* One that is a name of ours would start us again and again. */
static bool is_backend(const char *path)
{
	struct stat self, other;

	if (access(path, X_OK) < 0 || stat(path, &other) < 0 || !S_ISREG(other.st_mode))
		return false;
	return stat("/proc/self/exe", &self) < 0 || self.st_ino != other.st_ino ||
	       self.st_dev != other.st_dev;
}

static bool find_in_path(const char *name, char path[PATH_MAX])
{
	const char *at = getenv("PATH");

	if (!at || !*at)
		at = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	while (*at) {
		size_t size = strcspn(at, ":");
		int n = snprintf(path, PATH_MAX, "%.*s/%s", (int)size, at, name);

		if (size && n < PATH_MAX && is_backend(path))
			return true;
		at += size;
		at += *at == ':';
	}
	return false;
}

static int find_backend(struct settings *settings)
{
	const char *told = getenv("GRAFT_RUNTIME_BACKEND");
	char path[PATH_MAX];

	if (told && *told && set_text(&settings->backend, told) < 0)
		return -ENOMEM;
	if (!settings->backend) {
		if (find_in_path("runc", path) || find_in_path("crun", path))
			return set_text(&settings->backend, path);
		complain("neither runc nor crun is in PATH");
		return -ENOENT;
	}
	if (!strchr(settings->backend, '/') && find_in_path(settings->backend, path))
		return set_text(&settings->backend, path);
	if (is_backend(settings->backend))
		return 0;
	complain("%s is no runtime that could be wrapped", settings->backend);
	return -ENOENT;
}

/* Root's is in /run. A user namespace's root may be able to write there, too, but what is
 * in it may be root's. */
static int find_state(struct settings *settings)
{
	const char *told = getenv("GRAFT_RUNTIME_STATE"),
		   *own = getenv("XDG_RUNTIME_DIR");
	char path[PATH_MAX];

	if (told && *told)
		return set_text(&settings->state, told);
	if (process_is_real_root() || !own || !*own)
		return set_text(&settings->state, SETTINGS_STATE);
	if (snprintf(path, sizeof(path), "%s/graft/containers", own) >= PATH_MAX)
		return -ENAMETOOLONG;
	return set_text(&settings->state, path);
}

int settings_read(struct settings *ret)
{
	int r;

	*ret = (struct settings){
		.environment = ENVIRONMENT_NAMES,
		.labels = LABELS_OWN,
		.publish = PUBLISH_POLICY,
	};
	r = set_text(&ret->policies, SETTINGS_POLICIES);
	if (r == 0)
		r = read_file(ret);
	if (r == 0)
		r = find_backend(ret);
	if (r == 0)
		r = find_state(ret);
	return r;
}

void settings_release(struct settings *settings)
{
	free(settings->backend);
	free(settings->policies);
	free(settings->state);
	free(settings->log);
}
