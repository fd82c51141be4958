/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines of graft trace. Paths of cgroups are remembered: an id is never used again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "ctl/json.h"
#include "ctl/table.h"
#include "ctl/trace_line.h"
#include "intercept/cgroup/traced.h"
#include "policy/policy.h"
#include "run/scope.h"

#define NS_PER_S  1000000000
#define NS_PER_US 1000
#define N_PATHS   64

static const char *const ops[] = {
	[TRACED_BIND] = "bind",
	[TRACED_CONNECT] = "connect",
	[TRACED_SEND] = "sendto",
	[TRACED_SOCKET] = "socket",
};

static const char *const protos[] = { "tcp", "udp", "other", "unix" };

static const char *op_of(const struct traced *traced)
{
	return traced->op < ARRAY_SIZE(ops) ? ops[traced->op] : "?";
}

static const char *proto_of(const struct traced *traced)
{
	if (traced->why == TRACED_RAW)
		return "raw";
	return traced->proto < ARRAY_SIZE(protos) ? protos[traced->proto] : "?";
}

/* --- texts -------------------------------------------------------------------------- */

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* The time of day of @ns of CLOCK_MONOTONIC, or now. */
static struct timespec day_time(const uint64_t *ns)
{
	int64_t time = clock_ns(CLOCK_REALTIME);

	if (ns)
		time += (int64_t)*ns - clock_ns(CLOCK_MONOTONIC);
	return (struct timespec){ .tv_sec = time / NS_PER_S, .tv_nsec = time % NS_PER_S };
}

static void print_time(const struct timespec *time)
{
	struct tm local;
	char text[16] = "";

	if (localtime_r(&time->tv_sec, &local))
		strftime(text, sizeof(text), "%H:%M:%S", &local);
	printf("%s.%06ld", text, time->tv_nsec / NS_PER_US);
}

static void address_text(const struct spot *spot, char *text, size_t size)
{
	if (!inet_ntop(spot->family, spot->address, text, (socklen_t)size))
		snprintf(text, size, "?");
}

/* "1.2.3.4:80", "[::1]:80", or "-". */
static void spot_text(const struct spot *spot, char *text, size_t size)
{
	char address[INET6_ADDRSTRLEN];

	address_text(spot, address, sizeof(address));
	if (!spot->family)
		snprintf(text, size, "-");
	else
		snprintf(text, size, spot->family == AF_INET6 ? "[%s]:%u" : "%s:%u",
			 address, ntohs(spot->port));
}

/* Path @number of a call that names such, 0 asked for, 1 given. */
static void path_text(const struct traced *traced, int number, char *text)
{
	text_path((const struct traced_path *)(const void *)traced->text + number, text);
}

static bool is_path(const struct traced *traced)
{
	return traced->proto == TRACED_UNIX &&
	       traced->text_from >= 2 * sizeof(struct traced_path);
}

/* An IPv4 endpoint is that to a socket of AF_INET6, too. */
static struct spot unmapped(const struct spot *spot)
{
	struct spot plain = { .port = spot->port, .family = AF_INET };

	if (spot->family != AF_INET6 ||
	    !IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)spot->address))
		return *spot;
	plain.address[0] = spot->address[3];
	return plain;
}

static const char *error_text(const struct traced *traced, char buffer[16])
{
	const char *name = strerrorname_np(traced->error);

	if (name)
		return name;
	snprintf(buffer, 16, "%u", traced->error);
	return buffer;
}

static bool is_refused(const struct traced *traced)
{
	return traced->target == POLICY_DENY || traced->why == TRACED_RAW;
}

/* One word for what became of the call. */
static const char *outcome_of(const struct traced *traced)
{
	if (traced->error)
		return is_refused(traced) ? "denied" : "failed";
	switch ((enum policy_target)traced->target) {
	case POLICY_ENDPOINT:
		return "endpoint";
	case POLICY_FROM:
		return "from";
	case POLICY_OWN:
	case POLICY_HOST:
	case POLICY_DENY:
		break;
	}
	return "allowed";
}

static void became_text(const struct traced *traced, char *text, size_t size)
{
	const struct spot given = unmapped(&traced->given);
	char spot[PATH_TEXT_MAX], number[16];

	if (traced->error) {
		snprintf(text, size, "%s%s %s",
			 !traced->is_audit    ? ""
			 : is_refused(traced) ? "would be "
					      : "would have ",
			 outcome_of(traced), error_text(traced, number));
	} else if (traced->target == POLICY_ENDPOINT) {
		if (is_path(traced))
			path_text(traced, 1, spot);
		else
			spot_text(&given, spot, sizeof(spot));
		snprintf(text, size, "-> %s", spot);
	} else if (traced->target == POLICY_FROM) {
		address_text(&given, spot, sizeof(spot));
		snprintf(text, size, "from %s", spot);
	} else {
		snprintf(text, size, "allowed");
	}
}

/* The rule, without the end of its line. */
static void rule_text(const struct traced *traced, char *text, size_t size)
{
	const char *start = traced->text + traced->text_from;
	size_t n = strnlen(start, traced->text_size);

	while (n && start[n - 1] == '\n')
		n--;
	snprintf(text, size, "%.*s", (int)n, start);
	text_clean(text);
}

/* What decided. */
static void reason_text(const struct traced *traced, char *text, size_t size)
{
	char rule[TRACED_LONG * 16];

	switch ((enum traced_why)traced->why) {
	case TRACED_RULE:
		rule_text(traced, rule, sizeof(rule));
		snprintf(text, size, "rule %u \"%s\"", traced->rule + 1, rule);
		return;
	case TRACED_NO_RULE:
		snprintf(text, size, "no rule");
		return;
	case TRACED_RAW:
		snprintf(text, size, "raw sockets, as a rule denies");
		return;
	case TRACED_FULL:
		snprintf(text, size, "%d sockets are bound there", PLACES_BINDERS);
		return;
	}
	snprintf(text, size, "?");
}

