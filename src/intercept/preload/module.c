/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/preload/module.h"

#define FAMILY_FILE "/sys/module/af_graft/parameters/family"

enum { NOT_LOOKED = -2, NO_MODULE = -1 };

static atomic_int number = NOT_LOOKED;

/* --- the family --- */

bool module_has(int fd)
{
	int on;
	socklen_t size = sizeof(on);

	return getsockopt(fd, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT, &on, &size) == 0;
}

/* Another family may have the number. */
static bool is_the_modules(int family)
{
	_cleanup_fd_ int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && module_has(fd);
}

static int read_number(void)
{
	_cleanup_fd_ int fd = open(FAMILY_FILE, O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	ssize_t n;

	if (fd < 0)
		return AF_GRAFT;
	n = read(fd, text, sizeof(text) - 1);
	return n > 0 ? (int)strtol(text, NULL, 10) : AF_GRAFT;
}

int module_family(void)
{
	int family = atomic_load_explicit(&number, memory_order_relaxed), saved = errno;

	if (family != NOT_LOOKED)
		return family;
	family = read_number();
	if (!is_the_modules(family))
		family = NO_MODULE;
	atomic_store(&number, family);
	atomic_store(&module_foreign, family > 0 && family != AF_GRAFT ? family : 0);
	errno = saved;
	return family;
}

bool module_is_loaded(void)
{
	int saved = errno;
	bool is_loaded = access(FAMILY_FILE, F_OK) == 0;

	errno = saved;
	return is_loaded;
}

/* --- sockets --- */

int module_socket(int family, int type, int protocol)
{
	_cleanup_fd_ int fd = -1;
	const int on = 1;

	if (module_family() < 0)
		return -EAFNOSUPPORT;
	fd = socket(module_family(), type, protocol);
	if (fd < 0 ||
	    setsockopt(fd, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_GRAFT, GRAFT_SO_FAMILY, &family, sizeof(family)) < 0)
		return -errno;
	return fd_steal(&fd);
}

bool module_is_programs(int fd)
{
	int on = 1, saved = errno;
	socklen_t size = sizeof(on);
	bool is_ours =
		getsockopt(fd, IPPROTO_GRAFT, GRAFT_NAME_TRANSPARENT, &on, &size) < 0 ||
		on;

	errno = saved;
	return !is_ours;
}

socklen_t module_address(const char *name, union address *ret)
{
	struct sockaddr_gr *gr = (struct sockaddr_gr *)ret;

	memset(ret, 0, sizeof(*ret));
	gr->sgr_family = (sa_family_t)module_family();
	memcpy(gr->sgr_epname, name, strnlen(name, sizeof(gr->sgr_epname)));
	return sizeof(*gr);
}

int module_bind(int fd, const char *name)
{
	union address address;
	socklen_t size = module_address(name, &address);

	return bind(fd, &address.any, size) < 0 ? -errno : 0;
}

int module_connect(int fd, const char *name)
{
	union address address;
	socklen_t size = module_address(name, &address);

	return connect(fd, &address.any, size) < 0 ? -errno : 0;
}
