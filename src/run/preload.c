/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library is loaded by the dynamic linker, so a program without one (PT_INTERP) never
 * sees it, nor does one for another machine or C library. That is said before the program
 * starts, for it would run and reach nothing. What the program starts in turn is not
 * looked at.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "config.h"
#include "run/preload.h"

#define SCRIPTS_MAX  4 /* interpreters of interpreters, as in the kernel */
#define LINE_MAX_    256
#define HEADERS_MAX  64
#define DEFAULT_PATH "/bin:/usr/bin"

/* --- the library --- */

static char *own_directory(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return NULL;
	path[n] = '\0';
	*strrchr(path, '/') = '\0';
	return strdup(path);
}

int preload_find(char **ret_path)
{
	static const char *const beside[] = { "", "/../intercept" };
	_cleanup_free_ char *directory = own_directory();
	char path[PATH_MAX];

	for (size_t i = 0; directory && i < ARRAY_SIZE(beside); i++) {
		snprintf(path, sizeof(path), "%s%s/" PRELOAD_LIBRARY, directory,
			 beside[i]);
		if (access(path, R_OK) == 0) {
			*ret_path = realpath(path, NULL);
			return *ret_path ? 0 : -errno;
		}
	}
	if (access(GRAFT_LIBDIR "/" PRELOAD_LIBRARY, R_OK) < 0)
		return -errno;
	*ret_path = strdup(GRAFT_LIBDIR "/" PRELOAD_LIBRARY);
	return *ret_path ? 0 : -ENOMEM;
}

/* --- the program --- */

static int open_program(const char *path)
{
	struct stat st;

	if (access(path, X_OK) < 0 || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return -ENOENT;
	return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

/* As execvp() finds it. Return: a descriptor, or less than 0. */
static int find_program(const char *name)
{
	const char *at = getenv("PATH");
	char path[PATH_MAX];

	if (strchr(name, '/'))
		return open_program(name);
	for (at = at ? at : DEFAULT_PATH; at;) {
		const char *end = strchrnul(at, ':');
		int fd;

		snprintf(path, sizeof(path), "%.*s%s%s", (int)(end - at), at,
			 end > at ? "/" : "", name);
		fd = open_program(path);
		if (fd >= 0)
			return fd;
		at = *end ? end + 1 : NULL;
	}
	return -ENOENT;
}

static int unreachable(char *why, size_t size, const char *reason)
{
	snprintf(why, size, "%s", reason);
	return PRELOAD_E_UNREACHABLE;
}

static int check_interpreter(int fd, const ElfW(Phdr) * header, char *why, size_t size)
{
	char path[PATH_MAX];
	ssize_t n = pread(fd, path, sizeof(path) - 1, (off_t)header->p_offset);

	if (n <= 0)
		return 0;
	path[n] = '\0';
	if (strstr(path, "/ld-musl"))
		return unreachable(why, size, "it uses another C library (musl)");
	return 0;
}

static int check_elf(int fd, const ElfW(Ehdr) * head, char *why, size_t size)
{
	static const unsigned char own_class =
		sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
	ElfW(Phdr) headers[HEADERS_MAX];
	size_t n = head->e_phnum < HEADERS_MAX ? head->e_phnum : HEADERS_MAX;
	ElfW(Ehdr) own;
	_cleanup_fd_ int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (pread(self, &own, sizeof(own), 0) != sizeof(own))
		return 0;
	if (head->e_ident[EI_CLASS] != own_class || head->e_machine != own.e_machine)
		return unreachable(why, size, "it is for another machine");
	if (head->e_phentsize != sizeof(*headers) ||
	    pread(fd, headers, n * sizeof(*headers), (off_t)head->e_phoff) !=
		    (ssize_t)(n * sizeof(*headers)))
		return 0;
	for (size_t i = 0; i < n; i++)
		if (headers[i].p_type == PT_INTERP)
			return check_interpreter(fd, &headers[i], why, size);
	return unreachable(why, size, "it is a static program");
}

/* "#! INTERPRETER [ARGUMENT]". Return: the interpreter, in @line. */
static char *take_interpreter(char *line)
{
	char *at = line + 2 + strspn(line + 2, " \t");

	at[strcspn(at, " \t\n")] = '\0';
	return at;
}

int preload_check(const char *name, char *why, size_t size)
{
	_cleanup_fd_ int fd = find_program(name);

	for (int i = 0; fd >= 0 && i < SCRIPTS_MAX; i++) {
		union {
			ElfW(Ehdr) elf;
			char line[LINE_MAX_];
		} head = { 0 };
		ssize_t n = pread(fd, &head, sizeof(head) - 1, 0);

		if (n >= (ssize_t)sizeof(head.elf) &&
		    !memcmp(head.elf.e_ident, ELFMAG, SELFMAG))
			return check_elf(fd, &head.elf, why, size);
		if (n < 3 || head.line[0] != '#' || head.line[1] != '!')
			return 0; /* for the shell, or an error that exec will find */
		fd_close(fd);
		fd = open_program(take_interpreter(head.line));
	}
	return 0;
}

/* --- the environment --- */

int preload_set_environment(const char *library, const char *broker, bool has_module,
			    bool is_verbose)
{
	const char *others = getenv("LD_PRELOAD");
	_cleanup_free_ char *value = NULL;

	if (strpbrk(library, ": \t"))
		return -EINVAL; /* they divide paths there, and nothing escapes them */
	if (asprintf(&value, "%s%s%s", library, others && *others ? ":" : "",
		     others ? others : "") < 0)
		return -ENOMEM;
	if (setenv("LD_PRELOAD", value, 1) < 0 || setenv("GRAFT_RUN", broker, 1) < 0 ||
	    (has_module && setenv("GRAFT_ENGINE", "af_graft", 1) < 0) ||
	    (is_verbose && setenv("GRAFT_VERBOSE", "1", 1) < 0))
		return -errno;
	return 0;
}

void preload_clear_environment(void)
{
	unsetenv("GRAFT_RUN");
	unsetenv("GRAFT_ENGINE");
}
