/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One table of fields per type drives reading, writing and printing.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "wire/wire.h"

#define FIELD(tag, kind, required, type, member)                                         \
	{                                                                                \
		tag, offsetof(struct wire_message, type.member),                         \
			sizeof(((struct wire_message *)0)->type.member), kind, required, \
			#member                                                          \
	}

static const struct wire_field hello_fields[] = {
	FIELD(1, WIRE_U32, true, hello, pid),
	FIELD(2, WIRE_TEXT, false, hello, software),
};

static const struct wire_field error_fields[] = {
	FIELD(1, WIRE_U32, true, error, number),
	FIELD(2, WIRE_TEXT, false, error, text),
};

static const struct wire_field bye_fields[] = {
	FIELD(1, WIRE_U64, false, bye, n_left_off),
};

static const struct wire_field run_fields[] = {
	FIELD(1, WIRE_U32, true, run, pid),
	FIELD(2, WIRE_U32, true, run, supervisor),
	FIELD(3, WIRE_U32, true, run, program),
	FIELD(4, WIRE_U32, true, run, uid),
	FIELD(5, WIRE_TEXT, false, run, name),
	FIELD(6, WIRE_TEXT, false, run, command),
	FIELD(7, WIRE_TEXT, false, run, engine),
	FIELD(8, WIRE_TEXT, false, run, policy),
	FIELD(9, WIRE_U64, true, run, age_ns),
	FIELD(10, WIRE_U64, false, run, n_traps),
	FIELD(11, WIRE_U64, false, run, n_grafts),
	FIELD(12, WIRE_U64, false, run, n_swaps),
	FIELD(13, WIRE_U64, false, run, n_refused),
	FIELD(14, WIRE_TEXT, false, run, image),
};

static const struct wire_field graft_fields[] = {
	FIELD(1, WIRE_U32, true, graft, pid),
	FIELD(2, WIRE_U32, true, graft, fd),
	FIELD(3, WIRE_TEXT, false, graft, program),
	FIELD(4, WIRE_U32, true, graft, family),
	FIELD(5, WIRE_U32, true, graft, type),
	FIELD(6, WIRE_U32, true, graft, protocol),
	FIELD(7, WIRE_ADDRESS, false, graft, local),
	FIELD(8, WIRE_ADDRESS, false, graft, peer),
	FIELD(9, WIRE_TEXT, false, graft, rule),
	FIELD(10, WIRE_TEXT, false, graft, state),
	FIELD(11, WIRE_U64, false, graft, age_ns),
	FIELD(12, WIRE_U64, false, graft, cookie),
};

static const struct wire_field ask_fields[] = {
	FIELD(1, WIRE_U32, true, ask, op),
	FIELD(2, WIRE_TEXT, true, ask, name),
	FIELD(3, WIRE_U32, true, ask, family),
	FIELD(4, WIRE_U32, true, ask, type),
	FIELD(5, WIRE_U32, true, ask, protocol),
	FIELD(6, WIRE_U32, false, ask, flags),
	FIELD(7, WIRE_ADDRESS, false, ask, address),
};

static const struct wire_field grant_fields[] = {
	FIELD(1, WIRE_U32, true, grant, flags),
	FIELD(2, WIRE_U32, true, grant, family),
	FIELD(3, WIRE_ADDRESS, false, grant, address),
	FIELD(4, WIRE_U64, false, grant, generation),
	FIELD(5, WIRE_U64, false, grant, cookie),
};

/* A request that says nothing but where its answer goes. */
static const struct wire_field reply_fields[] = {
	FIELD(6, WIRE_U32, false, ask, flags),
};

static const struct wire_field add_fields[] = {
	FIELD(1, WIRE_TEXT, true, add, line),
};

static const struct wire_field del_fields[] = {
	FIELD(1, WIRE_TEXT, true, del, name),
};

static const struct wire_field endpoint_fields[] = {
	FIELD(1, WIRE_TEXT, true, endpoint, line),
	FIELD(2, WIRE_U32, false, endpoint, uid),
	FIELD(3, WIRE_U64, false, endpoint, netns),
	FIELD(4, WIRE_U32, false, endpoint, port),
	FIELD(5, WIRE_U64, false, endpoint, n_binds),
	FIELD(6, WIRE_U64, false, endpoint, n_connects),
	FIELD(7, WIRE_U64, false, endpoint, n_denied),
	FIELD(8, WIRE_TEXT, false, endpoint, state),
};

