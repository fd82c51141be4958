/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Engines and hooks read the file that they wrote, and tools compare it, so everything
 * but the profile stays byte for byte: the place of linux.seccomp is looked for in the
 * text, which json-c has found to be JSON before, and the result is read once more and
 * compared.
 *
 * Runtimes read the file once, when they create the container, and keep what they need.
 * Then it is put back: the very file, with its times and owner, for it was only given
 * another name meanwhile:
 *
 *				written	linked	renamed	put back
 *	config.json		E	E	ours	E
 *	.config.json.graft	-	E	E	-
 *	.config.json.graft.new	ours	ours	-	-
 *
 * E is the engine's, and at no time anything else has the second name. If everybody
 * dies in between, the next create in this bundle puts back what has it, and removes the
 * third, before anything else.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/json_text.h"
#include "runtime/bundle.h"
#include "runtime/complain.h"

#define KEPT_MAX 300

static void other_names(const struct bundle *bundle, char kept[KEPT_MAX],
			char new[KEPT_MAX])
{
	snprintf(kept, KEPT_MAX, ".%.255s.graft", bundle->name);
	snprintf(new, KEPT_MAX, ".%.255s.graft.new", bundle->name);
}

void bundle_put_back(const struct bundle *bundle)
{
	char kept[KEPT_MAX], new[KEPT_MAX];

	other_names(bundle, kept, new);
	unlinkat(bundle->directory, new, 0);
	/* Where both are one file nothing is renamed, and both names stay. */
	if (renameat(bundle->directory, kept, bundle->directory, bundle->name) == 0)
		unlinkat(bundle->directory, kept, 0);
}

static int read_text(struct bundle *bundle)
{
	_cleanup_fd_ int fd =
		openat(bundle->directory, bundle->name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > BUNDLE_MAX)
		return -EFBIG;
	bundle->text = malloc((size_t)st.st_size + 1);
	if (!bundle->text)
		return -ENOMEM;
	n = fd_read_all(fd, bundle->text, (size_t)st.st_size);
	if (n < 0)
		return (int)n;
	bundle->text[n] = '\0';
	bundle->size = (size_t)n;
	return 0;
}

static struct json_object *parse(const char *text, size_t size)
{
	struct json_tokener *tokener = json_tokener_new_ex(64);
	struct json_object *object;

	if (!tokener)
		return NULL;
	object = json_tokener_parse_ex(tokener, text, (int)size);
	if (json_tokener_get_error(tokener) != json_tokener_success ||
	    !json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tokener);
	return object;
}

static int open_parts(struct bundle *bundle, const char *directory, const char *config)
{
	_cleanup_free_ char *path = NULL;
	char *slash;
	int r;

	if (!config)
		config = "config.json";
	/* crun takes a relative --config from the bundle. */
	if (asprintf(&path, "%s/%s",
		     config[0] == '/' ? ""
		     : directory      ? directory
				      : ".",
		     config) < 0)
		return -ENOMEM;
	slash = strrchr(path, '/');
	*slash = '\0';
	bundle->name = strdup(slash + 1);
	if (!bundle->name)
		return -ENOMEM;
	bundle->directory = open(*path ? path : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (bundle->directory < 0)
		return -errno;
	bundle_put_back(bundle);
	r = read_text(bundle);
	if (r < 0)
		return r;
	bundle->config = parse(bundle->text, bundle->size);
	return bundle->config ? 0 : -EINVAL;
}

int bundle_open(struct bundle *ret, const char *directory, const char *config)
{
	int r;

	*ret = (struct bundle){ .directory = -1 };
	r = open_parts(ret, directory, config);
	if (r < 0) {
		complain("cannot read %s of the bundle %s: %s",
			 config ? config : "config.json", directory ? directory : ".",
			 r == -EINVAL ? "not JSON" : strerror(-r));
		bundle_release(ret);
	}
	return r;
}

void bundle_forget(struct bundle *bundle)
{
	json_object_put(bundle->config);
	free(bundle->text);
	bundle->config = NULL;
	bundle->text = NULL;
	bundle->size = 0;
}

void bundle_release(struct bundle *bundle)
{
	bundle_forget(bundle);
	free(bundle->name);
	bundle->directory = fd_close(bundle->directory);
}

/* --- the text --- */

/* Is the text what was wanted, and nothing else? */
static bool is_right(const struct bundle *bundle, struct json_object *profile,
		     const char *text, size_t size)
{
	struct json_object *is = parse(text, size), *was = NULL;
	struct json_object *is_linux = json_object_object_get(is, "linux"), *was_linux;
	bool right;

	if (!is || json_object_deep_copy(bundle->config, &was, NULL) < 0) {
		json_object_put(is);
		return false;
	}
	was_linux = json_object_object_get(was, "linux");
	right = json_object_equal(json_object_object_get(is_linux, "seccomp"), profile);
	json_object_object_del(is_linux, "seccomp");
	json_object_object_del(was_linux, "seccomp");
	right = right && json_object_equal(is, was);
	json_object_put(is);
	json_object_put(was);
	return right;
}

int bundle_edit(const struct bundle *bundle, struct json_object *profile, char **ret_text,
		size_t *ret_size)
{
	_cleanup_free_ char *text = NULL;
	const char *json =
		json_object_to_json_string_ext(profile,
					       JSON_C_TO_STRING_PLAIN |
						       JSON_C_TO_STRING_NOSLASHESCAPE);
	static const char *const place[] = { "linux", "seccomp" };
	int r;

	if (!json)
		return -ENOMEM;
	if (strlen(bundle->text) != bundle->size)
		return -EINVAL;
	r = json_text_set(bundle->text, place, ARRAY_SIZE(place), json, &text);
	if (r < 0)
		return r;
	if (!is_right(bundle, profile, text, strlen(text)))
		return -EINVAL;
	*ret_size = strlen(text);
	*ret_text = steal_pointer(text);
	return 0;
}

/* --- the file --- */

static int write_new(const struct bundle *bundle, const char *new, const char *text,
		     size_t size)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;
	ssize_t n;

	if (fstatat(bundle->directory, bundle->name, &st, 0) < 0)
		return -errno;
	unlinkat(bundle->directory, new, 0);
	fd = openat(bundle->directory, new,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	n = fd_write_all(fd, text, size);
	if (n < 0)
		return (int)n;
	if (fchown(fd, st.st_uid, st.st_gid) < 0 || fchmod(fd, st.st_mode & 07777) < 0)
		return -errno;
	return 0;
}

int bundle_swap(const struct bundle *bundle, const char *text, size_t size)
{
	char kept[KEPT_MAX], new[KEPT_MAX];
	int directory = bundle->directory;
	int r;

	other_names(bundle, kept, new);
	r = write_new(bundle, new, text, size);
	if (r == 0 && linkat(directory, bundle->name, directory, kept, 0) < 0)
		r = -errno;
	if (r == 0 && renameat(directory, new, directory, bundle->name) < 0) {
		r = -errno;
		unlinkat(directory, kept, 0);
	}
	if (r < 0) {
		unlinkat(directory, new, 0);
		complain("cannot put the listener into %s of the bundle: %s",
			 bundle->name, strerror(-r));
	}
	return r;
}
