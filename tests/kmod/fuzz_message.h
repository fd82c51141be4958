/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A netlink message, and what it takes to send one. The buffer has room behind its end
 * for what tells lies about its length.
 */
#ifndef FUZZ_MESSAGE_H
#define FUZZ_MESSAGE_H

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

struct message {
	union {
		struct nlmsghdr header;
		unsigned char bytes[4096];
	};
};

/* @head follows the header: struct genlmsghdr, struct ifinfomsg ... */
void message_init(struct message *message, uint16_t type, uint16_t flags,
		  const void *head, size_t size);
/* Nothing is added to a message that is full. */
void message_put(struct message *message, uint16_t type, const void *value, size_t size);
void message_put_u16(struct message *message, uint16_t type, uint16_t value);
void message_put_u32(struct message *message, uint16_t type, uint32_t value);
void message_put_string(struct message *message, uint16_t type, const char *value);
/* Returns what message_end() takes. */
size_t message_begin(struct message *message, uint16_t type);
void message_end(struct message *message, size_t begin);
/* Sends it and reads answers until the acknowledgement: 0 or -errno. */
int message_talk(int fd, struct message *message);

#endif
