/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking away every policy there is: each build's programs in turn, and for each of them
 * all cgroups, as one that was killed in the middle may have left programs on a cgroup
 * that has no policy.
 *
 * Runs keep theirs. A policy is what their program was started under, and goes with them;
 * its cgroup is locked while a run goes on (scope.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "intercept/cgroup/cgroup.h"
#include "run/judged.h"
#include "run/scope.h"

struct walk {
	char mount[4096]; /* of the hierarchy */
	bool is_dry;
	run_judged_path_fn *visit;
	void *context;
	size_t n_runs; /* cgroups of runs, that keep their policy */
	const FTSENT *run;
	bool has_failed;
};

static const char *path_below(const struct walk *walk, const FTSENT *entry)
{
	const char *path = entry->fts_path + strlen(walk->mount);

	return *path ? path : "/";
}

static void visit(struct walk *walk, struct cgroup_build *build, const FTSENT *entry)
{
	_cleanup_fd_ int cgroup =
		open(entry->fts_accpath, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int r = cgroup < 0 ? -errno : 0;

	if (r == -ENOENT)
		return;
	if (r == 0 && !walk->run && scope_is_live(cgroup, entry->fts_name))
		walk->run = entry;
	if (r == 0)
		r = cgroup_build_leave(build, cgroup, walk->is_dry || walk->run);
	if (r > 0 && walk->run)
		walk->n_runs++;
	else if (r > 0)
		walk->visit(path_below(walk, entry), walk->context);
	if (r < 0) {
		log_error("%s: %s", path_below(walk, entry), strerror(-r));
		walk->has_failed = true;
	}
}

/* The cgroups that are there, each before those below it. */
static int visit_all(struct walk *walk, struct cgroup_build *build)
{
	char *const tops[] = { walk->mount, NULL };
	FTS *all = fts_open(tops, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	FTSENT *entry;

	if (!all)
		return -errno;
	walk->run = NULL;
	while ((errno = 0, entry = fts_read(all))) {
		if (entry->fts_info == FTS_D)
			visit(walk, build, entry);
		else if (entry->fts_info == FTS_DP && entry == walk->run)
			walk->run = NULL;
		else if (entry->fts_info == FTS_DNR && entry->fts_errno != ENOENT)
			walk->has_failed = true;
	}
	if (errno)
		walk->has_failed = true;
	fts_close(all);
	return 0;
}

static int visit_build(struct cgroup_build *build, void *context)
{
	struct walk *walk = context;
	_cleanup_fd_ int top = open(walk->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = top < 0 ? -errno : visit_all(walk, build);

	if (r == 0 && !walk->is_dry)
		r = cgroup_build_leave_gone(build, top);
	return r;
}

int run_judged_detach_all(bool is_dry, run_judged_path_fn *path, void *context)
{
	struct walk walk = { .is_dry = is_dry, .visit = path, .context = context };
	size_t left = 0;
	int r;

	if (geteuid() != 0) {
		log_error("BPF programs on cgroups take root");
		return -EPERM;
	}
	/* Without a hierarchy no cgroup has a policy. */
	if (scope_mount(walk.mount, sizeof(walk.mount)) < 0)
		return 0;
	r = cgroup_builds_walk(NULL, is_dry, visit_build, &walk, &left);
	if (r < 0) {
		log_error("cannot take all policies away: %s", strerror(-r));
		return r;
	}
	if (walk.n_runs)
		log_warning("runs that go on keep their policies (%zu)", walk.n_runs);
	else if (left && !is_dry && !walk.has_failed)
		log_warning("connections past TCP keep pinned programs; when they are "
			    "over, do it again");
	return walk.has_failed ? -EIO : 0;
}
