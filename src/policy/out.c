/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text into a fixed buffer, and the one way addresses are written.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "policy/internal.h"

void out_printf(struct out *out, const char *format, ...)
{
	size_t room = out->size - out->len;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(room ? out->text + out->len : NULL, room, format, args);
	va_end(args);
	if (n < 0)
		n = 0;
	out->whole += (size_t)n;
	out->len += (size_t)n;
	if (out->len >= out->size)
		out->len = out->size ? out->size - 1 : 0;
}

void out_address(struct out *out, int family, const void *address)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(family, address, text, sizeof(text));
	out_printf(out, "%s", text);
}

static void out_path(struct out *out, const struct sockaddr_un *un, socklen_t address_len)
{
	size_t len = address_len - offsetof(struct sockaddr_un, sun_path);

	if (len > 1 && un->sun_path[0] == '\0')
		out_printf(out, "@%.*s", (int)len - 1, un->sun_path + 1);
	else
		out_printf(out, "%.*s", (int)len, un->sun_path);
}

void out_sockaddr(struct out *out, const struct sockaddr_storage *address,
		  socklen_t address_len)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	char text[INET6_ADDRSTRLEN];

	if (address->ss_family == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		out_printf(out, "%s:%u", text, ntohs(in->sin_port));
	} else if (address->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		out_printf(out, "[%s]:%u", text, ntohs(in6->sin6_port));
	} else if (address->ss_family == AF_UNIX) {
		out_path(out, (const struct sockaddr_un *)address, address_len);
	} else {
		out_printf(out, "an address of family %d", address->ss_family);
	}
}
