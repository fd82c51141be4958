/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Docker's daemon.json: one member more, and every other byte as it was.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json_text.h"
#include "ctl/install.h"

#define EMPTY "{}\n"

static const char *const place[] = { "runtimes", "graft" };

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

static int put(const struct install *install, char *text, int r)
{
	if (r == 0 && install->what == INSTALL)
		r = install_make_directories(install->path);
	if (r == 0)
		r = install_replace(install->path, text);
	free(text);
	if (r < 0)
		return install_complain(install, r == -EINVAL
							 ? "\"runtimes\" is no object"
							 : strerror(-r));
	printf("%s: the runtime graft is %s\n", install->path,
	       install->what == UNINSTALL
		       ? "gone; a dockerd that runs forgets it when it is restarted"
	       : getuid() == 0
		       ? "registered; make dockerd read it: systemctl reload docker"
		       : "registered; make dockerd read it: systemctl --user restart "
			 "docker");
	return 0;
}

static int enter(struct install *install, const char *text, const char *is)
{
	struct json_object *path, *value;
	char *new = NULL;
	int r;

	if (install_find_runtime(install) != 0)
		return 1;
	if (is && !strcmp(is, install->runtime)) {
		printf("%s: the runtime graft is registered already\n", install->path);
		return 0;
	}
	value = json_object_new_object();
	path = json_object_new_string(install->runtime);
	json_object_object_add(value, "path", path);
	r = json_text_set(text, place, 2,
			  json_object_to_json_string_ext(
				  value, JSON_C_TO_STRING_PLAIN |
						 JSON_C_TO_STRING_NOSLASHESCAPE),
			  &new);
	json_object_put(value);
	return put(install, new, r);
}

static int leave(struct install *install, const char *text, const char *is,
		 struct json_object *config)
{
	const char *standard = text_of(config, "default-runtime");
	char *new = NULL;
	int r;

	if (!is) {
		printf("%s: the runtime graft is not registered\n", install->path);
		return 0;
	}
	if (standard && !strcmp(standard, place[1]))
		return install_complain(install, "graft is the default-runtime; change "
						 "that first");
	r = json_text_remove(text, place, 2, &new);
	return put(install, new, r);
}

/* dockerd takes an empty file for an empty object. */
static const char *or_empty(const char *text)
{
	return text && text[strspn(text, " \t\r\n")] ? text : EMPTY;
}

int install_docker(struct install *install)
{
	_cleanup_free_ char *read = NULL;
	struct json_object *config;
	const char *is, *text;
	int r = install_read(install->path, &read);

	if (r < 0 && r != -ENOENT)
		return install_complain(install, strerror(-r));
	text = or_empty(read);
	config = json_tokener_parse(text);
	if (!json_object_is_type(config, json_type_object)) {
		json_object_put(config);
		return install_complain(install, "not a JSON object; it was left alone");
	}
	is = registered(config);
	if (install->what == INSTALL)
		r = enter(install, text, is);
	else if (install->what == UNINSTALL)
		r = leave(install, text, is, config);
	else
		r = install_status(install, is);
	json_object_put(config);
	return r;
}