static const struct wire_field event_fields[] = {
	FIELD(1, WIRE_TEXT, true, event, kind),  FIELD(2, WIRE_TEXT, false, event, name),
	FIELD(3, WIRE_U32, false, event, uid),   FIELD(4, WIRE_U32, false, event, pid),
	FIELD(5, WIRE_U64, false, event, netns), FIELD(6, WIRE_TEXT, false, event, text),
};

static const struct {
	enum wire_type type;
	const char *name;
	const struct wire_field *fields;
	size_t n_fields;
} types[] = {
	{ WIRE_HELLO, "hello", hello_fields, ARRAY_SIZE(hello_fields) },
	{ WIRE_ERROR, "error", error_fields, ARRAY_SIZE(error_fields) },
	{ WIRE_BYE, "bye", bye_fields, ARRAY_SIZE(bye_fields) },
	{ WIRE_ASK_RUNS, "ask-runs", NULL, 0 },
	{ WIRE_RUN, "run", run_fields, ARRAY_SIZE(run_fields) },
	{ WIRE_ASK_GRAFTS, "ask-grafts", NULL, 0 },
	{ WIRE_GRAFT, "graft", graft_fields, ARRAY_SIZE(graft_fields) },
	{ WIRE_ASK, "ask", ask_fields, ARRAY_SIZE(ask_fields) },
	{ WIRE_GRANT, "grant", grant_fields, ARRAY_SIZE(grant_fields) },
	{ WIRE_ASK_SUPPLY, "ask-supply", ask_fields, ARRAY_SIZE(ask_fields) },
	{ WIRE_ASK_POLICY, "ask-policy", reply_fields, ARRAY_SIZE(reply_fields) },
	{ WIRE_POLICY, "policy", NULL, 0 },
	{ WIRE_ASK_PAGE, "ask-page", reply_fields, ARRAY_SIZE(reply_fields) },
	{ WIRE_PAGE, "page", NULL, 0 },
	{ WIRE_ADD, "add", add_fields, ARRAY_SIZE(add_fields) },
	{ WIRE_DEL, "del", del_fields, ARRAY_SIZE(del_fields) },
	{ WIRE_RELOAD, "reload", NULL, 0 },
	{ WIRE_ASK_ENDPOINTS, "ask-endpoints", NULL, 0 },
	{ WIRE_ENDPOINT, "endpoint", endpoint_fields, ARRAY_SIZE(endpoint_fields) },
	{ WIRE_WATCH, "watch", NULL, 0 },
	{ WIRE_PLACE, "place", del_fields, ARRAY_SIZE(del_fields) },
	{ WIRE_EVENT, "event", event_fields, ARRAY_SIZE(event_fields) },
};

static const struct wire_field no_fields[1];

const struct wire_field *wire_fields(unsigned int type, size_t *ret_n)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (types[i].type == type) {
			*ret_n = types[i].n_fields;
			return types[i].fields ? types[i].fields : no_fields;
		}
	}
	return NULL;
}

const char *wire_type_name(unsigned int type)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].type == type)
			return types[i].name;
	return NULL;
}

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

void wire_set_text(char *field, size_t size, const char *text)
{
	size_t i = 0;

	memset(field, 0, size);
	for (; text && text[i] && i < size - 1; i++)
		field[i] = (char)(is_control(text[i]) ? '?' : text[i]);
}

static bool is_text(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (is_control(text[i]))
			return false;
	return true;
}

static bool is_address(const struct wire_address *address)
{
	switch (address->address.ss_family) {
	case AF_INET:
		return address->len == sizeof(struct sockaddr_in);
	case AF_INET6:
		return address->len == sizeof(struct sockaddr_in6);
	case AF_UNIX:
		return address->len >= sizeof(sa_family_t) &&
		       address->len <= sizeof(struct sockaddr_un);
	default:
		return false;
	}
}

/* The bytes of @field as they travel. Return: false when there is nothing to send. */
static bool field_bytes(const struct wire_message *message,
			const struct wire_field *field, const void **ret,
			size_t *ret_size)
{
	const char *at = (const char *)message + field->offset;
	const struct wire_address *address = (const void *)at;

	*ret = at;
	switch ((enum wire_kind)field->kind) {
	case WIRE_U32:
	case WIRE_U64:
		*ret_size = field->size;
		return true;
	case WIRE_TEXT:
		*ret_size = strnlen(at, field->size);
		return *ret_size || field->required;
	case WIRE_ADDRESS:
		*ret = &address->address;
		*ret_size = address->len;
		return address->len || field->required;
	}
	return false;
}

