/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "wire/wire.h"

/* Appends as snprintf does: @at may pass @size, the text does not. */
_printf_(4, 5) static size_t
	append(char *text, size_t size, size_t at, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(at < size ? text + at : NULL, at < size ? size - at : 0, format,
		      args);
	va_end(args);
	return at + (n > 0 ? (size_t)n : 0);
}

static size_t print_unix(const struct wire_address *address, char *text, size_t size)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&address->address;
	size_t n = address->len - offsetof(struct sockaddr_un, sun_path);
	char path[sizeof(un->sun_path) + 1] = "";

	memcpy(path, un->sun_path, n);
	if (n && !path[0])
		path[0] = '@';
	else
		n = strlen(path);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)path[i] < ' ' || path[i] == 0x7f)
			path[i] = '?';
	return append(text, size, 0, "%s", n ? path : "-");
}

size_t wire_print_address(const struct wire_address *address, char *text, size_t size)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->address;
	char ip[INET6_ADDRSTRLEN];

	if (!address->len)
		return append(text, size, 0, "-");
	switch (address->address.ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
		return append(text, size, 0, "%s:%u", ip, ntohs(v4->sin_port));
	case AF_INET6:
		inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
		return append(text, size, 0, "[%s]:%u", ip, ntohs(v6->sin6_port));
	case AF_UNIX:
		return print_unix(address, text, size);
	default:
		return append(text, size, 0, "?");
	}
}

static size_t print_field(const struct wire_message *message,
			  const struct wire_field *field, char *text, size_t size,
			  size_t at)
{
	const char *value = (const char *)message + field->offset;
	char address[INET6_ADDRSTRLEN + sizeof(struct sockaddr_un)];
	uint32_t u32;
	uint64_t u64;

	switch ((enum wire_kind)field->kind) {
	case WIRE_U32:
		memcpy(&u32, value, sizeof(u32));
		return append(text, size, at, " %s=%u", field->name, u32);
	case WIRE_U64:
		memcpy(&u64, value, sizeof(u64));
		return append(text, size, at, " %s=%llu", field->name,
			      (unsigned long long)u64);
	case WIRE_TEXT:
		return append(text, size, at, " %s=\"%s\"", field->name, value);
	case WIRE_ADDRESS:
		wire_print_address((const void *)value, address, sizeof(address));
		return append(text, size, at, " %s=%s", field->name, address);
	}
	return at;
}

size_t wire_print(const struct wire_message *message, char *text, size_t size)
{
	size_t n_fields, at;
	const struct wire_field *fields = wire_fields(message->type, &n_fields);

	if (!fields)
		return append(text, size, 0, "unknown message %u",
			      (unsigned int)message->type);
	at = append(text, size, 0, "%s", wire_type_name(message->type));
	for (size_t i = 0; i < n_fields; i++)
		at = print_field(message, &fields[i], text, size, at);
	return at;
}
