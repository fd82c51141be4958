/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * family_socket [--hold] FAMILY [TYPE]: makes a socket and says "ok", or the name of the
 * error. --hold keeps it until the program is ended.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	bool hold = argc > 1 && strcmp(argv[1], "--hold") == 0;
	int type, fd;

	argc -= hold;
	argv += hold;
	if (argc < 2) {
		fprintf(stderr, "Usage: family_socket [--hold] FAMILY [TYPE]\n");
		return 2;
	}
	type = argc > 2 ? atoi(argv[2]) : SOCK_STREAM;
	fd = socket(atoi(argv[1]), type | SOCK_CLOEXEC, 0);
	puts(fd < 0 ? strerrorname_np(errno) : "ok");
	fflush(stdout);
	if (fd >= 0 && hold)
		for (;;)
			pause();
	return fd < 0;
}
