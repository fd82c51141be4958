/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy options that `graft run` and `graft explain` share:
 *
 *	--policy FILE  --rule LINE  -p/--publish  -i/--ingress  -e/--egress
 *
 * and GRAFT_CONV_PAIRS. Order of judgement: --rule and --policy as given, then -p, then
 * -i, then GRAFT_CONV_PAIRS, then -e (longest prefix first).
 */
#pragma once

#include <stdbool.h>

struct policy;

struct policy_options {
	struct policy *policy;
	bool any; /* at least one was given */
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
/* Adds GRAFT_CONV_PAIRS and seals. Return: 0, or -EINVAL after one line to stderr. */
int policy_options_finish(struct policy_options *options);
