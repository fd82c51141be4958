/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Endpoints on their way to the module af_graft and back: as a line, as attributes, as a
 * line again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/graft.h>
#include <string.h>

#include "ctl/module_attr.h"
#include "policy/policy.h"
#include "wire/wire.h"

enum { BUFFER_SIZE = 4096 };

struct fixture {
	_Alignas(NLMSG_ALIGNTO) char buffer[BUFFER_SIZE];
	struct nlmsghdr *message;
};

static void begin(struct fixture *fixture, uint8_t command)
{
	struct genlmsghdr *header;

	memset(fixture->buffer, 0xee, sizeof(fixture->buffer));
	fixture->message = mnl_nlmsg_put_header(fixture->buffer);
	header = mnl_nlmsg_put_extra_header(fixture->message, sizeof(*header));
	header->cmd = command;
}

static void parse(struct endpoint *endpoint, const char *line)
{
	struct policy_error error = { "" };

	if (endpoint_parse(endpoint, NULL, line, strlen(line), &error) < 0)
		fail_msg("%s", error.text);
}

/* What became of @line on the way there and back, as `graft show` prints it. */
static void assert_returns(const char *line, const char *shown)
{
	struct fixture fixture;
	struct wire_endpoint told;
	struct wire_error error;
	struct endpoint endpoint, returned;
	char text[1024];

	parse(&endpoint, line);
	assert_int_equal(module_check(&endpoint, &error), 0);
	begin(&fixture, GRAFT_CMD_ENDPOINT_NEW);
	assert_int_equal(module_write(fixture.message, BUFFER_SIZE, &endpoint, 7), 0);
	endpoint_release(&endpoint);
	assert_int_equal(module_read(fixture.message, &told, &returned), 0);
	endpoint_print_graft(&returned, text, sizeof(text));
	assert_string_equal(text, shown);
	endpoint_release(&returned);
}

