/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/process.h"
#include "runtime/command.h"
#include "runtime/complain.h"
#include "runtime/door.h"
#include "runtime/executed.h"
#include "runtime/find.h"
#include "runtime/settings.h"

/* Return: as find_danger(), of the process that @path describes. */
static const char *danger_of_file(const char *path)
{
	struct json_object *process = json_object_from_file(path);
	struct json_object *config = json_object_new_object();
	const char *danger = NULL;

	if (process && config) {
		json_object_object_add(config, "process", json_object_get(process));
		danger = find_danger(config);
	}
	json_object_put(config);
	json_object_put(process);
	return danger;
}

/* What runtimes take for one: with the prefix or without, in any case. */
static const char *danger_of_capability(const char *name)
{
	static const char *const dangers[] = { "NET_ADMIN", "SYS_ADMIN" };
	static const char *const names[] = { "CAP_NET_ADMIN", "CAP_SYS_ADMIN" };

	if (!strncasecmp(name, "CAP_", 4))
		name += 4;
	for (size_t i = 0; i < ARRAY_SIZE(dangers); i++)
		if (!strcasecmp(name, dangers[i]))
			return names[i];
	return NULL;
}

/* The value of option @name or @letter at @argv, or NULL. */
static const char *value_of(char **argv, const char *name, char letter)
{
	const char *word = *argv;
	size_t size = strlen(name);

	if (!strncmp(word, name, size) && word[size] == '=')
		return word + size + 1;
	if (!strcmp(word, name) || (word[0] == '-' && word[1] == letter && !word[2]))
		return argv[1];
	if (word[0] == '-' && word[1] == letter)
		return word + 2 + (word[2] == '=');
	return NULL;
}

static const char *danger_at(char **argv)
{
	const char *file = value_of(argv, "--process", 'p');
	const char *capability = value_of(argv, "--cap", 'c');

	if (file)
		return danger_of_file(file);
	return capability ? danger_of_capability(capability) : NULL;
}

int executed_check(const struct settings *settings, const struct command *command)
{
	const char *danger = NULL;

	if (!process_is_real_root())
		return 0;
	/* What comes after the id is the program's: a danger found there has no id behind
	 * it. */
	for (char **argv = command->rest; *argv; argv++) {
		if (**argv == '-') {
			danger = danger ? danger : danger_at(argv);
		} else if (danger && door_is_open(settings->state, *argv)) {
			complain("container %s has a policy, and what is executed into it must "
				 "not have %s; without --cap and --privileged it has not",
				 *argv, danger);
			return -EPERM;
		}
	}
	return 0;
}
