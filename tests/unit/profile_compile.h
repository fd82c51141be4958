/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A container's profile, compiled as runc does it (libcontainer/seccomp).
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <json-c/json.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

struct code {
	struct sock_filter *at;
	size_t n;
};

static const char *text_of(struct json_object *object, const char *key)
{
	const char *text = json_object_get_string(json_object_object_get(object, key));

	return text ? text : "";
}

static uint32_t action_of(struct json_object *object, const char *key, const char *number)
{
	const char *name = text_of(object, key);
	struct json_object *value = json_object_object_get(object, number);
	uint16_t error = value ? (uint16_t)json_object_get_int(value) : EPERM;

	if (!strcmp(name, "SCMP_ACT_ALLOW"))
		return SCMP_ACT_ALLOW;
	if (!strcmp(name, "SCMP_ACT_LOG"))
		return SCMP_ACT_LOG;
	if (!strcmp(name, "SCMP_ACT_NOTIFY"))
		return SCMP_ACT_NOTIFY;
	if (!strcmp(name, "SCMP_ACT_KILL"))
		return SCMP_ACT_KILL;
	assert_string_equal(name, "SCMP_ACT_ERRNO");
	return SCMP_ACT_ERRNO(error);
}

static enum scmp_compare op_of(const char *name)
{
	static const struct {
		const char *name;
		enum scmp_compare op;
	} rows[] = {
		{ "SCMP_CMP_NE", SCMP_CMP_NE },
		{ "SCMP_CMP_LT", SCMP_CMP_LT },
		{ "SCMP_CMP_LE", SCMP_CMP_LE },
		{ "SCMP_CMP_EQ", SCMP_CMP_EQ },
		{ "SCMP_CMP_GE", SCMP_CMP_GE },
		{ "SCMP_CMP_GT", SCMP_CMP_GT },
		{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(rows[i].name, name))
			return rows[i].op;
	fail_msg("%s", name);
	return SCMP_CMP_EQ;
}

static void add_rule(scmp_filter_ctx ctx, struct json_object *entry, int nr)
{
	uint32_t action = action_of(entry, "action", "errnoRet");
	struct json_object *args = json_object_object_get(entry, "args");
	size_t n = args ? json_object_array_length(args) : 0;
	struct scmp_arg_cmp conditions[6];
	unsigned int seen = 0;
	bool repeats = false;

	for (size_t i = 0; i < n; i++) {
		struct json_object *arg = json_object_array_get_idx(args, i);
		struct scmp_arg_cmp *c = &conditions[i];

		c->arg = (unsigned int)json_object_get_int(
			json_object_object_get(arg, "index"));
		c->op = op_of(text_of(arg, "op"));
		c->datum_a = json_object_get_uint64(json_object_object_get(arg, "value"));
		c->datum_b =
			json_object_get_uint64(json_object_object_get(arg, "valueTwo"));
		repeats |= (seen & 1u << c->arg) != 0;
		seen |= 1u << c->arg;
	}
	if (!repeats) {
		int r = seccomp_rule_add_array(ctx, action, nr, (unsigned int)n,
					       conditions);

		if (r < 0)
			fail_msg("%s: %s", json_object_to_json_string(entry),
				 strerror(-r));
		return;
	}
	for (size_t i = 0; i < n; i++)
		assert_int_equal(seccomp_rule_add_array(ctx, action, nr, 1,
							&conditions[i]),
				 0);
}

static void add_rules(scmp_filter_ctx ctx, struct json_object *profile, uint32_t fallback)
{
	struct json_object *rules = json_object_object_get(profile, "syscalls");
	size_t n = rules ? json_object_array_length(rules) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *entry = json_object_array_get_idx(rules, i);
		struct json_object *names = json_object_object_get(entry, "names");

		if (action_of(entry, "action", "errnoRet") == fallback)
			continue;
		for (size_t j = 0; j < json_object_array_length(names); j++) {
			int nr = seccomp_syscall_resolve_name(json_object_get_string(
				json_object_array_get_idx(names, j)));

			if (nr != __NR_SCMP_ERROR)
				add_rule(ctx, entry, nr);
		}
	}
}

static void add_abis(scmp_filter_ctx ctx, struct json_object *profile)
{
	struct json_object *abis = json_object_object_get(profile, "architectures");
	size_t n = abis ? json_object_array_length(abis) : 0;

	for (size_t i = 0; i < n; i++) {
		const char *name =
			json_object_get_string(json_object_array_get_idx(abis, i));
		uint32_t token = !strcmp(name, "SCMP_ARCH_X86_64") ? SCMP_ARCH_X86_64
				 : !strcmp(name, "SCMP_ARCH_X86")  ? SCMP_ARCH_X86
				 : !strcmp(name, "SCMP_ARCH_X32")  ? SCMP_ARCH_X32
								   : SCMP_ARCH_NATIVE;
		int r = seccomp_arch_add(ctx, token);

		assert_true(r == 0 || r == -EEXIST);
	}
}

static struct code compile(struct json_object *profile)
{
	uint32_t fallback = action_of(profile, "defaultAction", "defaultErrnoRet");
	_cleanup_fd_ int file = memfd_create("profile", MFD_CLOEXEC);
	scmp_filter_ctx ctx = seccomp_init(fallback);
	struct code code;
	struct stat st;

	assert_non_null(ctx);
	add_abis(ctx, profile);
	add_rules(ctx, profile, fallback);
	assert_int_equal(seccomp_export_bpf(ctx, file), 0);
	seccomp_release(ctx);
	assert_int_equal(fstat(file, &st), 0);
	code.n = (size_t)st.st_size / sizeof(*code.at);
	assert_true(code.n <= BPF_MAXINSNS);
	code.at = malloc((size_t)st.st_size);
	assert_non_null(code.at);
	assert_int_equal(pread(file, code.at, (size_t)st.st_size, 0), st.st_size);
	return code;
}