/* Return: the path, or NULL: the cgroup is gone. */
static const char *path_of(uint64_t cgroup)
{
	static struct {
		uint64_t id;
		char path[4096];
	} known[N_PATHS];
	size_t at = cgroup % N_PATHS;

	if (known[at].id == cgroup)
		return known[at].path;
	if (scope_path(cgroup, known[at].path, sizeof(known[at].path)) < 0) {
		known[at].id = 0;
		return NULL;
	}
	text_clean(known[at].path);
	known[at].id = cgroup;
	return known[at].path;
}

/* --- lines -------------------------------------------------------------------------- */

static int end_line(void)
{
	return putchar('\n') == EOF ? -errno : 0;
}

int trace_line_print(const struct traced *traced)
{
	struct timespec time = day_time(&(uint64_t){ traced->time_ns });
	char command[sizeof(traced->command) + 1], caller[40];
	char asked[PATH_TEXT_MAX], became[PATH_TEXT_MAX + 5],
		reason[TRACED_LONG * 16 + 32];
	const char *path = path_of(traced->cgroup);

	snprintf(command, sizeof(command), "%.*s", (int)sizeof(traced->command),
		 traced->command);
	text_clean(command);
	snprintf(caller, sizeof(caller), "%s[%u]", command, traced->pid);
	if (is_path(traced))
		path_text(traced, 0, asked);
	else
		spot_text(&traced->asked, asked, sizeof(asked));
	became_text(traced, became, sizeof(became));
	reason_text(traced, reason, sizeof(reason));
	print_time(&time);
	printf("  %-20s %-7s %-5s %-21s  %-24s  %s  ", caller, op_of(traced),
	       proto_of(traced), asked, became, reason);
	if (path)
		printf("%s", path);
	else
		printf("(cgroup %llu, gone)", (unsigned long long)traced->cgroup);
	return end_line();
}

static void add(struct json_object *to, const char *key, struct json_object *value)
{
	json_object_object_add(to, key, value);
}

static struct json_object *json_time(const struct timespec *time)
{
	char text[40];

	snprintf(text, sizeof(text), "%lld.%06ld", (long long)time->tv_sec,
		 time->tv_nsec / NS_PER_US);
	return json_object_new_double_s((double)time->tv_sec, text);
}

static struct json_object *json_spot(const struct spot *spot)
{
	struct json_object *object;
	char text[INET6_ADDRSTRLEN];

	if (!spot->family)
		return NULL;
	object = json_object_new_object();
	address_text(spot, text, sizeof(text));
	add(object, "address", json_object_new_string(text));
	add(object, "port", json_object_new_int(ntohs(spot->port)));
	return object;
}

static struct json_object *json_path(const struct traced *traced, int number)
{
	struct json_object *object = json_object_new_object();
	char text[PATH_TEXT_MAX];

	path_text(traced, number, text);
	add(object, "path", json_text(text));
	return object;
}

static int print_object(struct json_object *object)
{
	const char *text =
		json_object_to_json_string_ext(object,
					       JSON_C_TO_STRING_SPACED |
						       JSON_C_TO_STRING_NOSLASHESCAPE);
	int r = !text ? -ENOMEM : puts(text) == EOF ? -errno : 0;

	json_object_put(object);
	return r;
}

int trace_line_print_json(const struct traced *traced)
{
	struct timespec time = day_time(&(uint64_t){ traced->time_ns });
	struct json_object *object = json_object_new_object();
	char command[sizeof(traced->command) + 1], number[16], reason[TRACED_LONG * 16];
	const char *path = path_of(traced->cgroup);
	const struct spot given = unmapped(&traced->given);
	bool is_given = !traced->error && (traced->target == POLICY_ENDPOINT ||
					   traced->target == POLICY_FROM);

	snprintf(command, sizeof(command), "%.*s", (int)sizeof(traced->command),
		 traced->command);
	add(object, "time", json_time(&time));
	add(object, "command", json_text(command));
	add(object, "pid", json_object_new_int64(traced->pid));
	add(object, "op", json_object_new_string(op_of(traced)));
	add(object, "proto", json_object_new_string(proto_of(traced)));
	add(object, "asked",
	    is_path(traced) ? json_path(traced, 0) : json_spot(&traced->asked));
	add(object, "outcome", json_object_new_string(outcome_of(traced)));
	add(object, "given",
	    !is_given         ? NULL
	    : is_path(traced) ? json_path(traced, 1)
			      : json_spot(&given));
	add(object, "error",
	    traced->error ? json_object_new_string(error_text(traced, number)) : NULL);
	add(object, "audit", json_object_new_boolean(traced->is_audit));
	if (traced->why == TRACED_RULE) {
		rule_text(traced, reason, sizeof(reason));
		add(object, "number", json_object_new_int64((int64_t)traced->rule + 1));
		add(object, "rule", json_text(reason));
	} else {
		reason_text(traced, reason, sizeof(reason));
		add(object, "reason", json_text(reason));
	}
	add(object, "cgroup", path ? json_text(path) : NULL);
	add(object, "cgroup_id", json_object_new_uint64(traced->cgroup));
	return print_object(object);
}

int trace_line_print_lost(uint64_t n)
{
	struct timespec now = day_time(NULL);

	print_time(&now);
	printf("  %" PRIu64 " calls lost", n);
	return end_line();
}

int trace_line_print_lost_json(uint64_t n)
{
	struct timespec now = day_time(NULL);
	struct json_object *object = json_object_new_object();

	add(object, "time", json_time(&now));
	add(object, "lost", json_object_new_uint64(n));
	return print_object(object);
}