static void test_there_and_back(void **state)
{
	static const char *const lines[] = {
		"ep-test type ipv4 addr 127.0.0.1 port 8080 ",
		"out type ipv4 addr 0.0.0.0 port dynamic netns 1 ",
		"six type ipv6 addr 2001:db8::1 port 65535 netns web ",
		"six type ipv6 addr :: port dynamic share ",
		"six type ipv6 addr fe80::1%3 port 80 ",
		"u type unix path /run/x.sock netns /run/netns/web ",
		"abstract type unix path @name ",
		"any type any netns 123456789 ",
		"0123456789abcdef type any ",
		"r type any owner any binder uid=0 connector uid=4294967294,gid=7 ",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_returns(lines[i], lines[i]);
}

static void test_the_longest(void **state)
{
	char line[2048], label[108], path[108];
	size_t n;

	memset(label, 'l', sizeof(label) - 1);
	label[0] = '/';
	label[sizeof(label) - 1] = '\0';
	memset(path, 'p', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	n = (size_t)snprintf(line, sizeof(line), "u type unix path %s netns %s share ",
			     path, label);
	for (int i = 0; i < ACCESS_MAX; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n,
				      "owner uid=%d,gid=4294967294 ", i);
	assert_true(n < sizeof(line));
	assert_returns(line, line);
}

static const struct {
	const char *line, *text;
} lacking[] = {
	{ "0123456789abcdefg type ipv4",
	  "'0123456789abcdefg' has 17 characters; a name in the module af_graft has at "
	  "most 16" },
	{ "x type ipv4 hold",
	  "hold: the module af_graft keeps no sockets; leave the word out, or give graftd "
	  "the endpoint with --socket" },
	{ "x type ipv4 bound", "bound: a word for the rules of one run; leave it out" },
	{ "x type ipv4 binder any owner uid=1,netns=web",
	  "netns=: the module af_graft knows programs by uid= and gid= only; use those, or "
	  "give graftd the endpoint with --socket" },
	{ "x type ipv4 owner cgroup=/a",
	  "cgroup=: the module af_graft knows programs by uid= and gid= only; use those, "
	  "or give graftd the endpoint with --socket" },
	{ "x type ipv4 netns /"
	  "000000000100000000010000000001000000000100000000010000000001000000000100000000"
	  "01000000000100000000010000000",
	  "netns /000000000100000000010000000001000000000...: the module af_graft keeps at "
	  "most 107 characters of it; `ip netns attach` gives it a short name" },
};

static void test_what_it_lacks(void **state)
{
	for (size_t i = 0; i < sizeof(lacking) / sizeof(lacking[0]); i++) {
		struct wire_error error = { .number = 0 };
		struct endpoint endpoint;

		parse(&endpoint, lacking[i].line);
		assert_true(module_check(&endpoint, &error) < 0);
		assert_true(error.number > 0);
		assert_string_equal(error.text, lacking[i].text);
		endpoint_release(&endpoint);
	}
}

static void test_too_small_a_message(void **state)
{
	struct fixture fixture;
	struct endpoint endpoint;
	uint32_t begun, whole;

	parse(&endpoint, "x type ipv4 addr 1.2.3.4 port 80 netns 1 owner uid=1");
	begin(&fixture, GRAFT_CMD_ENDPOINT_NEW);
	begun = fixture.message->nlmsg_len;
	assert_int_equal(module_write(fixture.message, BUFFER_SIZE, &endpoint, -1), 0);
	whole = fixture.message->nlmsg_len;
	for (size_t size = begun; size < whole; size++) {
		begin(&fixture, GRAFT_CMD_ENDPOINT_NEW);
		assert_int_equal(module_write(fixture.message, size, &endpoint, -1),
				 -EMSGSIZE);
		assert_true(fixture.message->nlmsg_len <= size);
	}
	endpoint_release(&endpoint);
}

/* What the module says beyond what it was told. */
static void test_counts(void **state)
{
	struct fixture fixture;
	struct wire_endpoint told;
	struct endpoint endpoint;
	struct nlattr *nest;

	begin(&fixture, GRAFT_CMD_ENDPOINT_NEW);
	mnl_attr_put_strz(fixture.message, GRAFT_A_NAME, "x");
	mnl_attr_put_u16(fixture.message, GRAFT_A_FAMILY, AF_INET);
	nest = mnl_attr_nest_start(fixture.message, GRAFT_A_NETNS);
	mnl_attr_put_u32(fixture.message, GRAFT_NETNS_A_PID, 12);
	mnl_attr_put_u64(fixture.message, GRAFT_NETNS_A_COOKIE, 5);
	mnl_attr_nest_end(fixture.message, nest);
	mnl_attr_put_u16(fixture.message, GRAFT_A_BOUND, htons(4000));
	mnl_attr_put_u32(fixture.message, GRAFT_A_SOCKETS, 1);
	mnl_attr_put_u64(fixture.message, GRAFT_A_BINDS, 1ull << 40);
	mnl_attr_put_u64(fixture.message, GRAFT_A_CONNECTS, 2);
	mnl_attr_put_u64(fixture.message, GRAFT_A_DENIALS, 3);
	mnl_attr_put_u32(fixture.message, GRAFT_A_UID, 1000);
	mnl_attr_put_u32(fixture.message, 500, 0); /* of a later module */
	assert_int_equal(module_read(fixture.message, &told, &endpoint), 0);
	assert_int_equal(endpoint.netns.kind, NETNS_PID);
	assert_int_equal(endpoint.netns.pid, 12);
	assert_true(endpoint.dynamic);
	assert_int_equal(told.port, 4000);
	assert_string_equal(told.state, "bound");
	assert_true(told.n_binds == 1ull << 40);
	assert_int_equal(told.n_connects, 2);
	assert_int_equal(told.n_denied, 3);
	assert_int_equal(told.uid, 1000);
	endpoint_release(&endpoint);
}

/* Version 0 lets names, paths and labels have any bytes. */
static void test_strange_names(void **state)
{
	static const char path[] = "/a\nb";
	struct fixture fixture;
	struct wire_endpoint told;
	struct endpoint endpoint;
	char text[256];

	begin(&fixture, GRAFT_CMD_ENDPOINT_NEW);
	mnl_attr_put_strz(fixture.message, GRAFT_A_NAME, "a b\x1b");
	mnl_attr_put_u16(fixture.message, GRAFT_A_FAMILY, AF_UNIX);
	mnl_attr_put(fixture.message, GRAFT_A_PATH, strlen(path), path);
	assert_int_equal(module_read(fixture.message, &told, &endpoint), 0);
	endpoint_print_graft(&endpoint, text, sizeof(text));
	assert_string_equal(text, "a b? type unix path /a?b ");
	endpoint_release(&endpoint);
}

/* Each cut or changed message is refused or read, and nothing else. */
static void test_broken(void **state)
{
	struct fixture whole, cut;
	struct wire_endpoint told;
	struct endpoint endpoint;

	parse(&endpoint, "x type unix path /x netns web owner uid=1,gid=2");
	begin(&whole, GRAFT_CMD_ENDPOINT_NEW);
	assert_int_equal(module_write(whole.message, BUFFER_SIZE, &endpoint, 7), 0);
	endpoint_release(&endpoint);
	for (uint32_t at = MNL_NLMSG_HDRLEN + GENL_HDRLEN; at < whole.message->nlmsg_len;
	     at++) {
		for (int bit = 0; bit < 8; bit++) {
			cut = whole;
			cut.message = (struct nlmsghdr *)cut.buffer;
			cut.buffer[at] = (char)(cut.buffer[at] ^ 1 << bit);
			if (module_read(cut.message, &told, &endpoint) == 0)
				endpoint_release(&endpoint);
		}
		cut = whole;
		cut.message = (struct nlmsghdr *)cut.buffer;
		cut.message->nlmsg_len = at;
		if (module_read(cut.message, &told, &endpoint) == 0)
			endpoint_release(&endpoint);
	}
}

static void test_events(void **state)
{
	struct wire_event event = { .pid = 0 };
	struct fixture fixture;
	struct endpoint endpoint;

	parse(&endpoint, "web type ipv4 addr 127.0.0.1 port 8080");
	begin(&fixture, GRAFT_CMD_ENDPOINT_NEW);
	assert_int_equal(module_write(fixture.message, BUFFER_SIZE, &endpoint, -1), 0);
	endpoint_release(&endpoint);
	mnl_attr_put_u32(fixture.message, GRAFT_A_UID, 5);
	mnl_attr_put_u32(fixture.message, GRAFT_A_PID, 4711);
	assert_int_equal(module_read_event(fixture.message, &event), 1);
	assert_string_equal(event.kind, "add");
	assert_string_equal(event.name, "web");
	assert_string_equal(event.text, "web ipv4 127.0.0.1:8080");
	assert_int_equal(event.uid, 5);
	assert_int_equal(event.pid, 4711);

	begin(&fixture, GRAFT_CMD_ENDPOINT_DENY);
	mnl_attr_put_strz(fixture.message, GRAFT_A_NAME, "web");
	assert_int_equal(module_read_event(fixture.message, &event), 1);
	assert_string_equal(event.kind, "deny");
	assert_string_equal(event.text, "");
	assert_int_equal(event.pid, 0);

	begin(&fixture, GRAFT_CMD_ENDPOINT_BIND);
	assert_int_equal(module_read_event(fixture.message, &event), -EBADMSG);
	begin(&fixture, GRAFT_CMD_MAX + 1);
	assert_int_equal(module_read_event(fixture.message, &event), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_the_longest),
		cmocka_unit_test(test_what_it_lacks),
		cmocka_unit_test(test_too_small_a_message),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_strange_names),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
