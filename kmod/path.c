// SPDX-License-Identifier: GPL-2.0-only
/*
 * The path of an AF_UNIX endpoint is one of who added it, whatever the mount namespace
 * and the root directory of the task that uses it. AF_UNIX looks paths up from the root
 * of the calling task, so that one is exchanged meanwhile: the task's pointer, not the
 * struct, which other tasks may share.
 */
#include <linux/fs_struct.h>
#include <linux/path.h>
#include <linux/sched/task.h>

#include "endpoint.h"
#include "socket.h"

static void exchange(struct graft_root *root, struct fs_struct *fs)
{
	/* Under the lock that those take who look at another task's. */
	task_lock(current);
	root->saved = current->fs;
	current->fs = fs;
	task_unlock(current);
}

void graft_root_enter(struct graft_root *root, const struct graft_endpoint *endpoint)
{
	struct fs_struct *fs = &root->fs;

	root->saved = NULL;
	if (!endpoint->root.mnt)
		return;
	memset(fs, 0, sizeof(*fs));
	graft_fs_struct_init(fs);
	fs->users = 1;
	fs->umask = current_umask();
	fs->root = endpoint->root;
	fs->pwd = endpoint->root;
	path_get(&fs->root);
	path_get(&fs->pwd);
	exchange(root, fs);
}

void graft_root_leave(struct graft_root *root)
{
	struct fs_struct *fs = &root->fs;

	if (!root->saved)
		return;
	exchange(root, root->saved);
	/* pivot_root() may have put others there. */
	path_put(&fs->pwd);
	path_put(&fs->root);
}
