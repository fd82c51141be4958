/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A container's profile with our listener in it. Each profile is compiled twice, as it
 * was and extended, by libseccomp and the way runtimes use it; then both are asked
 * about the same calls, and so is the filter of `graft run`:
 *
 *	what the profile denied		is denied in the same way
 *	what it allowed			is allowed, and then our filter allows it too;
 *					or is told of; or is one of those without which
 *					the filter makes programs do, and ENOSYS
 *
 * Profiles: what Docker 20.10.24 gives a container, that with CAP_SYS_ADMIN, the
 * conditions on socket() that later ones have, Podman's default errno, none, and some
 * that nobody would write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <json-c/json.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "intercept/notify/engine.h"
#include "intercept/notify/filter.h"
#include "runtime/cell.h"
#include "runtime/profile.h"

#include "profile_compile.h"

#define ROUNDS 20000
#define X32    0x40000000

/* --- the profiles --- */

static struct json_object *parse(const char *text)
{
	struct json_object *object = json_tokener_parse(text);

	if (!object)
		fail_msg("not JSON: %s", text);
	return object;
}

static struct json_object *read_docker(void)
{
	struct json_object *profile = json_object_from_file(getenv("DOCKER_PROFILE"));

	assert_non_null(profile);
	return profile;
}

/* Docker's, without the rules for @call, and with @rules instead. */
static struct json_object *docker_but(const char *call, const char *rules)
{
	struct json_object *profile = read_docker(), *more = parse(rules);
	struct json_object *old = json_object_object_get(profile, "syscalls");
	struct json_object *new = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(old); i++) {
		struct json_object *entry = json_object_array_get_idx(old, i);
		struct json_object *names = json_object_object_get(entry, "names");
		struct json_object *kept = json_object_new_array();

		for (size_t j = 0; j < json_object_array_length(names); j++) {
			struct json_object *name = json_object_array_get_idx(names, j);

			if (strcmp(json_object_get_string(name), call) != 0)
				json_object_array_add(kept, json_object_get(name));
		}
		json_object_object_add(entry, "names", kept);
		if (json_object_array_length(kept))
			json_object_array_add(new, json_object_get(entry));
	}
	for (size_t i = 0; i < json_object_array_length(more); i++)
		json_object_array_add(new, json_object_get(
						   json_object_array_get_idx(more, i)));
	json_object_put(more);
	json_object_object_add(profile, "syscalls", new);
	return profile;
}

static struct json_object *extend(struct json_object *profile, unsigned int traps)
{
	const struct profile_wish wish = { .traps = traps,
					   .listener = "/run/listener",
					   .metadata = "graft" };
	char why[PROFILE_WHY_SIZE] = "";
	struct json_object *extended = NULL;

	if (profile_extend(profile, &wish, &extended, why) < 0)
		fail_msg("%s", why);
	return extended;
}

/* --- the questions --- */

static uint64_t seed = 1;

