/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/json.h"
#include "ctl/table.h"
#include "wire/wire.h"

struct json_object *json_text(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);

	if (!copy)
		return NULL;
	text_clean(copy);
	return json_object_new_string(copy);
}

/* {"address": "127.0.0.1", "port": 80}, {"path": "/run/x"} or null. */
static struct json_object *json_address(const struct wire_address *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->address;
	struct json_object *object;
	char text[256];

	if (!address->len)
		return NULL;
	object = json_object_new_object();
	switch (address->address.ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
		json_object_object_add(object, "address", json_text(text));
		json_object_object_add(object, "port",
				       json_object_new_int(ntohs(v4->sin_port)));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
		json_object_object_add(object, "address", json_text(text));
		json_object_object_add(object, "port",
				       json_object_new_int(ntohs(v6->sin6_port)));
		break;
	default:
		wire_print_address(address, text, sizeof(text));
		json_object_object_add(object, "path", json_text(text));
		break;
	}
	return object;
}

/* wire.h: an age of 0 is not known. */
static struct json_object *json_u64(const char *name, uint64_t value)
{
	if (!value && !strcmp(name, "age_ns"))
		return NULL;
	return json_object_new_uint64(value);
}

struct json_object *json_from_message(const struct wire_message *message)
{
	struct json_object *object = json_object_new_object();
	size_t n;
	const struct wire_field *fields = wire_fields(message->type, &n);

	for (size_t i = 0; fields && i < n; i++) {
		const char *at = (const char *)message + fields[i].offset;
		struct json_object *value = NULL;
		uint32_t u32;
		uint64_t u64;

		switch ((enum wire_kind)fields[i].kind) {
		case WIRE_U32:
			memcpy(&u32, at, sizeof(u32));
			value = json_object_new_int64(u32);
			break;
		case WIRE_U64:
			memcpy(&u64, at, sizeof(u64));
			value = json_u64(fields[i].name, u64);
			break;
		case WIRE_TEXT:
			value = json_text(at);
			break;
		case WIRE_ADDRESS:
			value = json_address((const void *)at);
			break;
		}
		json_object_object_add(object, fields[i].name, value);
	}
	return object;
}

int json_show(struct json_object *object)
{
	const char *text =
		json_object_to_json_string_ext(object,
					       JSON_C_TO_STRING_PRETTY |
						       JSON_C_TO_STRING_SPACED |
						       JSON_C_TO_STRING_NOSLASHESCAPE);
	int status = !text || puts(text) == EOF || fflush(stdout) == EOF;

	json_object_put(object);
	return status;
}
