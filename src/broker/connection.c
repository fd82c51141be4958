/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
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

void packets_clear(struct packets *packets)
{
	while (packets->first) {
		struct packet *packet = packets->first;

		packets->first = packet->next;
		fd_close(packet->fd);
		free(packet);
	}
	packets_init(packets);
}

int packets_add(struct packets *packets, const void *data, size_t size, int fd)
{
	struct packet *packet = malloc(sizeof(*packet) + size);

	if (!packet) {
		fd_close(fd);
		return -ENOMEM;
	}
	packet->next = NULL;
	packet->fd = fd;
	packet->size = (uint32_t)size;
	memcpy(packet->data, data, size);
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
		r = fd_send_now(via, packet->data, packet->size, &packet->fd,
				packet->fd >= 0);
		if (r == -EAGAIN)
			return 1;
		if (r < 0)
			return r;
		*ret_moved = true;
		packets->size -= packet->size + PACKET_COST;
		packets->first = packet->next;
		if (!packets->first)
			packets->last = &packets->first;
		fd_close(packet->fd);
		free(packet);
	}
	return 0;
}

int connection_send(struct connection *connection, const struct wire_message *message,
		    int fd)
{
	char data[WIRE_MAX];
	ssize_t n = wire_write(message, data, sizeof(data));
	int r;

	if (n < 0) {
		fd_close(fd);
		return (int)n;
	}
	if (!connection->out.first && server_may_send(connection->server)) {
		r = fd_send_now(connection->fd, data, (size_t)n, &fd, fd >= 0);
		if (r != -EAGAIN) {
			fd_close(fd);
			return r;
		}
	}
	r = packets_add(&connection->out, data, (size_t)n, fd);
	server_mark(connection);
	return r;
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
	return connection_send(connection, &message, -1);
}

int connection_bye(struct connection *connection)
{
	struct wire_message message = { .type = WIRE_BYE };

	return connection_send(connection, &message, -1);
}
