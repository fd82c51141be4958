/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft-runtime: an OCI runtime around another one.
 *
 *	create, run		policy? no: exec the backend
 *				yes: a listener, a supervisor, exec the backend
 *	checkpoint, restore	refused for a container with a policy
 *	exec			refused with what such a container must not have
 *	delete			sweeps, and as everything else: exec the backend
 *
 * A container cannot raise the fence of fence.h behind its filter itself, so that is
 * done here, between the supervisor's start and exec: it is the backend's, which has no
 * use for TCP, and the container's. It cannot be raised where Landlock's other half is
 * in the way, which keeps who is fenced in from looking at processes outside: of what
 * is executed into a container, of containers with hooks (Docker's is /proc/PID/exe
 * of dockerd), and of those that join a process's namespaces, as a pod's do.
 *
 * The backend gets our arguments, descriptors, directory and process id, so that its
 * status, its output and the children it leaves are those of whom the engine called.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/number.h"
#include "base/process.h"
#include "config.h"
#include "intercept/notify/fence.h"
#include "intercept/notify/filter.h"
#include "policy/policy.h"
#include "run/scope.h"
#include "runtime/backend.h"
#include "runtime/bundle.h"
#include "runtime/command.h"
#include "runtime/complain.h"
#include "runtime/docker.h"
#include "runtime/door.h"
#include "runtime/executed.h"
#include "runtime/find.h"
#include "runtime/json_part.h"
#include "runtime/outside.h"
#include "runtime/profile.h"
#include "runtime/settings.h"
#include "runtime/supervise.h"

#define METADATA_BYTES 16 /* twice as many digits */

static const char usage[] =
	"Usage: graft-runtime [GLOBAL-OPTION...] COMMAND [ARGUMENT...]\n"
	"An OCI runtime: runc or crun, whose containers are grafted by a policy.\n"
	"\n"
	"Commands and options are those of the runtime it wraps, which gets all of them.\n"
	"`create` and `run` look for the container's policy: annotations graft.policy,\n"
	"graft.rule*, graft.publish*, or labels of Docker's with these names, a file of its\n"
	"name in /etc/graft/containers, Docker's published ports,\n"
	"GRAFT_CONV_PAIRS in its environment. Without one nothing is changed.\n"
	"\n"
	"  -h, --help       show this and exit\n"
	"      --version    show both versions and exit\n"
	"\n"
	"/etc/graft/runtime.conf says which runtime, and where policies are. See\n"
	"graft-runtime(8).\n";

static _Noreturn void become(const struct settings *settings, char **argv)
{
	argv[0] = settings->backend;
	execv(settings->backend, argv);
	complain("cannot execute %s: %s", settings->backend, strerror(errno));
	exit(EXIT_FAILURE);
}

static int check(const struct bundle *bundle)
{
	const char *danger = process_is_real_root() ? find_danger(bundle->config) : NULL;

	if (!danger)
		return 0;
	complain("a container with a policy must not have %s; without --cap-add and "
		 "--privileged, or with a user namespace of its own, it has not",
		 danger);
	return -EPERM;
}

/* Where a policy traps nothing there is nothing to do. */
static unsigned int traps_of(const struct policy *policy)
{
	struct policy_reach reach;

	policy_get_reach(policy, &reach);
	return filter_plan(&reach);
}

static int extend(const struct bundle *bundle, const struct profile_wish *wish,
		  char **ret_text, size_t *ret_size)
{
	struct json_object *profile, *extended = NULL;
	char why[PROFILE_WHY_SIZE] = "";
	int r;

	profile = json_object_object_get(json_object_object_get(bundle->config, "linux"),
					 "seccomp");
	r = profile_extend(profile, wish, &extended, why);
	if (r < 0) {
		complain("cannot put a listener into the seccomp profile: %s",
			 *why ? why : strerror(-r));
		return r;
	}
	r = bundle_edit(bundle, extended, ret_text, ret_size);
	json_object_put(extended);
	if (r < 0)
		complain("cannot put a listener into config.json: %s",
			 r == -EINVAL ? "there is no one place for it" : strerror(-r));
	return r;
}

/* Return: the caller's, or NULL. */
static char *program_of(const struct bundle *bundle)
{
	struct json_object *args =
		json_part(json_part(bundle->config, "process"), "args");
	const char *first =
		json_part_length(args)
			? json_object_get_string(json_object_array_get_idx(args, 0))
			: NULL;

	return first ? strdup(first) : NULL;
}

/*
 * What the runtime sends along with a listener. A door may be where a container sees it
 * (-v /run:/run), whose root is root outside: nobody is listened to who cannot say this.
 */
