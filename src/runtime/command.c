/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What runc 1.1 and crun 1.8 accept, and what engines pass: `--root DIR --log FILE
 * --log-format json create --bundle DIR --pid-file FILE ID`. An option that is not
 * known is taken for one without a value; those with one that come after the command do
 * no harm if so, for the id is the last word.
 */
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/command.h"

/* Those with a value. */
static const char *const global_options[] = {
	"--root", "--log",      "--log-format",     "--log-level",
	"--criu", "--rootless", "--cgroup-manager",
};
static const char *const command_options[] = {
	"--bundle",         "-b",         "--config",       "-f",
	"--console-socket", "--pid-file", "--preserve-fds",
};

static const struct {
	const char *name;
	enum command_kind kind;
} commands[] = {
	{ "create", COMMAND_CREATE },   { "run", COMMAND_RUN },
	{ "restore", COMMAND_RESTORE }, { "checkpoint", COMMAND_CHECKPOINT },
	{ "delete", COMMAND_DELETE },   { "exec", COMMAND_EXEC },
};

/* Is @word option @name, in one word or two? *ret_value: of "--name=value". */
static bool is_option(const char *word, const char *name, const char **ret_value)
{
	size_t size = strlen(name);

	*ret_value = NULL;
	if (strncmp(word, name, size) != 0)
		return false;
	if (!word[size])
		return true;
	if (name[1] != '-') { /* -bDIR */
		*ret_value = word + size + (word[size] == '=');
		return true;
	}
	if (word[size] == '=')
		*ret_value = word + size + 1;
	return *ret_value != NULL;
}

static void keep(struct command *command, const char *name, const char *value)
{
	if (!strcmp(name, "--bundle") || !strcmp(name, "-b"))
		command->bundle = value;
	else if (!strcmp(name, "--config") || !strcmp(name, "-f"))
		command->config = value;
	else if (!strcmp(name, "--log"))
		command->log = value;
	else if (!strcmp(name, "--log-format"))
		command->log_is_json = !strcmp(value, "json");
}

/* Takes the option at @argv. Return: what comes after it. */
static char **take_option(struct command *command, char **argv,
			  const char *const *options, size_t n)
{
	const char *value;

	for (size_t i = 0; i < n; i++) {
		if (!is_option(*argv, options[i], &value))
			continue;
		if (!value && argv[1])
			value = *++argv;
		if (value)
			keep(command, options[i], value);
		break;
	}
	return argv + 1;
}

static bool is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "-?") ||
	       !strcmp(word, "--usage");
}

static void parse_command(struct command *command, char **argv)
{
	while (*argv) {
		if (!strcmp(*argv, "--")) {
			while (*++argv)
				command->id = *argv;
			return;
		}
		command->has_help |= is_help(*argv);
		if (**argv == '-' && (*argv)[1]) {
			argv = take_option(command, argv, command_options,
					   ARRAY_SIZE(command_options));
		} else {
			command->id = *argv++;
		}
	}
}

void command_parse(char **argv, struct command *ret)
{
	*ret = (struct command){ .kind = COMMAND_HELP };
	for (argv++; *argv && **argv == '-';) {
		if (!strcmp(*argv, "--version") || !strcmp(*argv, "-v") ||
		    !strcmp(*argv, "-V"))
			ret->kind = COMMAND_VERSION;
		if (is_help(*argv))
			return;
		argv = take_option(ret, argv, global_options, ARRAY_SIZE(global_options));
	}
	if (!*argv || ret->kind == COMMAND_VERSION)
		return;
	ret->kind = COMMAND_OTHER;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, *argv))
			ret->kind = commands[i].kind;
	ret->rest = argv + 1;
	if (ret->kind != COMMAND_OTHER && ret->kind != COMMAND_EXEC)
		parse_command(ret, argv + 1);
}
