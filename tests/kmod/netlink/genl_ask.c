/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * genl_ask [-d] [-r] COMMAND [TYPE=STRING | TYPE:HEX]...: one request to the family
 * af_graft, well made or not. STRING gets its NUL, HEX is bytes as they stand; TYPE may
 * have the bit that says nested, 0x8000. -d asks for a dump, -r sets the reserved bytes
 * of the header. Prints "ok", and how many answers came, or what the kernel has against
 * it.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/graft.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/genl.h"
#include "wire/wire.h"

enum { REQUEST_SIZE = 4096 };

static void misuse(const char *text)
{
	fprintf(stderr, "genl_ask: '%s'?\n", text);
	exit(2);
}

static void put_hex(struct nlmsghdr *request, uint16_t type, const char *hex)
{
	unsigned char bytes[1024];
	size_t n = 0;

	for (; *hex && n < sizeof(bytes); hex += 2) {
		unsigned int byte;

		if (sscanf(hex, "%2x", &byte) != 1 || !hex[1])
			misuse(hex);
		bytes[n++] = (unsigned char)byte;
	}
	if (!mnl_attr_put_check(request, REQUEST_SIZE, type, n, bytes))
		misuse(hex);
}

static void put(struct nlmsghdr *request, const char *word)
{
	char *end;
	uint16_t type = (uint16_t)strtoul(word, &end, 0);

	if (*end == ':')
		put_hex(request, type, end + 1);
	else if (*end != '=' ||
		 !mnl_attr_put_strz_check(request, REQUEST_SIZE, type, end + 1))
		misuse(word);
}

static int count(const struct nlmsghdr *answer, void *context)
{
	++*(int *)context;
	return 0;
}

int main(int argc, char **argv)
{
	_Alignas(NLMSG_ALIGNTO) char buffer[REQUEST_SIZE];
	struct wire_error error = { .number = 0 };
	bool is_dump = false, has_reserved = false;
	static struct genl genl;
	struct nlmsghdr *request;
	int option, r, n = 0;

	while ((option = getopt(argc, argv, "dr")) != -1) {
		is_dump |= option == 'd';
		has_reserved |= option == 'r';
	}
	if (optind == argc)
		misuse("");
	if (genl_open(&genl, -1, AF_GRAFT_GENL_NAME, GRAFT_MCGRP_ENDPOINTS) <= 0) {
		printf("no family\n");
		return 1;
	}
	request = genl_begin(&genl, buffer, is_dump ? NLM_F_DUMP : NLM_F_ACK,
			     (uint8_t)atoi(argv[optind]));
	if (has_reserved)
		((struct genlmsghdr *)mnl_nlmsg_get_payload(request))->reserved = 1;
	while (argv[++optind])
		put(request, argv[optind]);
	r = genl_ask(&genl, request, count, &n, &error);
	if (r == 0)
		printf("ok %d\n", n);
	else
		printf("%s%s%s\n", strerrorname_np(r > 0 ? (int)error.number : -r),
		       error.text[0] ? ": " : "", error.text);
	genl_close(&genl);
	return r != 0;
}
