/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy options that `graft run` and `graft explain` share:
 *
 *	--policy FILE  --rule LINE  -p/--publish  -i/--ingress  -e/--egress
 *
 * and the variables of enum policy_variable. Order of judgement: --rule and --policy as
 * given, then -p, then -i, then GRAFT_CONV_PAIRS, then GRAFT_INGRESS_CONVERT, then -e
 * with GRAFT_EGRESS_CONVERT (longest prefix first), then GRAFT_BBCONN.
 *
 * A name that nothing defines is an endpoint of graftd's registry.
 *
 * A struct policy_options begins as all zeroes. The policy in it is the caller's to free;
 * arguments are kept by pointer until policy_options_finish.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct policy;

struct policy_options {
	struct policy *policy;
	bool any;       /* at least one was given */
	bool has_paths; /* the caller's: rules on UNIX paths are taken */

	/* -p, -i and -e, waiting for their turn in policy_options_finish. */
	struct policy_option_argument {
		int option;
		const char *text;
	} * waiting;
	size_t n_waiting;
};

/* The getopt_long characters and values of the shared options. */
#define POLICY_OPTIONS_SHORT "p:i:e:"
enum {
	POLICY_OPTION_POLICY = 0x100,
	POLICY_OPTION_RULE,
};
#define POLICY_OPTIONS_LONG                                              \
	{ "policy", required_argument, NULL, POLICY_OPTION_POLICY },     \
		{ "rule", required_argument, NULL, POLICY_OPTION_RULE }, \
		{ "publish", required_argument, NULL, 'p' },             \
		{ "ingress", required_argument, NULL, 'i' },             \
	{                                                                \
		"egress", required_argument, NULL, 'e'                   \
	}

/*
 * Return: 1 when @option was one of ours and taken, 0 when it is not ours, -EINVAL after
 * printing one line to stderr.
 */
int policy_options_take(struct policy_options *options, int option, const char *argument);
/* Adds what waited and the variables, and seals. Return: 0, or -EINVAL after one line to
 * stderr. */
int policy_options_finish(struct policy_options *options);

/* The text of the policy file @path, NUL-terminated, for the caller to free. Return: 0 or
 * -errno; -EFBIG beyond POLICY_FILE_MAX bytes. */
#define POLICY_FILE_MAX (64u << 20)
int policy_file_read(const char *path, char **ret_text, size_t *ret_size);
/* Why it failed, for people. */
const char *policy_file_error(int error);
