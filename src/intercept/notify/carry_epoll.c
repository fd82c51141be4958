/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Carrying epoll registrations.
 *
 * The kernel keys a registration by the pair {open file, number used to add it}. To make
 * one that the program can later modify and delete by its own number, the new file is
 * put under that very number in our table for a moment (a table of the calling thread's
 * own: unshare(CLONE_FILES)), whatever lives there being parked meanwhile. The
 * registration then belongs to the file and outlives our number.
 *
 * What is registered is read from the instance's fdinfo:
 *
 *	tfd:        5 events:       19 data: 7f00deadbeef  pos:0 ino:1a2b sdev:8
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/number.h"
#include "intercept/notify/engine.h"

#define NUMBER_SAFE 3 /* nothing of ours is looked up by number below this */

struct registration {
	uint64_t number, events, data, inode;
};

static bool take_registration(const char *at, struct registration *ret)
{
	uint64_t position;

	return number_skip_word(&at, "tfd:") && number_take(&at, 10, &ret->number) &&
	       number_skip_word(&at, "events:") && number_take(&at, 16, &ret->events) &&
	       number_skip_word(&at, "data:") && number_take(&at, 16, &ret->data) &&
	       number_skip_word(&at, "pos:") && number_take(&at, 10, &position) &&
	       number_skip_word(&at, "ino:") && number_take(&at, 16, &ret->inode);
}

/* Finds the registration of file @inode under @number. */
static bool find_registration(const char *info, int number, ino_t inode,
			      struct epoll_event *ret)
{
	for (const char *at = strstr(info, "tfd:"); at; at = strstr(at + 1, "tfd:")) {
		struct registration found;

		if (!take_registration(at, &found) || found.number != (uint64_t)number ||
		    found.inode != inode)
			continue;
		ret->events = (uint32_t)found.events;
		ret->data.u64 = found.data;
		return true;
	}
	return false;
}

/* epoll_ctl() with @fd standing under @number. */
static int control_as(int epoll, int operation, int number, int fd,
		      struct epoll_event *event)
{
	_cleanup_fd_ int parked = fcntl(number, F_DUPFD_CLOEXEC, NUMBER_SAFE);
	_cleanup_fd_ int instance = fcntl(epoll, F_DUPFD_CLOEXEC, number + 1);
	_cleanup_fd_ int file = fcntl(fd, F_DUPFD_CLOEXEC, number + 1);
	int r = 0;

	if (instance < 0 || file < 0)
		return -errno;
	if (dup3(file, number, O_CLOEXEC) < 0)
		return -errno;
	if (epoll_ctl(instance, operation, number, event) < 0)
		r = -errno;
	if (parked >= 0)
		dup3(parked, number, O_CLOEXEC);
	else
		close(number);
	return r;
}

void carry_epoll(int epoll, const char *info, int number, int from, int to)
{
	struct epoll_event event = { 0 };
	struct stat st;
	int r;

	if (fstat(from, &st) < 0 || !find_registration(info, number, st.st_ino, &event))
		return;
	r = control_as(epoll, EPOLL_CTL_DEL, number, from, &event);
	if (r < 0 && r != -ENOENT)
		log_debug("an epoll registration stays on the old socket: %s",
			  strerror(-r));
	r = control_as(epoll, EPOLL_CTL_ADD, number, to, &event);
	if (r < 0 && r != -EEXIST)
		log_limited(LOG_LEVEL_WARNING,
			    "an epoll registration did not move along: %s", strerror(-r));
}
