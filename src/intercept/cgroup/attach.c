/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Policies on cgroups.
 *
 * The programs are attached first and know no policy yet, so nothing is judged; then one
 * number in the cgroup's own storage turns all of them on at once. It is the cgroup, not
 * a process, that holds the programs, so they are there as long as it is. What its
 * policy held in the maps is found and freed when the next slot is looked for.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "intercept/cgroup/internal.h"
#include "policy/policy.h"

int cgroup_id(int cgroup, uint64_t *ret)
{
	struct {
		struct file_handle handle;
		uint64_t id;
	} file = { .handle.handle_bytes = sizeof(uint64_t) };
	int mount;

	if (name_to_handle_at(cgroup, "", &file.handle, &mount, AT_EMPTY_PATH) < 0)
		return -errno;
	memcpy(ret, file.handle.f_handle, sizeof(*ret));
	return 0;
}

int image_of(const struct cgroup_programs *programs, uint64_t id, uint32_t *ret)
{
	struct judged judged;

	if (bpf_map_lookup_elem(programs->maps[MAP_JUDGED], &id, &judged) < 0)
		return -errno;
	*ret = (uint32_t)judged.image;
	return judged.image ? 0 : -ENOENT;
}

int image_judging(const struct cgroup_programs *programs, int cgroup, uint32_t *ret)
{
	uint64_t id = 0;
	int r = cgroup_id(cgroup, &id);

	return r < 0 ? r : image_of(programs, id, ret);
}

static int judge_by(const struct cgroup_programs *programs, uint64_t id, uint32_t image)
{
	const struct judged judged = { .image = image, .cgroup = id };

	return bpf_map_update_elem(programs->maps[MAP_JUDGED], &id, &judged, BPF_EXIST) <
			       0
		       ? -errno
		       : 0;
}

static int set_pending(const struct cgroup_programs *programs, bool is_pending)
{
	struct control control;
	int r = control_read(programs, &control);

	if (r < 0)
		return r;
	control.pending = is_pending;
	return control_write(programs, &control);
}

/* Calls that began before are over: none is judged by what was taken away. */
static int wait_for_calls(const struct cgroup_programs *programs)
{
	int r = calls_wait();

	return r < 0 ? r : set_pending(programs, false);
}

/* Judges by @image instead of another, and waits for calls. One that is killed meanwhile
 * leaves a word for the next, who waits instead. */
static int judge_instead(const struct cgroup_programs *programs, uint64_t id,
			 uint32_t image)
{
	int r = set_pending(programs, true);

	if (r == 0)
		r = judge_by(programs, id, image);
	return r < 0 ? r : wait_for_calls(programs);
}

/* Whether an image with @flags is judged by that program too. */
static bool is_wanted(const struct program_row *row, uint32_t flags)
{
	if (row->is_of_map)
		return false;
	if (flags & IMAGE_UNJUDGED)
		return row->wants & flags & IMAGE_SHORTCUT;
	return !row->wants || row->wants & flags;
}

/* Those of the first @n that an image with @flags has, and one with @keep has not. */
static int detach_some(const struct cgroup_programs *programs, int cgroup, size_t n,
		       uint32_t flags, const uint32_t *keep)
{
	int r = 0;

	while (n--) {
		const struct program_row *row = &program_rows[n];

		if (!is_wanted(row, flags) || (keep && is_wanted(row, *keep)) ||
		    programs->programs[n] < 0)
			continue;
		if (bpf_prog_detach2(programs->programs[n], cgroup, row->type) < 0 &&
		    r == 0)
			r = -errno;
	}
	return r;
}

/* Those that an image with @flags has, and one with @has has not. */
static int attach_some(const struct cgroup_programs *programs, int cgroup, uint32_t flags,
		       const uint32_t *has)
{
	for (size_t i = 0; i < N_JUDGING; i++) {
		const struct program_row *row = &program_rows[i];
		int r;

		if (!is_wanted(row, flags) || (has && is_wanted(row, *has)))
			continue;
		if (bpf_prog_attach(programs->programs[i], cgroup, row->type,
				    BPF_F_ALLOW_MULTI) == 0)
			continue;
		r = -errno;
		detach_some(programs, cgroup, i, flags, has);
		return r;
	}
	return 0;
}

static int attach_new(struct cgroup_programs *programs, int cgroup, uint64_t id,
		      const struct policy *policy, unsigned int flags)
{
	int slot = slot_find(programs), r;
	uint32_t image = 2 * (uint32_t)slot, wants = 0;

	if (slot < 0)
		return slot;
	r = image_fill(programs, image, policy, flags, true);
	if (r == 0)
		r = image_flags(programs, image, &wants);
	if (r == 0)
		r = attach_some(programs, cgroup, wants, NULL);
	if (r == 0) {
		r = judge_by(programs, id, image);
		if (r < 0)
			detach_some(programs, cgroup, N_JUDGING, wants, NULL);
	}
	if (r < 0)
		slot_empty(programs, (uint32_t)slot);
	return r;
}

/* Judges by @to instead of @from at once, and leaves a mark that says when no call is
 * judged by @from any more. */
static int judge_next(const struct cgroup_programs *programs, uint64_t id, uint32_t from,
		      uint32_t to)
{
	_cleanup_fd_ int mark = -1;
	int r = retired_mark(programs, from, &mark);

	return r < 0 ? r : judge_by(programs, id, to);
}

