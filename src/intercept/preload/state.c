/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the environment to a sealed policy, once.
 *
 *	GRAFT_RUN=PATH		the broker of a run, which has the policy too; or else
 *	GRAFT_POLICY=FILE	a policy of one's own
 *	GRAFT_CONV_PAIRS, GRAFT_INGRESS_CONVERT, GRAFT_EGRESS_CONVERT, GRAFT_BBCONN
 *				the older notations, after the policy's own rules
 *	GRAFT_SOCKET=PATH	the broker, where there is no run
 *	GRAFT_ENGINE=af_graft	sockets are the kernel module's affair, also in a run;
 *				without it they are if there is no run, no GRAFT_SOCKET,
 *				and the module is loaded
 *	GRAFT=disable...	none of it
 *	GRAFT_VERBOSE		say what becomes of calls
 *
 * It happens when the library is loaded, because later the program may have changed its
 * root, its user or its environment; or with the first call that another library makes
 * from a constructor ahead of ours. There is no lock: whoever comes first does it, and
 * calls that others make meanwhile (or that it makes itself, through an allocator) are
 * libc's.
 *
 * A rule that does not parse is told of in one line and left out; the program runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/preload/broker.h"
#include "intercept/preload/calls.h"
#include "intercept/preload/hijack.h"
#include "intercept/preload/module.h"
#include "intercept/preload/own.h"
#include "intercept/preload/reverse_named.h"
#include "intercept/preload/say.h"
#include "intercept/preload/state.h"
#include "intercept/preload/view.h"

#define POLICY_SIZE_MAX (64 * 1024 * 1024)
#define BROKER_SOCKET   "/run/graft/graftd.sock"
#define RUN_PREFIX      "@graft/run/" /* the cookie of its namespace follows */

struct state state;

static void tell(void *context, const struct policy_error *error)
{
	(void)context;
	say("%s (left out)", error->text);
}

static void add_variables(struct policy *policy)
{
	for (int i = 0; i < POLICY_N_VARIABLES; i++) {
		enum policy_variable variable = (enum policy_variable)i;
		const char *text = secure_getenv(policy_variable_name(variable));

		if (text)
			policy_check_variable(policy, variable, text, tell, NULL);
	}
}

/* Return: all of @fd, the caller's to free, or NULL. */
static char *read_file(int fd, size_t *ret_size)
{
	char *text = NULL;
	size_t room = 4096, size = 0;
	ssize_t n = 1;

	for (; n > 0 && room <= POLICY_SIZE_MAX; room *= 2) {
		char *more = realloc(text, room);

		if (!more)
			break;
		text = more;
		while (size < room && (n = read(fd, text + size, room - size)) > 0)
			size += (size_t)n;
		if (n == 0) {
			*ret_size = size;
			return text;
		}
	}
	free(text);
	return NULL;
}

static void add_text(struct policy *policy, const char *name, int fd)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	text = read_file(fd, &size);
	if (text)
		policy_check_text(policy, name, text, size, tell, NULL);
	else
		say("%s: cannot be read", name);
}

static void add_file(struct policy *policy, const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		say("%s: %s", path, strerror(errno));
	else
		add_text(policy, path, fd);
}

/* The policy of the run. What was needed to ask for it goes again: until a rule needs the
 * broker there is no descriptor of ours. */
static void add_run(struct policy *policy)
{
	_cleanup_fd_ int fd = channel_ask_memory(WIRE_ASK_POLICY);

	own_drop(OWN_CHANNEL, own_get(OWN_CHANNEL));
	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
		say("%s: %s", state.broker, strerror(fd < 0 ? -fd : errno));
	else
		add_text(policy, "GRAFT_RUN", fd);
}

static void take_broker(const char *path)
{
	const size_t size = strlen(path) + 1;

	if (size <= sizeof(state.broker))
		memcpy(state.broker, path, size);
	else
		say("%.60s...: too long for a socket", path);
}

/* Return: a policy that is not sealed, or NULL. */
static struct policy *read_rules(void)
{
	const char *run = secure_getenv("GRAFT_RUN");
	const char *file = secure_getenv("GRAFT_POLICY");
	const char *broker = secure_getenv("GRAFT_SOCKET");
	struct policy *policy = policy_new();

