/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "wire/wire.h"

static const enum wire_type all_types[] = {
	WIRE_HELLO,      WIRE_ERROR,  WIRE_BYE,           WIRE_ASK_RUNS, WIRE_RUN,
	WIRE_ASK_GRAFTS, WIRE_GRAFT,  WIRE_ASK,           WIRE_GRANT,    WIRE_ASK_SUPPLY,
	WIRE_ASK_POLICY, WIRE_POLICY, WIRE_ASK_PAGE,      WIRE_PAGE,     WIRE_ADD,
	WIRE_DEL,        WIRE_RELOAD, WIRE_ASK_ENDPOINTS, WIRE_ENDPOINT, WIRE_WATCH,
	WIRE_EVENT,      WIRE_PLACE,
};

static void set_v4(struct wire_address *address, const char *ip, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address->address;

	memset(address, 0, sizeof(*address));
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	inet_pton(AF_INET, ip, &v4->sin_addr);
	address->len = sizeof(*v4);
}

/* A message of @type with every field set. */
static void fill(struct wire_message *message, enum wire_type type)
{
	const struct wire_field *fields;
	size_t n;

	memset(message, 0, sizeof(*message));
	message->type = type;
	fields = wire_fields(type, &n);
	assert_non_null(fields);
	for (size_t i = 0; i < n; i++) {
		char *at = (char *)message + fields[i].offset;

		switch ((enum wire_kind)fields[i].kind) {
		case WIRE_U32:
		case WIRE_U64:
			memset(at, (int)(0x11 + i), fields[i].size);
			break;
		case WIRE_TEXT:
			memset(at, (int)('a' + i), fields[i].size - 1u);
			break;
		case WIRE_ADDRESS:
			set_v4((void *)at, "127.0.0.1", (uint16_t)(8000 + i));
			break;
		}
	}
}

/* No type is forgotten above. */
static void test_all_types(void **state)
{
	size_t n_known = 0, n_fields;

	for (unsigned int type = 0; type <= UINT16_MAX; type++) {
		bool is_known = wire_type_name(type) != NULL;

		assert_int_equal(is_known, wire_fields(type, &n_fields) != NULL);
		n_known += is_known;
	}
	assert_int_equal(n_known, ARRAY_SIZE(all_types));
	for (size_t i = 0; i < ARRAY_SIZE(all_types); i++)
		assert_non_null(wire_type_name(all_types[i]));
}

static void test_identity(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_types); i++) {
		struct wire_message message, back;
		char data[WIRE_MAX], again[WIRE_MAX];
		ssize_t n;

		fill(&message, all_types[i]);
		n = wire_write(&message, data, sizeof(data));
		assert_true(n >= (ssize_t)sizeof(struct wire_header));
		assert_int_equal(wire_parse(data, (size_t)n, &back), 0);
		assert_memory_equal(&message, &back, sizeof(message));
		assert_int_equal(wire_write(&back, again, sizeof(again)), n);
		assert_memory_equal(data, again, (size_t)n);
	}
}

/* With a size that agrees, a message cut between two fields may still be one; then it
 * must hold exactly what was left. */
static bool cut_agrees(char *data, size_t size)
{
	uint32_t told = (uint32_t)size;
	struct wire_message message, back;
	char again[WIRE_MAX];
	ssize_t n;

	memcpy(data, &told, sizeof(told));
	if (wire_parse(data, size, &message) < 0)
		return true;
	n = wire_write(&message, again, sizeof(again));
	return n >= (ssize_t)size &&
	       memcmp(again + sizeof(told), data + sizeof(told), size - sizeof(told)) ==
		       0 &&
	       wire_parse(again, (size_t)n, &back) == 0 &&
	       memcmp(&message, &back, sizeof(back)) == 0;
}

/* Every shorter buffer refuses, and every cut message is none. */
static void test_cut(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_types); i++) {
		struct wire_message message, back;
		char data[WIRE_MAX];
		ssize_t n;

		fill(&message, all_types[i]);
		n = wire_write(&message, data, sizeof(data));
		for (size_t size = 0; size < (size_t)n; size++) {
			char *small = malloc(size ? size : 1);

			assert_int_equal(wire_write(&message, small, size), -EMSGSIZE);
			memcpy(small, data, size);
			assert_int_equal(wire_parse(small, size, &back), -EBADMSG);
			if (size >= sizeof(struct wire_header))
				assert_true(cut_agrees(small, size));
			free(small);
		}
	}
}

struct raw {
	char data[WIRE_MAX];
	size_t size;
};

static void raw_begin(struct raw *raw, uint16_t type)
{
	struct wire_header header = { .type = type, .version = WIRE_VERSION };

	memcpy(raw->data, &header, sizeof(header));
	raw->size = sizeof(header);
}

static void raw_add(struct raw *raw, uint16_t tag, const void *bytes, uint16_t size)
{
	uint16_t head[2] = { tag, size };

	memcpy(raw->data + raw->size, head, sizeof(head));
	memcpy(raw->data + raw->size + sizeof(head), bytes, size);
	raw->size += sizeof(head) + size;
}

static int raw_parse(struct raw *raw, struct wire_message *ret)
{
	uint32_t size = (uint32_t)raw->size;

	memcpy(raw->data, &size, sizeof(size));
	return wire_parse(raw->data, raw->size, ret);
}

