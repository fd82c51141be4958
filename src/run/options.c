/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the policy options to a sealed policy. Files and rules are added as they come; -p,
 * -i and -e wait, because they are judged in that order wherever they stand on the
 * command line.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "policy/policy.h"
#include "run/options.h"

#define READ_FIRST 16384

/* Room for one byte more than is there tells the end of a file from a full buffer. */
static int read_growing(int fd, char **ret_text, size_t *ret_size)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0, room = READ_FIRST;

	for (;;) {
		char *moved = realloc(text, room + 1);
		ssize_t n;

		if (!moved)
			return -ENOMEM;
		text = moved;
		n = fd_read_all(fd, text + size, room - size);
		if (n < 0)
			return (int)n;
		size += (size_t)n;
		if (size > POLICY_FILE_MAX)
			return -EFBIG;
		if (size < room)
			break;
		room *= 2;
	}
	text[size] = '\0';
	*ret_text = steal_pointer(text);
	*ret_size = size;
	return 0;
}

int policy_file_read(const char *path, char **ret_text, size_t *ret_size)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	return read_growing(fd, ret_text, ret_size);
}

const char *policy_file_error(int error)
{
	return error == -EFBIG ? "larger than the 64 MiB a policy file may have"
			       : strerror(-error);
}

static int complain(const struct policy_error *error)
{
	fprintf(stderr, "graft: %s\n", error->text);
	return -EINVAL;
}

static int no_memory(void)
{
	fprintf(stderr, "graft: out of memory\n");
	return -EINVAL;
}

static int add_file(struct policy *policy, const char *path)
{
	_cleanup_free_ char *text = NULL;
	struct policy_error error;
	size_t size;
	int r = policy_file_read(path, &text, &size);

	if (r < 0) {
		fprintf(stderr, "graft: %s: %s\n", path, policy_file_error(r));
		return -EINVAL;
	}
	if (policy_add_text(policy, path, text, size, &error) < 0)
		return complain(&error);
	return 0;
}

static int wait_turn(struct policy_options *options, int option, const char *text)
{
	struct policy_option_argument *moved;

	moved = reallocarray(options->waiting, options->n_waiting + 1, sizeof(*moved));
	if (!moved)
		return no_memory();
	options->waiting = moved;
	moved[options->n_waiting++] = (struct policy_option_argument){ option, text };
	return 0;
}

static int need_policy(struct policy_options *options)
{
	if (options->policy)
		return 0;
	options->policy = policy_new();
	if (!options->policy)
		return no_memory();
	policy_allow_named(options->policy);
	return 0;
}

static int take(struct policy_options *options, int option, const char *argument)
{
	struct policy_error error;

	if (need_policy(options) < 0)
		return -EINVAL;
	switch (option) {
	case POLICY_OPTION_POLICY:
		return add_file(options->policy, argument);
	case POLICY_OPTION_RULE:
		if (policy_add_text(options->policy, "--rule", argument, strlen(argument),
				    &error) < 0)
			return complain(&error);
		return 0;
	}
	return wait_turn(options, option, argument);
}

int policy_options_take(struct policy_options *options, int option, const char *argument)
{
	switch (option) {
	case POLICY_OPTION_POLICY:
	case POLICY_OPTION_RULE:
	case 'p':
	case 'i':
	case 'e':
		break;
	default:
		return 0;
	}
	options->any = true;
	return take(options, option, argument) < 0 ? -EINVAL : 1;
}

static int add_waiting(struct policy_options *options, int option,
		       int (*add)(struct policy *, const char *, struct policy_error *))
{
	struct policy_error error;

	for (size_t i = 0; i < options->n_waiting; i++)
		if (options->waiting[i].option == option &&
		    add(options->policy, options->waiting[i].text, &error) < 0)
			return complain(&error);
	return 0;
}

static int add_variables(struct policy_options *options)
{
	struct policy_error error;

	for (int i = 0; i < POLICY_N_VARIABLES; i++) {
		enum policy_variable variable = (enum policy_variable)i;
		const char *text = getenv(policy_variable_name(variable));

		if (!text || !*text)
			continue;
		if (policy_add_variable(options->policy, variable, text, &error) < 0)
			return complain(&error);
		options->any = true;
	}
	return 0;
}

static int finish(struct policy_options *options)
{
	struct policy_error error;

	if (need_policy(options) < 0)
		return -EINVAL;
	if (options->has_paths)
		policy_allow_paths(options->policy);
	if (add_waiting(options, 'p', policy_add_publish) < 0 ||
	    add_waiting(options, 'i', policy_add_ingress) < 0 ||
	    add_variables(options) < 0 ||
	    add_waiting(options, 'e', policy_add_egress) < 0)
		return -EINVAL;
	if (policy_seal(options->policy, &error) < 0)
		return complain(&error);
	return 0;
}

int policy_options_finish(struct policy_options *options)
{
	int r = finish(options);

	free(options->waiting);
	options->waiting = NULL;
	options->n_waiting = 0;
	return r;
}