static uint64_t random_number(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint64_t random_argument(void)
{
	static const uint64_t known[] = {
		0,          1,          2,          4,          6,          8,
		9,          10,         12,         15,         16,         17,
		18,         28,         38,         39,         40,         41,
		57,         58,         104,        110,        254,        256,
		270,        0x400,      0x10000,    0x10400,    0x20000000, 0x40000000,
		0x40000400, 0x7e020000, 0xffffffff, 1ULL << 32, ~0ULL,
	};
	uint64_t value = known[random_number() % ARRAY_SIZE(known)];

	switch (random_number() % 8) {
	case 0:
		return random_number();
	case 1:
		return value | random_number() << 32;
	case 2:
		return value ^ 1ULL << random_number() % 64;
	default:
		return value;
	}
}

static const char *random_call(void)
{
	static const char *const others[] = { "read",     "close",  "accept4",
					      "recvfrom", "ptrace", "mount",
					      "openat",   "fork",   "personality",
					      "keyctl",   "bpf",    "getsockname" };
	size_t n = 0;

	while (cells_call(n))
		n++;
	if (!n || random_number() % 8 == 0)
		return others[random_number() % ARRAY_SIZE(others)];
	return cells_call(random_number() % n);
}

static bool lets(uint32_t verdict)
{
	uint32_t action = verdict & SECCOMP_RET_ACTION_FULL;

	return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

static bool is_absent(const char *call)
{
	return !strcmp(call, "clone3") || !strncmp(call, "io_uring", 8);
}

struct asked {
	const char *call;
	struct seccomp_data data, native; /* the same, by native numbers */
	bool is_native;
};

/* Excluded with the family it ends like: there is no "not equal under a mask". */
static bool is_no_family(const struct asked *asked)
{
	return !strcmp(asked->call, "socket") && asked->data.args[0] > 63;
}

/* Return: whether there is such a call there. */
static bool make_question(struct asked *ret)
{
	static const struct {
		uint32_t token, audit;
	} abis[] = {
		{ SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64 },
		{ SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64 },
		{ SCMP_ARCH_X86, AUDIT_ARCH_I386 },
		{ SCMP_ARCH_X32, AUDIT_ARCH_X86_64 },
	};
	size_t abi = random_number() % ARRAY_SIZE(abis);
	int nr, native;

	*ret = (struct asked){ .call = random_call() };
	nr = seccomp_syscall_resolve_name_arch(abis[abi].token, ret->call);
	native = seccomp_syscall_resolve_name_arch(SCMP_ARCH_NATIVE, ret->call);
	if (nr < 0)
		return false;
	ret->is_native = abis[abi].token == SCMP_ARCH_X86_64;
	ret->data.nr = nr;
	ret->data.arch = abis[abi].audit;
	for (size_t i = 0; i < ARRAY_SIZE(ret->data.args); i++) {
		ret->data.args[i] = random_argument();
		if (abis[abi].token == SCMP_ARCH_X86)
			ret->data.args[i] &= 0xffffffff;
	}
	/* Two that are denied together only; chance does not meet them. */
	if (!strcmp(ret->call, "socket") && random_number() % 8 == 0) {
		ret->data.args[0] = 16;
		ret->data.args[2] = 9;
	}
	ret->native = ret->data;
	ret->native.nr = native;
	ret->native.arch = AUDIT_ARCH_X86_64;
	/* The kernel takes these for int, libseccomp takes x32 for an ABI of 32 bits. */
	for (size_t i = 0; !ret->is_native && i < ARRAY_SIZE(ret->data.args); i++)
		ret->native.args[i] &= 0xffffffff;
	/* No name is that short. */
	if (!strcmp(ret->call, "sendto") && (uint32_t)ret->data.args[5] < 16)
		ret->native.args[4] = 0;
	else if (!strcmp(ret->call, "sendto"))
		ret->native.args[4] = ret->data.args[4];
	return true;
}

static void check_one(const struct asked *asked, const struct code *was,
		      const struct code *is, const struct code *ours)
{
	uint32_t before = gate_ask(was->at, was->n, &asked->data);
	uint32_t after = gate_ask(is->at, is->n, &asked->data);
	uint32_t filter = gate_ask(ours->at, ours->n, &asked->native);
	const char *wrong = NULL;

	if (!strcmp(asked->call, "socketcall")) {
		if (lets(after))
			wrong = "passes";
	} else if (!lets(before)) {
		if (after != before)
			wrong = "is not denied as it was";
	} else if (lets(after)) {
		if (asked->native.nr >= 0 && filter != SECCOMP_RET_ALLOW)
			wrong = "passes by the filter";
		else if (after != before)
			wrong = "is allowed in another way";
	} else if (after != SECCOMP_RET_USER_NOTIF &&
		   !(is_absent(asked->call) && after == (SECCOMP_RET_ERRNO | ENOSYS)) &&
		   !(is_no_family(asked) && lets(filter))) {
		wrong = "was allowed";
	}
	if (wrong)
		fail_msg("%s(%#llx, %#llx, %#llx, %#llx, %#llx, %#llx) of %s %s: %#x, "
			 "then %#x; ours %#x",
			 asked->call, (long long)asked->data.args[0],
			 (long long)asked->data.args[1], (long long)asked->data.args[2],
			 (long long)asked->data.args[3], (long long)asked->data.args[4],
			 (long long)asked->data.args[5],
			 asked->is_native ? "the native ABI" : "another ABI", wrong,
			 before, after, filter);
}

static const unsigned int all_traps[] = {
	TRAP_NAMES | TRAP_FAMILY | TRAP_FAST_OPEN,
	TRAP_NAMES | TRAP_FAMILY | TRAP_FAST_OPEN | TRAP_SOCKET_V4 | TRAP_SOCKET_V6 |
		TRAP_OPTIONS,
	TRAP_NAMES | TRAP_FAMILY | TRAP_DATAGRAMS | TRAP_SOCKET_V4 | TRAP_SOCKET_V6,
};

/* Asks each question of the profile, which is released. */
static void check(struct json_object *profile)
{
	struct code was = compile(profile);

	for (size_t t = 0; t < ARRAY_SIZE(all_traps); t++) {
		struct json_object *extended = extend(profile, all_traps[t]);
		struct code is = compile(extended), ours;
		struct asked asked;

		assert_int_equal(filter_compile(all_traps[t], &ours.at, &ours.n), 0);
		for (int i = 0; i < ROUNDS; i++)
			if (make_question(&asked))
				check_one(&asked, &was, &is, &ours);
		json_object_put(extended);
		free(is.at);
		free(ours.at);
	}
	free(was.at);
	json_object_put(profile);
}

#define RULE(names, action, args) \
	"{\"names\":[" names "],\"action\":\"SCMP_ACT_" action "\"" args "}"
#define ARG(index, value, two, op)                                          \
	"{\"index\":" #index ",\"value\":" #value ",\"valueTwo\":" #two "," \
	"\"op\":\"SCMP_CMP_" #op "\"}"
#define ABIS \
	"\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"],"

static void test_docker(void **state)
{
	check(read_docker());
}

static void test_docker_admin(void **state)
{
	struct json_object *profile =
		docker_but("clone3",
			   "[" RULE("\"clone\",\"clone3\",\"setns\",\"unshare\"", "ALLOW",
				    "") "]");

	check(profile);
}

static void test_docker_vsock(void **state)
{
	check(docker_but("socket", "[" RULE("\"socket\"", "ALLOW",
					    ",\"args\":[" ARG(0, 40, 0, NE) "]") "]"));
}

static void test_docker_ranges(void **state)
{
	check(docker_but(
		"socket",
		"[" RULE("\"socket\"", "ALLOW", ",\"args\":[" ARG(0, 38, 0, LT) "]") "," RULE(
			"\"socket\"", "ALLOW",
			",\"args\":[" ARG(0, 39, 0,
					  EQ) "]") "," RULE("\"socket\"", "ALLOW",
							    ",\"args\":[" ARG(
								    0, 40, 0,
								    GT) "]") "]"));
}

static void test_podman_errno(void **state)
{
	struct json_object *profile = read_docker();

	json_object_object_add(profile, "defaultErrnoRet", json_object_new_int(ENOSYS));
	check(profile);
}

/* As containers-common 0.50 has them: where one of two arguments is another. */
static void test_podman_socket(void **state)
{
	struct json_object *profile = docker_but(
		"socket",
		"[" RULE("\"socket\"", "ERRNO",
			 ",\"errnoRet\":22,\"args\":[" ARG(0, 16, 0,
							   EQ) "," ARG(2, 9, 0,
								       EQ) "]") ","  //
		RULE("\"socket\"", "ALLOW", ",\"args\":[" ARG(2, 9, 0, NE) "]") ","  //
		RULE("\"socket\"", "ALLOW", ",\"args\":[" ARG(0, 16, 0, NE) "]") "," //
		RULE("\"socket\"", "ALLOW", ",\"args\":[" ARG(2, 9, 0, NE) "]") "]");

	json_object_object_add(profile, "defaultErrnoRet", json_object_new_int(ENOSYS));
	check(profile);
}

static void test_docker_log(void **state)
{
	check(docker_but("connect", "[" RULE("\"connect\"", "LOG", "") "]"));
}

/* Conditions on what our filter looks at, and on something else. */
static void test_docker_conditions(void **state)
{
	check(docker_but("sendto",
			 "[" RULE("\"sendto\"", "ALLOW",
				  ",\"args\":[" ARG(5, 28, 0,
						    LE) "," ARG(3, 65536, 0,
								MASKED_EQ) "]") "]"));
	check(docker_but(
		"connect",
		"[" RULE("\"connect\"", "ALLOW",
			 ",\"args\":[" ARG(
				 2, 110, 0,
				 EQ) "]") "," RULE("\"connect\"", "ALLOW",
						   ",\"args\":[" ARG(
							   2, 28, 0,
							   EQ) "," ARG(0, 4, 0,
								       GE) "]") "]"));
	/* Alternatives on one argument. */
	check(docker_but("setsockopt",
			 "[" RULE("\"setsockopt\"", "ALLOW",
				  ",\"args\":[" ARG(1, 1, 0, EQ) "," ARG(
					  1, 0, 0, EQ) "," ARG(1, 6, 0, EQ) "]") "]"));
}

/* A mask that its value goes beyond. */
static void test_docker_odd(void **state)
{
	check(docker_but("socket",
			 "[" RULE("\"socket\"", "ALLOW",
				  ",\"args\":[" ARG(0, 2, 3, MASKED_EQ) "]") "]"));
}

static void test_docker_denied(void **state)
{
	check(docker_but("socket", "[" RULE("\"socket\"", "KILL", "") "]"));
}

static void test_none(void **state)
{
	struct json_object *allow =
		parse("{" ABIS "\"defaultAction\":\"SCMP_ACT_ALLOW\"}");
	struct json_object *extended = extend(NULL, all_traps[1]);

	assert_string_equal(text_of(extended, "defaultAction"), "SCMP_ACT_ALLOW");
	assert_string_equal(text_of(extended, "listenerPath"), "/run/listener");
	json_object_put(extended);
	check(allow);
}

static void test_default_allows(void **state)
{
	check(parse("{" ABIS "\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[" RULE(
		"\"socket\"", "ERRNO",
		",\"args\":[" ARG(
			0, 41, 0,
			EQ) "]") "," RULE("\"connect\"", "LOG",
					  ",\"args\":[" ARG(
						  2, 20, 0,
						  GE) "]") "," RULE("\"bind\",\"mount\"",
								    "ERRNO",
								    ",\"errnoRet\":1") "]}"));
	check(parse("{" ABIS "\"defaultAction\":\"SCMP_ACT_LOG\",\"syscalls\":[" RULE(
		"\"socket\",\"read\"", "ALLOW", "") "]}"));
}

/* Return: the sentence why not; static. */
static const char *refusal(const char *text)
{
	const struct profile_wish wish = { .traps = all_traps[1],
					   .listener = "/run/listener",
					   .metadata = "graft" };
	struct json_object *profile = parse(text), *extended = NULL;
	static char why[PROFILE_WHY_SIZE];

	why[0] = '\0';
	assert_int_equal(profile_extend(profile, &wish, &extended, why), -EINVAL);
	assert_null(extended);
	json_object_put(profile);
	return why;
}

static void test_refused(void **state)
{
	assert_string_equal(
		refusal("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/x\"}"),
		"it has a listener of its own: /x");
	assert_string_equal(
		refusal("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[" RULE(
			"\"mount\"", "NOTIFY", "") "]}"),
		"it has rules with SCMP_ACT_NOTIFY of its own");
	assert_string_equal(
		refusal("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[" RULE(
			"\"bind\"", "TRACE", "") "]}"),
		"it leaves bind() to a tracer");
	assert_string_equal(
		refusal("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[" RULE(
			"\"socket\"", "ERRNO", ",\"args\":[" ARG(0, 40, 0, GE) "]") "]}"),
		"what it denies of socket() overlaps with what is to be "
		"judged");
	assert_string_equal(
		refusal("{\"defaultAction\":\"SCMP_ACT_KILL\",\"syscalls\":[" RULE(
			"\"socket\"", "ALLOW",
			",\"args\":[" ARG(0, 16, 0,
					  NE) "]") "," RULE("\"socket\"", "ERRNO",
							    ",\"args\":[" ARG(
								    2, 9, 0,
								    EQ) "]") "]}"),
		"it both allows and denies socket(), by arguments that overlap");
	assert_string_equal(refusal("{\"syscalls\":[]}"), "it has no default action");
}

/* What does not concern us stays: its rules, and their order. */
static void test_rest(void **state)
{
	struct json_object *profile = read_docker();
	struct json_object *extended = extend(profile, all_traps[1]);
	struct json_object *was = json_object_object_get(profile, "syscalls");
	struct json_object *is = json_object_object_get(extended, "syscalls");
	size_t n = json_object_array_length(was);

	/* The first is the one that named most calls; one of ours stands before it. */
	for (size_t i = 1; i < n; i++) {
		struct json_object *a = json_object_array_get_idx(was, i);
		struct json_object *b = json_object_array_get_idx(is, i + 1);
		const char *name = json_object_get_string(
			json_object_array_get_idx(json_object_object_get(a, "names"), 0));

		if (!strcmp(name, "clone"))
			break;
		assert_true(json_object_equal(a, b));
	}
	assert_true(json_object_equal(json_object_object_get(profile, "architectures"),
				      json_object_object_get(extended, "architectures")));
	json_object_put(profile);
	json_object_put(extended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_docker),
		cmocka_unit_test(test_docker_admin),
		cmocka_unit_test(test_docker_vsock),
		cmocka_unit_test(test_docker_ranges),
		cmocka_unit_test(test_podman_errno),
		cmocka_unit_test(test_podman_socket),
		cmocka_unit_test(test_docker_log),
		cmocka_unit_test(test_docker_conditions),
		cmocka_unit_test(test_docker_odd),
		cmocka_unit_test(test_docker_denied),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_default_allows),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_rest),
	};

#ifndef __x86_64__
	return 77;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
