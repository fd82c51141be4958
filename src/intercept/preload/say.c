/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program may close its stderr and get the number back with something else behind it,
 * a database file say. So what descriptor 2 was when the library was loaded is compared
 * with what it is whenever there is something to say.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "intercept/preload/say.h"

#define LINE_MAX_SIZE 512

static struct {
	bool is_open;
	dev_t device, special;
	ino_t inode;
} first;

void say_init(void)
{
	struct stat st;

	first.is_open = fstat(STDERR_FILENO, &st) == 0;
	if (!first.is_open)
		return;
	first.device = st.st_dev;
	first.special = st.st_rdev;
	first.inode = st.st_ino;
}

static bool is_stderr(void)
{
	struct stat st;

	return first.is_open && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == first.device && st.st_ino == first.inode &&
	       st.st_rdev == first.special;
}

void say(const char *format, ...)
{
	static const char prefix[] = "libgraft-hijack.so: ";
	char line[LINE_MAX_SIZE];
	int saved = errno;
	va_list args;
	int n;

	if (is_stderr()) {
		n = snprintf(line, sizeof(line), "%s", prefix);
		va_start(args, format);
		n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);
		va_end(args);
		if (n > (int)sizeof(line) - 2)
			n = (int)sizeof(line) - 2;
		line[n] = '\n';
		if (write(STDERR_FILENO, line, (size_t)n + 1) < 0) {
			/* Nobody listens. */
		}
	}
	errno = saved;
}
