/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking back what rules let through.
 *
 * Theory of operation. The policy's second image becomes a copy of the first in which
 * the chosen outcomes deny, so they go on deciding the calls they decided. One store
 * switches, as when a policy is replaced: who is killed before it has revoked nothing,
 * who is killed after it only has to do it again. When no call is judged by the old
 * image any more, nothing new can come of those rules, and all that did is noted with
 * its socket (made.bpf.h). Those sockets are marked dead and destroyed.
 *
 * Rounds. Two at least, with the calls of before over in between: a connection that a
 * listener's copy was being made for while the first one passed is seen by the second.
 * More while something was found, or a connect() that was judged before is not done yet,
 * which takes it microseconds; ROUNDS at most.
 *
 * Destroying is not the end of all. A listener, and whatever was bound by name, keeps its
 * port, and a datagram socket goes on to receive; listen() is judged by nobody. So where
 * such are left, or what the kernel could not destroy, packets are looked at from then on
 * until there are none.
 *
 * What calls between copy and switch counted is lost to the counters.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "intercept/cgroup/internal.h"

#define ROUNDS   16
#define PATIENCE 4 /* rounds after which a connect() of a UNIX socket waits for room */

/* --- which rules --- */

static bool same_words(const char *a, size_t n, const char *b)
{
	const char *end = a + n;

	for (;;) {
		while (a < end && (*a == ' ' || *a == '\t'))
			a++;
		b += strspn(b, " \t");
		if (a == end || !*b)
			return a == end && !*b;
		while (a < end && *a != ' ' && *a != '\t')
			if (*a++ != *b++)
				return false;
		if (*b && *b != ' ' && *b != '\t')
			return false;
	}
}

/* The number of the rule with that text. Return: 0 or -ESRCH. */
static int find_line(const struct image_cell *cells, size_t n, const char *wanted,
		     size_t *ret)
{
	size_t at = cells[1].word[2], size = cells[1].word[3];
	const char *text = (const char *)&cells[at], *end = text + size;

	if (at + size / sizeof(*cells) > n)
		return -EBADMSG;
	for (size_t i = 0; i < cells[0].word[2]; i++) {
		const char *line = memchr(text, '\n', (size_t)(end - text));

		if (!line)
			return -EBADMSG;
		*ret = i;
		if (same_words(text, (size_t)(line - text), wanted))
			return 0;
		text = line + 1;
	}
	return -ESRCH;
}

/* The number of an endpoint of the policy's, or of the registry's. */
static int find_endpoint(const struct cgroup_programs *programs, uint32_t slot,
			 const char *name, uint32_t *ret)
{
	struct endpoint_key key = { .slot = slot };

	if (strlen(name) >= sizeof(key.name))
		return -ESRCH;
	strncpy(key.name, name, sizeof(key.name) - 1);
	if (bpf_map_lookup_elem(programs->maps[MAP_NAMES], &key, ret) == 0)
		return 0;
	key.slot = 0;
	return bpf_map_lookup_elem(programs->maps[MAP_NAMES], &key, ret) == 0 ? 0
									      : -ESRCH;
}

static void revoke_rule(struct image_cell *cells, size_t rule,
			struct cgroup_revoked *revoked)
{
	struct image_cell *outcome = image_outcome(cells, rule);

	if (IMAGE_TARGET(outcome->word[0]) == POLICY_DENY)
		return;
	outcome->word[0] = (outcome->word[0] & ~0xffu) | POLICY_DENY | IMAGE_REVOKED;
	outcome->word[1] = (outcome->word[1] & 0xffff) | EACCES << 16;
	cells[1].word[0] |= IMAGE_REVOKES;
	if (!(outcome->word[0] & IMAGE_IS_UNIX))
		cells[1].word[0] |= IMAGE_DENIES;
	revoked->n_rules++;
}

/* Has what @choice says deny. Return: 0, -ESRCH: there is no such, or -errno. */
static int revoke_rules(const struct cgroup_programs *programs, uint32_t slot,
			const struct cgroup_choice *choice, struct image_cell *cells,
			size_t n_cells, struct cgroup_revoked *revoked)
{
	size_t n = cells[0].word[2], from = 0, to = n, n_chosen = 0;
	uint32_t endpoint = IMAGE_NONE;
	int r = 0;

	if (choice->endpoint)
		r = find_endpoint(programs, slot, choice->endpoint, &endpoint);
	else if (choice->line)
		r = find_line(cells, n_cells, choice->line, &from);
	else if (choice->rule)
		from = choice->rule - 1;
	if (r < 0)
		return r;
	if (choice->line || choice->rule)
		to = from + 1;
	if (to > n)
		return -ESRCH;
	for (size_t i = from; i < to; i++) {
		if (choice->endpoint && image_outcome(cells, i)->word[2] != endpoint)
			continue;
		n_chosen++;
		revoke_rule(cells, i, revoked);
	}
	return n_chosen || !choice->endpoint ? 0 : -ESRCH;
}

/* --- which sockets --- */

static int look_by(const struct cgroup_programs *programs,
		   const struct revoking *revoking)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(programs->maps[MAP_REVOKING], &zero, revoking,
				   BPF_ANY) < 0
		       ? -errno
		       : 0;
}

static struct revoking revoking_of(uint32_t image, struct image_cell *cells,
				   enum revoking_mode mode)
{
	return (struct revoking){
		.image = image,
		.mode = mode,
		.first = *image_first(cells),
		.last = *image_edition(cells),
	};
}

static int destroy_all(struct cgroup_programs *programs, struct revoking *revoking,
		       struct found *found)
{
	int r = 0;