static int make_metadata(char metadata[2 * METADATA_BYTES + 1])
{
	unsigned char bytes[METADATA_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(metadata + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* With a door open. */
static int set_up(const struct settings *settings, const struct command *command,
		  struct bundle *bundle, const struct docker *docker,
		  const struct found *found, struct door *door)
{
	char metadata[2 * METADATA_BYTES + 1] = "";
	const struct profile_wish wish = {
		.traps = traps_of(found->policy),
		.listener = door->path,
		.metadata = metadata,
		.waits = backend_waits(settings->backend, settings->state),
	};
	_cleanup_free_ char *program = program_of(bundle);
	const struct supervise supervise = {
		.settings = settings,
		.bundle = bundle,
		.docker = docker,
		.has_ports = found->has_ports,
		.has_kit = found->has_kit,
		.door = door,
		.policy = found->policy,
		.id = command->id,
		.command = program,
		.summary = found->summary,
		.metadata = metadata,
		.traps = wish.traps,
	};
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r;

	r = make_metadata(metadata);
	if (r == 0)
		r = extend(bundle, &wish, &text, &size);
	if (r == 0)
		r = bundle_swap(bundle, text, size);
	if (r < 0)
		return r;
	/* The supervisor, which is a copy of us, has no use for it. */
	bundle_forget(bundle);
	free(steal_pointer(text));
	r = supervise_start(&supervise);
	if (r < 0) {
		complain("cannot start a supervisor: %s", strerror(-r));
		bundle_put_back(bundle);
	}
	return r;
}

static int raise_fence(void)
{
	int r = fence_raise_tcp();

	if (r < 0)
		complain("cannot raise the Landlock fence: %s", strerror(-r));
	return r < 0 ? r : 0;
}

static int graft(const struct settings *settings, const struct command *command,
		 struct bundle *bundle, const struct docker *docker,
		 const struct found *found)
{
	bool is_fenced = !find_looks_outside(bundle->config);
	struct door door = { .fd = -1 };
	int r = check(bundle);

	if (r == 0 && command->kind == COMMAND_RESTORE) {
		complain("a container with a policy cannot be restored: its sockets were "
			 "the host's");
		r = -EOPNOTSUPP;
	}
	if (r == 0)
		r = outside_check(found->policy);
	if (r == 0)
		r = door_open(&door, settings->state, command->id);
	if (r == 0)
		r = set_up(settings, command, bundle, docker, found, &door);
	if (r < 0)
		door_close(&door);
	/* The supervisor puts everything back if there is no exec. */
	return r < 0 || !is_fenced ? r : raise_fence();
}

/* create, run, restore. */
static int begin(const struct settings *settings, const struct command *command)
{
	struct found found = { .policy = NULL };
	struct bundle bundle;
	struct docker docker;
	int r;

	/* Whoever has forgotten the id hears so from the backend. */
	if (command->has_help || !command->id)
		return 0;
	r = bundle_open(&bundle, command->bundle, command->config);
	if (r < 0)
		return r;
	docker_find(bundle.config, command->id, settings->labels, &docker);
	r = find_policy(bundle.config, command->id, &docker, settings, &found);
	if (r == 0 && found.policy && traps_of(found.policy))
		r = graft(settings, command, &bundle, &docker, &found);
	docker_release(&docker);
	bundle_release(&bundle);
	policy_free(found.policy);
	return r;
}

static int refuse_checkpoint(const struct settings *settings,
			     const struct command *command)
{
	for (char **word = command->rest; *word; word++)
		if (**word != '-' && door_is_open(settings->state, *word)) {
			complain("container %s has a policy and cannot be checkpointed: "
				 "its sockets are the host's",
				 *word);
			return -EOPNOTSUPP;
		}
	return 0;
}

int main(int argc, char **argv)
{
	struct settings settings;
	struct command command;
	int r;

	(void)argc;
	log_init(STDERR_FILENO, LOG_LEVEL_WARNING, "graft-runtime");
	command_parse(argv, &command);
	if (command.kind == COMMAND_HELP) {
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	}
	complain_to(command.log, command.log_is_json);
	r = settings_read(&settings);
	if (command.kind == COMMAND_VERSION) {
		printf("graft-runtime %s\n", GRAFT_VERSION);
		fflush(stdout);
	}
	if (r == 0 && (command.kind == COMMAND_CREATE || command.kind == COMMAND_RUN ||
		       command.kind == COMMAND_RESTORE))
		r = begin(&settings, &command);
	if (r == 0 && command.kind == COMMAND_CHECKPOINT)
		r = refuse_checkpoint(&settings, &command);
	if (r == 0 && command.kind == COMMAND_EXEC)
		r = executed_check(&settings, &command);
	if (r == 0 && command.kind == COMMAND_DELETE && door_sweep(settings.state))
		scope_sweep();
	if (r == 0)
		become(&settings, argv);
	settings_release(&settings);
	return EXIT_FAILURE;
}