int switch_image(struct cgroup_programs *programs, int cgroup, uint64_t id, uint32_t from,
		 uint32_t to, bool waits)
{
	uint32_t before, after;
	int r = image_flags(programs, from, &before);

	if (r == 0)
		r = image_flags(programs, to, &after);
	if (r == 0)
		r = attach_some(programs, cgroup, after, &before);
	if (r < 0)
		return r;
	r = waits ? judge_instead(programs, id, to) : judge_next(programs, id, from, to);
	if (r < 0)
		return r;
	return detach_some(programs, cgroup, N_JUDGING, before, &after);
}

/* A cgroup that is isolated stays so: a replacement is not who made it that. */
static int replace(struct cgroup_programs *programs, int cgroup, uint64_t id,
		   uint32_t image, const struct policy *policy, unsigned int flags)
{
	uint32_t has;
	int r = image_flags(programs, image, &has);

	if (r == 0)
		r = image_fill(programs, image ^ 1, policy,
			       has & IMAGE_ISOLATED ? flags | CGROUP_ISOLATED : flags,
			       false);
	if (r == 0)
		r = switch_image(programs, cgroup, id, image, image ^ 1,
				 flags & CGROUP_WAIT);
	if (r == 0)
		silence_end(programs, cgroup, image ^ 1);
	return r;
}

int lock_cgroup(struct cgroup_programs *programs, int cgroup, uint64_t *ret_id)
{
	struct control control;
	int r = cgroup_id(cgroup, ret_id);

	if (r == 0)
		r = programs_lock(programs);
	if (r < 0)
		return r;
	r = control_read(programs, &control);
	if (r == 0 && control.pending)
		r = wait_for_calls(programs);
	if (r < 0)
		programs_unlock(programs);
	return r;
}

int cgroup_attach(struct cgroup_programs *programs, int cgroup,
		  const struct policy *policy, unsigned int flags)
{
	uint32_t image = 0;
	uint64_t id = 0;
	int r = lock_cgroup(programs, cgroup, &id);

	if (r < 0)
		return r;
	r = image_of(programs, id, &image);
	if (r == 0)
		r = replace(programs, cgroup, id, image, policy, flags);
	else if (r == -ENOENT)
		r = attach_new(programs, cgroup, id, policy, flags);
	programs_unlock(programs);
	return r;
}

int cgroup_detach(struct cgroup_programs *programs, int cgroup)
{
	uint32_t image = 0, has = 0;
	uint64_t id = 0;
	int r = lock_cgroup(programs, cgroup, &id);

	if (r < 0)
		return r;
	r = image_of(programs, id, &image);
	if (r == 0 && image_flags(programs, image, &has) < 0)
		has = ~IMAGE_UNJUDGED;
	if (r == 0) {
		/* All of them at once, as when they came. */
		r = judge_instead(programs, id, 0);
		if (r == 0) {
			silence_end(programs, cgroup, image);
			r = detach_some(programs, cgroup, N_JUDGING, has, NULL);
		}
		if (r == 0)
			slot_empty(programs, CGROUP_SLOT(image));
	}
	programs_unlock(programs);
	return r;
}

bool cgroup_is_own(const struct cgroup_programs *programs, int socket)
{
	socklen_t size = sizeof(uint64_t);
	uint64_t cookie = 0;
	struct view view;

	return getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 &&
	       bpf_map_lookup_elem(programs->maps[MAP_VIEWS], &socket, &view) == 0 &&
	       view.flags & VIEW_OWN && view.cookie == cookie;
}

/* --- what it can serve --- */

static int refuse(const struct rule *rule, const char *why, struct policy_error *error)
{
	char at[81];

	policy_print_origin(&rule->origin, at, sizeof(at));
	snprintf(error->text, sizeof(error->text),
		 "%.80s: the cgroup engine cannot lead to endpoint '%.63s', %s; use --engine "
		 "notify",
		 at, rule->endpoint->name, why);
	return -ENOTSUP;
}

static int refuse_path(const struct rule *rule, struct policy_error *error)
{
	char at[81], line[160];

	policy_print_origin(&rule->origin, at, sizeof(at));
	policy_print_rule(rule, line, sizeof(line));
	snprintf(error->text, sizeof(error->text),
		 "%.80s: '%.80s': this kernel has no hooks for UNIX paths; Linux 6.7 and "
		 "later have",
		 at, line);
	return -ENOTSUP;
}

int cgroup_check(const struct policy *policy, struct policy_error *error)
{
	bool can_unix = false;

	for (size_t i = 0; i < policy_n_rules(policy); i++) {
		const struct rule *rule = policy_rule(policy, i);

		if (rule->family == AF_UNIX) {
			can_unix = can_unix || cgroup_can_unix();
			if (!can_unix)
				return refuse_path(rule, error);
			continue;
		}
		if (!rule->endpoint)
			continue;
		if (rule->endpoint->kind == ENDPOINT_UNIX)
			return refuse(rule, "a UNIX socket", error);
		if (rule->endpoint->netns.kind != NETNS_DEFAULT)
			return refuse(rule, "in another network namespace", error);
	}
	return 0;
}