static void test_spoilt(void **state)
{
	const uint32_t five = 5;
	struct wire_message message = { 0 };
	struct raw raw;

	raw_begin(&raw, WIRE_ERROR);
	raw_add(&raw, 2, "x", 1);
	assert_int_equal(raw_parse(&raw, &message), -EBADMSG); /* number is missing */
	raw_add(&raw, 1, &five, 4);
	assert_int_equal(raw_parse(&raw, &message), 0);
	assert_int_equal(message.error.number, 5);
	assert_string_equal(message.error.text, "x");
	raw_add(&raw, 999, "later", 5); /* skipped */
	assert_int_equal(raw_parse(&raw, &message), 0);
	raw_add(&raw, 1, &five, 4); /* twice */
	assert_int_equal(raw_parse(&raw, &message), -EBADMSG);

	raw_begin(&raw, WIRE_ERROR);
	raw_add(&raw, 1, &five, 3);
	assert_int_equal(raw_parse(&raw, &message), -EBADMSG);

	for (int bad = 0; bad < 3; bad++) {
		static const char *const texts[] = { "a\nb", "\x1b[2J", "a\0b" };

		raw_begin(&raw, WIRE_ERROR);
		raw_add(&raw, 1, &five, 4);
		raw_add(&raw, 2, texts[bad], 3);
		assert_int_equal(raw_parse(&raw, &message), -EBADMSG);
	}
	raw_begin(&raw, 4711);
	assert_int_equal(raw_parse(&raw, &message), -EBADMSG);
	raw_begin(&raw, WIRE_BYE);
	raw.data[6] = WIRE_VERSION + 1;
	assert_int_equal(raw_parse(&raw, &message), -EPROTONOSUPPORT);
	assert_int_equal(message.error.number, 5); /* untouched by failures */
}

static void test_bad_address(void **state)
{
	struct wire_message message, back;
	char data[WIRE_MAX];

	fill(&message, WIRE_GRAFT);
	message.graft.local.len = 15;
	assert_int_equal(wire_write(&message, data, sizeof(data)), -EINVAL);
	message.graft.local.len = 16;
	message.graft.local.address.ss_family = AF_NETLINK;
	assert_int_equal(wire_write(&message, data, sizeof(data)), -EINVAL);
	message.graft.local.address.ss_family = AF_UNIX;
	message.graft.local.len = sizeof(struct sockaddr_un) + 1;
	assert_int_equal(wire_write(&message, data, sizeof(data)), -EINVAL);
	message.graft.local.len = 0;
	memset(&message.graft.local, 0, sizeof(message.graft.local));
	assert_true(wire_write(&message, data, sizeof(data)) > 0);
	assert_int_equal(wire_parse(data, *(uint32_t *)data, &back), 0);
	assert_int_equal(back.graft.local.len, 0);
}

static void test_set_text(void **state)
{
	char text[8];

	wire_set_text(text, sizeof(text), "a\tb\x7f");
	assert_string_equal(text, "a?b?");
	wire_set_text(text, sizeof(text), "0123456789");
	assert_string_equal(text, "0123456");
	wire_set_text(text, sizeof(text), NULL);
	assert_string_equal(text, "");
}

static void test_print(void **state)
{
	static const char expected[] =
		"graft pid=12 fd=3 program=\"nginx\" family=2 type=1 protocol=6 "
		"local=127.0.0.1:8080 peer=- rule=\"\" state=\"listen\" age_ns=5 cookie=9";
	struct wire_message message = { .type = WIRE_GRAFT };
	struct wire_graft *graft = &message.graft;
	char text[512];

	graft->pid = 12;
	graft->fd = 3;
	wire_set_text(graft->program, sizeof(graft->program), "nginx");
	graft->family = AF_INET;
	graft->type = SOCK_STREAM;
	graft->protocol = IPPROTO_TCP;
	set_v4(&graft->local, "127.0.0.1", 8080);
	wire_set_text(graft->state, sizeof(graft->state), "listen");
	graft->age_ns = 5;
	graft->cookie = 9;
	assert_int_equal(wire_print(&message, text, sizeof(text)), sizeof(expected) - 1);
	assert_string_equal(text, expected);
	for (size_t size = 1; size < sizeof(expected); size++) {
		char *small = malloc(size);

		assert_int_equal(wire_print(&message, small, size), sizeof(expected) - 1);
		assert_int_equal(strlen(small), size - 1);
		assert_memory_equal(small, expected, size - 1);
		free(small);
	}
}

static void test_print_address(void **state)
{
	struct wire_address address = { 0 };
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address.address;
	struct sockaddr_un *un = (struct sockaddr_un *)&address.address;
	char text[128];

	wire_print_address(&address, text, sizeof(text));
	assert_string_equal(text, "-");
	v6->sin6_family = AF_INET6;
	v6->sin6_addr = in6addr_loopback;
	v6->sin6_port = htons(53);
	address.len = sizeof(*v6);
	wire_print_address(&address, text, sizeof(text));
	assert_string_equal(text, "[::1]:53");
	memset(&address, 0, sizeof(address));
	un->sun_family = AF_UNIX;
	strcpy(un->sun_path, "/run/x");
	address.len = sizeof(*un);
	wire_print_address(&address, text, sizeof(text));
	assert_string_equal(text, "/run/x");
	memcpy(un->sun_path, "\0ab\nc", 5);
	address.len = offsetof(struct sockaddr_un, sun_path) + 5;
	wire_print_address(&address, text, sizeof(text));
	assert_string_equal(text, "@ab?c");
	memset(un->sun_path, 'x', sizeof(un->sun_path));
	address.len = sizeof(*un);
	assert_int_equal(wire_print_address(&address, text, sizeof(text)),
			 sizeof(un->sun_path));
	address.len = sizeof(sa_family_t);
	wire_print_address(&address, text, sizeof(text));
	assert_string_equal(text, "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_types),   cmocka_unit_test(test_identity),
		cmocka_unit_test(test_cut),         cmocka_unit_test(test_spoilt),
		cmocka_unit_test(test_bad_address), cmocka_unit_test(test_set_text),
		cmocka_unit_test(test_print),       cmocka_unit_test(test_print_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