static bool field_is_good(const struct wire_message *message,
			  const struct wire_field *field)
{
	const char *at = (const char *)message + field->offset;
	const struct wire_address *address = (const void *)at;

	switch ((enum wire_kind)field->kind) {
	case WIRE_U32:
	case WIRE_U64:
		return true;
	case WIRE_TEXT:
		return strnlen(at, field->size) < field->size &&
		       is_text(at, strnlen(at, field->size));
	case WIRE_ADDRESS:
		return address->len ? is_address(address) : !field->required;
	}
	return false;
}

ssize_t wire_write(const struct wire_message *message, void *data, size_t size)
{
	struct wire_header header = { .type = (uint16_t)message->type,
				      .version = WIRE_VERSION };
	size_t n_fields, at = sizeof(header);
	const struct wire_field *fields = wire_fields(message->type, &n_fields);

	if (!fields)
		return -EINVAL;
	for (size_t i = 0; i < n_fields; i++) {
		uint16_t head[2];
		const void *bytes;
		size_t n;

		if (!field_is_good(message, &fields[i]))
			return -EINVAL;
		if (!field_bytes(message, &fields[i], &bytes, &n))
			continue;
		if (at > size || size - at < sizeof(head) + n)
			return -EMSGSIZE;
		head[0] = fields[i].tag;
		head[1] = (uint16_t)n;
		memcpy((char *)data + at, head, sizeof(head));
		memcpy((char *)data + at + sizeof(head), bytes, n);
		at += sizeof(head) + n;
	}
	if (at > size || at > WIRE_MAX)
		return -EMSGSIZE;
	header.size = (uint32_t)at;
	memcpy(data, &header, sizeof(header));
	return (ssize_t)at;
}

/* Return: whether @size bytes at @bytes are a value of @field, now in @ret. */
static bool parse_field(const struct wire_field *field, const char *bytes, size_t size,
			struct wire_message *ret)
{
	char *at = (char *)ret + field->offset;
	struct wire_address *address = (void *)at;

	switch ((enum wire_kind)field->kind) {
	case WIRE_U32:
	case WIRE_U64:
		if (size != field->size)
			return false;
		memcpy(at, bytes, size);
		return true;
	case WIRE_TEXT:
		if (size >= field->size)
			return false;
		memcpy(at, bytes, size);
		return is_text(bytes, size);
	case WIRE_ADDRESS:
		if (size > sizeof(address->address))
			return false;
		memcpy(&address->address, bytes, size);
		address->len = (socklen_t)size;
		return size >= sizeof(sa_family_t) && is_address(address);
	}
	return false;
}

static const struct wire_field *field_by_tag(const struct wire_field *fields, size_t n,
					     uint16_t tag, size_t *ret_index)
{
	for (size_t i = 0; i < n; i++) {
		if (fields[i].tag == tag) {
			*ret_index = i;
			return &fields[i];
		}
	}
	return NULL;
}

static int parse_body(const struct wire_field *fields, size_t n_fields, const char *body,
		      size_t size, struct wire_message *ret)
{
	uint32_t seen = 0;
	uint16_t head[2];

	for (size_t at = 0; at < size; at += head[1]) {
		const struct wire_field *field;
		size_t index;

		if (size - at < sizeof(head))
			return -EBADMSG;
		memcpy(head, body + at, sizeof(head));
		at += sizeof(head);
		if (size - at < head[1])
			return -EBADMSG;
		field = field_by_tag(fields, n_fields, head[0], &index);
		if (!field)
			continue;
		if (seen & 1u << index || !parse_field(field, body + at, head[1], ret))
			return -EBADMSG;
		seen |= 1u << index;
	}
	for (size_t i = 0; i < n_fields; i++)
		if (fields[i].required && !(seen & 1u << i))
			return -EBADMSG;
	return 0;
}

int wire_parse(const void *data, size_t size, struct wire_message *ret)
{
	const struct wire_field *fields;
	struct wire_message message;
	struct wire_header header;
	size_t n_fields;
	int r;

	if (size < sizeof(header) || size > WIRE_MAX)
		return -EBADMSG;
	memcpy(&header, data, sizeof(header));
	if (header.version != WIRE_VERSION)
		return -EPROTONOSUPPORT;
	fields = wire_fields(header.type, &n_fields);
	if (!fields || header.size != size)
		return -EBADMSG;
	memset(&message, 0, sizeof(message));
	message.type = (enum wire_type)header.type;
	r = parse_body(fields, n_fields, (const char *)data + sizeof(header),
		       size - sizeof(header), &message);
	if (r < 0)
		return r;
	*ret = message;
	return 0;
}