	if (!policy)
		return NULL;
	policy_allow_named(policy);
	state.is_run = run && *run;
	if (state.is_run) {
		take_broker(run);
		add_run(policy);
		return policy;
	}
	take_broker(broker && *broker ? broker : BROKER_SOCKET);
	if (file && *file)
		add_file(policy, file);
	add_variables(policy);
	return policy;
}

static bool is_set(const char *name)
{
	const char *value = secure_getenv(name);

	return value && *value;
}

static bool wants_rules(void)
{
	for (int i = 0; i < POLICY_N_VARIABLES; i++)
		if (is_set(policy_variable_name((enum policy_variable)i)))
			return true;
	return is_set("GRAFT_RUN") || is_set("GRAFT_POLICY");
}

static bool is_disabled(void)
{
	const char *value = secure_getenv("GRAFT");

	return value && !strncmp(value, "disable", strlen("disable"));
}

/* A program that was started in another network namespace than that of its run: is not
 * of the run. */
static bool is_elsewhere(void)
{
	const char *run = secure_getenv("GRAFT_RUN");
	const size_t size = strlen(RUN_PREFIX);

	return run && !strncmp(run, RUN_PREFIX, size) &&
	       strtoull(run + size, NULL, 10) != place_own();
}

bool state_find_module(void)
{
	bool is_loaded = module_is_loaded() && module_family() >= 0;

	atomic_store(&state.module, is_loaded ? STATE_MODULE_USED : STATE_MODULE_UNUSED);
	return is_loaded;
}

/* @anyway: the program named an endpoint, so that the kernel may load the module. */
static enum state_module load_module(bool anyway)
{
	const char *engine = secure_getenv("GRAFT_ENGINE");

	if (engine && *engine && strcmp(engine, MODULE_ENGINE) != 0)
		return STATE_MODULE_UNUSED;
	if (engine && *engine) {
		if (module_family() < 0)
			say("GRAFT_ENGINE=%s: the kernel has no AF_GRAFT; modprobe "
			    "af_graft",
			    engine);
		return STATE_MODULE_USED;
	}
	if (is_set("GRAFT_RUN") || is_set("GRAFT_SOCKET"))
		return STATE_MODULE_UNUSED;
	if (!anyway)
		return STATE_MODULE_IF_LOADED;
	return module_family() >= 0 ? STATE_MODULE_USED : STATE_MODULE_UNUSED;
}

/* Return: the mode to be in. */
static enum state_mode load(bool anyway)
{
	struct policy *policy;

	if (is_disabled())
		return STATE_DISABLED;
	if ((!anyway && !wants_rules()) || is_elsewhere())
		return STATE_OFF;
	say_init();
	state.is_verbose = is_set("GRAFT_VERBOSE");
	state.module = load_module(anyway);
	policy = read_rules();
	if (!policy || policy_seal_rest(policy, tell, NULL) < 0 ||
	    (!anyway && policy_n_rules(policy) == 0)) {
		policy_free(policy);
		return STATE_OFF;
	}
	policy_get_reach(policy, &state.reach);
	state.policy = policy;
	guess_init();
	view_start(policy);
	reverse_named_start();
	return STATE_ON;
}

static bool load_once(int from, bool anyway)
{
	int saved = errno;
	enum state_mode mode;

	real_resolve();
	if (!atomic_compare_exchange_strong(&state.mode, &from, STATE_LOADING))
		return from == STATE_ON;
	mode = load(anyway);
	atomic_store_explicit(&state.mode, mode, memory_order_release);
	errno = saved;
	return mode == STATE_ON;
}

bool state_load(void)
{
	return load_once(STATE_NEW, false);
}

bool state_wake(void)
{
	int mode = atomic_load(&state.mode);

	if (mode == STATE_DISABLED)
		return false;
	return mode == STATE_ON || load_once(STATE_OFF, true);
}

__attribute__((constructor)) static void start(void)
{
	state_load();
}
