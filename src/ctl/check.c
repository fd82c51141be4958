/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft check: reads policy files as `graft run --policy FILE...` would, all of them into
 * one policy, and tells of everything that is wrong with them.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/command.h"
#include "policy/policy.h"
#include "run/options.h"

static void usage(FILE *to)
{
	fprintf(to, "Usage: graft check [--print] [--registry] FILE...\n\n"
		    "Checks policy files, which together make one policy.\n\n"
		    "  --print      print the policy as it is judged\n"
		    "  --registry   take endpoints that no file defines as graftd's\n"
		    "  --help       show this help\n\n"
		    "Exit status: 0 all is well, 2 an error was found.\n");
}

static void tell(void *context, const struct policy_error *error)
{
	fprintf(stderr, "%s\n", error->text);
}

/* Return: the number of errors told of. */
static int check_file(struct policy *policy, const char *path)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = policy_file_read(path, &text, &size);

	if (r == 0)
		r = policy_check_text(policy, path, text, size, tell, NULL);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", path, policy_file_error(r));
		r = 1;
	}
	return r;
}

static int print(const struct policy *policy)
{
	_cleanup_free_ char *text = policy_print(policy);

	if (!text || fputs(text, stdout) < 0 || fflush(stdout) != 0) {
		fprintf(stderr, "graft check: cannot print: %s\n",
			text ? strerror(errno) : strerror(ENOMEM));
		return EXIT_FAILURE;
	}
	return 0;
}

static int check(char **paths, int n_paths, bool wants_print, bool has_registry)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	int n_errors = 0, r;

	if (!policy) {
		fprintf(stderr, "graft check: out of memory\n");
		return EXIT_FAILURE;
	}
	policy_allow_paths(policy);
	if (has_registry)
		policy_allow_named(policy);
	for (int i = 0; i < n_paths; i++)
		n_errors += check_file(policy, paths[i]);
	/* Sealed in any case: what is wrong with the names is worth hearing too. */
	r = policy_check_seal(policy, tell, NULL);
	if (r < 0) {
		fprintf(stderr, "graft check: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	if (n_errors + r)
		return EXIT_MISUSE;
	return wants_print ? print(policy) : 0;
}

int command_check(int argc, char **argv)
{
	static const struct option options[] = {
		{ "print", no_argument, NULL, 'P' },
		{ "registry", no_argument, NULL, 'R' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL },
	};
	bool wants_print = false, has_registry = false;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'P':
			wants_print = true;
			break;
		case 'R':
			has_registry = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return EXIT_MISUSE;
		}
	}
	if (optind == argc) {
		fprintf(stderr, "graft check: name at least one file\n");
		usage(stderr);
		return EXIT_MISUSE;
	}
	return check(argv + optind, argc - optind, wants_print, has_registry);
}
