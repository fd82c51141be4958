/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Those who watch what is judged.
 *
 * A ring buffer knows how far one reader is, so each tracer has one: it makes it, puts it
 * where the programs look (maps.h), and sets its bit in control.tracing. Its directory
 * among the pins, tracerN, is locked by a descriptor of the tracer's: when the kernel has
 * let go of that and the bit is there still, the tracer was killed. Who opens the
 * programs next takes the ring away; who finds no bit has nothing to look at.
 *
 * All of that happens under the lock of the programs. Reading takes none.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "intercept/cgroup/internal.h"

#define BATCH 1000 /* calls a reader is given before it may look at something else */

struct cgroup_tracer {
	struct cgroup_programs *programs;
	struct ring_buffer *ring;
	uint32_t number;
	int lock;
	uint64_t told; /* of those that were lost */
	unsigned int n_left;
	cgroup_trace_fn *function;
	void *context;
};

/* Sets the bit of tracer @number, or clears it. */
static int switch_tracer(const struct cgroup_programs *programs, uint32_t number,
			 bool is_on)
{
	struct control control;
	int r = control_read(programs, &control);

	if (r < 0)
		return r;
	control.tracing &= ~(1u << number);
	control.tracing |= (uint32_t)is_on << number;
	return control_write(programs, &control);
}

static void print_name(uint32_t number, char name[16])
{
	snprintf(name, 16, "tracer%u", number);
}

/* Return: a descriptor that holds it; -EBUSY: somebody is that tracer; -errno. */
static int lock_number(const struct cgroup_programs *programs, uint32_t number)
{
	_cleanup_fd_ int fd = -1;
	char name[16];

	print_name(number, name);
	if (mkdirat(programs->directory, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(programs->directory, name,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return fd_steal(&fd);
}

/* Nobody is tracer @number any more. */
static void forget_number(const struct cgroup_programs *programs, uint32_t number)
{
	char name[16];

	switch_tracer(programs, number, false);
	bpf_map_delete_elem(programs->maps[MAP_TRACED], &number);
	print_name(number, name);
	unlinkat(programs->directory, name, AT_REMOVEDIR);
}

void tracers_sweep(struct cgroup_programs *programs)
{
	struct control control;

	if (control_read(programs, &control) < 0)
		return;
	for (uint32_t number = 0; control.tracing >> number; number++) {
		int lock;

		if (!(control.tracing >> number & 1))
			continue;
		lock = lock_number(programs, number);
		if (lock < 0)
			continue;
		forget_number(programs, number);
		fd_close(lock);
	}
}

/* Return: 0 with a number that was free, locked; -EBUSY. */
static int take_number(const struct cgroup_programs *programs,
		       struct cgroup_tracer *tracer)
{
	int r = -EBUSY;

	for (uint32_t number = 0; r == -EBUSY && number < CGROUP_TRACERS; number++) {
		r = lock_number(programs, number);
		tracer->number = number;
		tracer->lock = r;
	}
	return r < 0 ? r : 0;
}

static int on_record(void *context, void *data, size_t size)
{
	struct cgroup_tracer *tracer = context;
	const struct traced *traced = data;
	int r;

	if (size < sizeof(*traced) ||
	    size - sizeof(*traced) < (size_t)traced->text_from + traced->text_size)
		return -EBADMSG;
	r = tracer->function(traced, tracer->context);
	if (r == 0 && !--tracer->n_left)
		r = -EAGAIN;
	return r;
}

/* Fills in what the programs are to know of @tracer, and lets them begin. */
static int begin(const struct cgroup_programs *programs, struct cgroup_tracer *tracer,
		 const struct tracer *wanted)
{
	_cleanup_fd_ int ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "graft_ring", 0, 0,
					       CGROUP_RING, NULL);
	uint32_t number = tracer->number;

	if (ring < 0)
		return -errno;
	tracer->ring = ring_buffer__new(ring, on_record, tracer, NULL);
	if (!tracer->ring)
		return -errno;
	if (bpf_map_update_elem(programs->maps[MAP_TRACERS], &number, wanted, BPF_ANY) <
		    0 ||
	    bpf_map_update_elem(programs->maps[MAP_TRACED], &number, &ring, BPF_ANY) < 0)
		return -errno;
	return switch_tracer(programs, number, true);
}

/* The lock is held. */
static int open_locked(struct cgroup_programs *programs, struct cgroup_tracer *tracer,
		       const struct tracer *wanted)
{
	int r = take_number(programs, tracer);

	if (r < 0)
		return r;
	r = begin(programs, tracer, wanted);
	if (r < 0) {
		forget_number(programs, tracer->number);
		ring_buffer__free(tracer->ring);
		fd_close(tracer->lock);
	}
	return r;
}

int cgroup_trace_open(struct cgroup_tracer **ret, struct cgroup_programs *programs,
		      const struct cgroup_trace_filter *filter)
{
	struct tracer wanted = { .pid = filter->pid, .is_error = filter->is_error };
	struct cgroup_tracer *tracer;
	uint64_t id = 0;
	int r = filter->cgroup < 0 ? 0 : cgroup_id(filter->cgroup, &id);

	if (r < 0)
		return r;
	wanted.cgroup = id;
	tracer = calloc(1, sizeof(*tracer));
	if (!tracer)
		return -ENOMEM;
	r = programs_lock(programs);
	if (r == 0) {
		r = open_locked(programs, tracer, &wanted);
		programs_unlock(programs);
	}
	if (r < 0) {
		free(tracer);
		return r;
	}
	tracer->programs = programs;
	*ret = tracer;
	return 0;
}

int cgroup_trace_descriptor(const struct cgroup_tracer *tracer)
{
	return ring_buffer__epoll_fd(tracer->ring);
}

int cgroup_trace_read(struct cgroup_tracer *tracer, cgroup_trace_fn *function,
		      void *context, uint64_t *ret_lost)
{
	struct tracer now;
	int r;

	tracer->function = function;
	tracer->context = context;
	tracer->n_left = BATCH;
	r = ring_buffer__consume(tracer->ring);
	if (r < 0 && r != -EAGAIN)
		return r;
	if (bpf_map_lookup_elem(tracer->programs->maps[MAP_TRACERS], &tracer->number,
				&now) < 0)
		return -errno;
	*ret_lost = now.lost - tracer->told;
	tracer->told = now.lost;
	return r == -EAGAIN;
}

int cgroup_trace_stop(struct cgroup_tracer *tracer)
{
	int r = programs_lock(tracer->programs);

	if (r < 0)
		return r;
	r = switch_tracer(tracer->programs, tracer->number, false);
	programs_unlock(tracer->programs);
	return r;
}

struct cgroup_tracer *cgroup_trace_close(struct cgroup_tracer *tracer)
{
	if (!tracer)
		return NULL;
	if (programs_lock(tracer->programs) == 0) {
		forget_number(tracer->programs, tracer->number);
		programs_unlock(tracer->programs);
	}
	ring_buffer__free(tracer->ring);
	fd_close(tracer->lock);
	cgroup_programs_free(tracer->programs);
	free(tracer);
	return NULL;
}
