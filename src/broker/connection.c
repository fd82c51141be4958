/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "broker/connection.h"
#include "broker/server.h"

/* What a packet costs beside its bytes, about. */
#define PACKET_COST 64

void packets_init(struct packets *packets)
{
	*packets = (struct packets){ .last = &packets->first };
}

static void packet_free(struct packet *packet)
{
	for (uint32_t i = 0; i < packet->n_fds; i++)
		fd_close(packet->fds[i]);
	free(packet);
}

void packets_clear(struct packets *packets)
{
	while (packets->first) {
		struct packet *packet = packets->first;

		packets->first = packet->next;
		packet_free(packet);
	}
	packets_init(packets);
}

int packets_add(struct packets *packets, const void *data, size_t size, const int *fds,
		size_t n_fds)
{
	struct packet *packet = malloc(sizeof(*packet) + size);

	if (!packet)
		return -ENOMEM;
	packet->next = NULL;
	packet->size = (uint32_t)size;
	memcpy(packet->data, data, size);
	for (packet->n_fds = 0; packet->n_fds < n_fds; packet->n_fds++) {
		int fd = fcntl(fds[packet->n_fds], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			int r = -errno;

			packet_free(packet);
			return r;
		}
		packet->fds[packet->n_fds] = fd;
	}
	*packets->last = packet;
	packets->last = &packet->next;
	packets->size += size + PACKET_COST;
	return 0;
}

void packets_join(struct packets *packets, struct packets *from)
{
	if (!from->first)
		return;
	*packets->last = from->first;
	packets->last = from->last;
	packets->size += from->size;
	packets_init(from);
}

int packets_send(struct packets *packets, int via, unsigned int n_max, bool *ret_moved)
{
	while (packets->first) {
		struct packet *packet = packets->first;
		int r;

		if (!n_max--)
			return 1;
		r = fd_send_now(via, packet->data, packet->size, packet->fds,
				packet->n_fds);
		if (r == -EAGAIN)
			return 1;
		if (r < 0)
			return r;
		*ret_moved = true;
		packets->size -= packet->size + PACKET_COST;
		packets->first = packet->next;
		if (!packets->first)
			packets->last = &packets->first;
		packet_free(packet);
	}
	return 0;
}

int connection_send_fds(struct connection *connection, const struct wire_message *message,
			const int *fds, size_t n_fds)
{
	char data[WIRE_MAX];
	ssize_t n = wire_write(message, data, sizeof(data));
	int r;

	if (n < 0)
		return (int)n;
	if (!connection->out.first && server_may_send(connection->server)) {
		r = fd_send_now(connection->fd, data, (size_t)n, fds, n_fds);
		if (r != -EAGAIN)
			return r;
	}
	r = packets_add(&connection->out, data, (size_t)n, fds, n_fds);
	server_mark(connection);
	return r;
}

int connection_send(struct connection *connection, const struct wire_message *message)
{
	return connection_send_fds(connection, message, NULL, 0);
}

int connection_refuse(struct connection *connection, int number, const char *format, ...)
{
	struct wire_message message = { .type = WIRE_ERROR };
	char text[sizeof(message.error.text)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	message.error.number = (uint32_t)number;
	wire_set_text(message.error.text, sizeof(message.error.text), text);
	return connection_send(connection, &message);
}

int connection_bye(struct connection *connection)
{
	struct wire_message message = { .type = WIRE_BYE };

	return connection_send(connection, &message);
}