	for (int i = 0; r == 0 && i < ROUNDS; i++) {
		revoking->with_calls = found->n_waiting && i >= PATIENCE;
		r = look_by(programs, revoking);
		if (r == 0)
			r = found_round(programs, found);
		if (r == 0 && i && !found->is_changed && !found->n_pending &&
		    !found->n_waiting)
			break;
		if (r == 0)
			r = calls_wait();
	}
	return r;
}

/* Those that are left, or may be of use again. No packets are a UNIX socket's. */
static int silence_rest(struct cgroup_programs *programs, int cgroup,
			const struct found *found, struct cgroup_revoked *revoked)
{
	bool is_needed = false;

	for (size_t i = 0; i < found->n; i++) {
		struct cgroup_socket *socket = found->sockets[i];
		/* With its listener, or its other end. */
		bool is_closed = socket->round != found->round ||
				 (socket->is_idle && socket->state != TCP_CLOSE);

		if (socket->fate == CGROUP_LIVES && (is_closed || !socket->type))
			socket->fate = is_closed ? CGROUP_DESTROYED : CGROUP_SILENCED;
		if (socket->fate == CGROUP_LIVES)
			revoked->n_living++;
		if (socket->fate == CGROUP_SILENCED || socket->is_bound)
			is_needed = true;
	}
	return is_needed ? silence_begin(programs, cgroup) : 0;
}

static bool has_program(int cgroup, enum bpf_attach_type type, int program)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info), n = 64, ids[64], flags;

	if (bpf_obj_get_info_by_fd(program, &info, &size) < 0 ||
	    bpf_prog_query(cgroup, type, 0, &flags, ids, &n) < 0)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (ids[i] == info.id)
			return true;
	return false;
}

int silence_begin(struct cgroup_programs *programs, int cgroup)
{
	for (int i = PROGRAM_DEAD_INGRESS; i <= PROGRAM_DEAD_EGRESS; i++)
		if (!has_program(cgroup, program_rows[i].type, programs->programs[i]) &&
		    bpf_prog_attach(programs->programs[i], cgroup, program_rows[i].type,
				    BPF_F_ALLOW_MULTI) < 0)
			return -errno;
	return 0;
}

void silence_end(struct cgroup_programs *programs, int cgroup, uint32_t image)
{
	const struct revoking revoking = { .image = image, .mode = REVOKING_COUNT };
	struct found found = { .is_listed = true };
	bool is_over;

	if (!has_program(cgroup, BPF_CGROUP_INET_INGRESS,
			 programs->programs[PROGRAM_DEAD_INGRESS]))
		return;
	is_over = look_by(programs, &revoking) == 0 &&
		  found_round(programs, &found) == 0 && !found.n_seen;
	for (int i = PROGRAM_DEAD_INGRESS; is_over && i <= PROGRAM_DEAD_EGRESS; i++)
		bpf_prog_detach2(programs->programs[i], cgroup, program_rows[i].type);
	found_release(&found);
}

/* --- all of it --- */

static int list(struct cgroup_programs *programs, uint32_t image,
		struct image_cell *cells, size_t n, struct found *found)
{
	struct revoking revoking = revoking_of(image ^ 1, cells, REVOKING_LIST);
	int r = image_put(programs, image ^ 1, cells, n);

	found->is_listed = true;
	if (r == 0)
		r = look_by(programs, &revoking);
	return r < 0 ? r : found_round(programs, found);
}

static int take_back(struct cgroup_programs *programs, int cgroup, uint64_t id,
		     uint32_t image, const struct cgroup_choice *choice,
		     struct cgroup_revoked *revoked, struct found *found)
{
	_cleanup_free_ struct image_cell *cells = NULL;
	struct revoking revoking;
	size_t n;
	int r = image_read(programs, image, &cells, &n);

	if (r == 0 && cells[1].word[0] & IMAGE_AUDIT && !choice->is_listed)
		r = -EBUSY;
	if (r == 0)
		r = revoke_rules(programs, CGROUP_SLOT(image), choice, cells, n, revoked);
	if (r < 0)
		return r;
	found->has_unix = cells[1].word[0] & IMAGE_UNIXES && !choice->is_listed &&
			  programs->programs[PROGRAM_MADE_UNIX] >= 0;
	if (choice->is_dry)
		return list(programs, image, cells, n, found);
	if (revoked->n_rules) {
		image ^= 1;
		r = image_put(programs, image, cells, n);
		if (r == 0)
			r = switch_image(programs, cgroup, id, image ^ 1, image, true);
	}
	if (r < 0)
		return r;
	revoking = revoking_of(image, cells, REVOKING_MARK);
	r = destroy_all(programs, &revoking, found);
	return r < 0 ? r : silence_rest(programs, cgroup, found, revoked);
}

int cgroup_revoke(struct cgroup_programs *programs, int cgroup,
		  const struct cgroup_choice *choice, struct cgroup_revoked *ret)
{
	struct cgroup_revoked revoked = { 0 };
	struct found found = { 0 };
	uint32_t image = 0;
	uint64_t id = 0;
	int r = lock_cgroup(programs, cgroup, &id);

	if (r < 0)
		return r;
	r = image_of(programs, id, &image);
	if (r == 0)
		r = take_back(programs, cgroup, id, image, choice, &revoked, &found);
	programs_unlock(programs);
	if (r == 0) {
		revoked.sockets = steal_pointer(found.sockets);
		revoked.n_sockets = found.n;
		revoked.cannot_destroy = found.cannot;
		found.n = 0;
		*ret = revoked;
	}
	found_release(&found);
	return r;
}

void cgroup_revoked_release(struct cgroup_revoked *revoked)
{
	for (size_t i = 0; i < revoked->n_sockets; i++)
		free(revoked->sockets[i]);
	free(revoked->sockets);
	*revoked = (struct cgroup_revoked){ 0 };
}
