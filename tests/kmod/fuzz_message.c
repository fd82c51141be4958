/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Netlink messages by hand.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "fuzz_message.h"

void message_init(struct message *message, uint16_t type, uint16_t flags,
		  const void *head, size_t size)
{
	memset(message, 0, sizeof(*message));
	message->header.nlmsg_len = NLMSG_LENGTH(size);
	message->header.nlmsg_type = type;
	message->header.nlmsg_flags = NLM_F_REQUEST | flags;
	memcpy(NLMSG_DATA(&message->header), head, size);
}

void message_put(struct message *message, uint16_t type, const void *value, size_t size)
{
	size_t at = NLMSG_ALIGN(message->header.nlmsg_len);
	struct nlattr *attribute = (struct nlattr *)(message->bytes + at);

	if (at + NLA_HDRLEN + NLA_ALIGN(size) > sizeof(message->bytes) - 512)
		return;
	attribute->nla_type = type;
	attribute->nla_len = NLA_HDRLEN + size;
	memcpy(attribute + 1, value, size);
	message->header.nlmsg_len = at + NLA_HDRLEN + NLA_ALIGN(size);
}

void message_put_u16(struct message *message, uint16_t type, uint16_t value)
{
	message_put(message, type, &value, sizeof(value));
}

void message_put_u32(struct message *message, uint16_t type, uint32_t value)
{
	message_put(message, type, &value, sizeof(value));
}

void message_put_string(struct message *message, uint16_t type, const char *value)
{
	message_put(message, type, value, strlen(value) + 1);
}

size_t message_begin(struct message *message, uint16_t type)
{
	size_t at = NLMSG_ALIGN(message->header.nlmsg_len);

	message_put(message, type | NLA_F_NESTED, "", 0);
	return at;
}

void message_end(struct message *message, size_t begin)
{
	struct nlattr *attribute = (struct nlattr *)(message->bytes + begin);

	attribute->nla_len = message->header.nlmsg_len - begin;
}

int message_talk(int fd, struct message *message)
{
	static _Thread_local union {
		struct nlmsghdr header;
		unsigned char bytes[32768];
	} answer;
	struct nlmsghdr *header;
	ssize_t size;
	int n;

	if (send(fd, message->bytes, message->header.nlmsg_len, 0) < 0)
		return -errno;
	/* What was left over of others' answers comes first. */
	for (n = 0; n < 1000; n++) {
		size = recv(fd, answer.bytes, sizeof(answer.bytes), 0);
		if (size < 0)
			return -errno;
		for (header = &answer.header; NLMSG_OK(header, size);
		     header = NLMSG_NEXT(header, size)) {
			if (header->nlmsg_seq != message->header.nlmsg_seq)
				continue;
			if (header->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(header))->error;
			if (header->nlmsg_type == NLMSG_DONE)
				return 0;
		}
	}
	return -ETIMEDOUT;
}
