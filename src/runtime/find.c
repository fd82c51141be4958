/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * In the order of judgement:
 *
 *	annotations graft.rule*		a line of policy each, in the order of their names
 *	annotation graft.policy		the file of that name in the policies' directory;
 *					it has to be there
 *	else a file named as the container is, if there is one: by its id, then by its
 *	name, Docker's or what engines leave in annotations
 *	annotations graft.publish*	as -p of graft run, with blanks between
 *	Docker's published ports	if there is any of the above, or `ports all`
 *	GRAFT_CONV_PAIRS		of the first process's environment, if the
 *					administrator lets it be heard
 *
 * Docker's labels are annotations, too, if they are not the image's (docker.c).
 * Annotations come from whoever starts the container; its environment comes from the
 * image, too.
 */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/policy.h"
#include "run/options.h"
#include "runtime/complain.h"
#include "runtime/docker.h"
#include "runtime/find.h"
#include "runtime/json_part.h"
#include "runtime/kit.h"
#include "runtime/outside.h"
#include "runtime/ports.h"
#include "runtime/settings.h"

#define RULE_PREFIX     "graft.rule"
#define POLICY_KEY      "graft.policy"
#define PUBLISH_PREFIX  "graft.publish"
#define VARIABLE        "GRAFT_CONV_PAIRS="
#define ANNOTATIONS_MAX 256

/* What engines call the container by, where they say so. */
static const char *const name_keys[] = {
	"nerdctl/name",                     /* nerdctl */
	"io.kubernetes.cri.container-name", /* containerd's CRI */
	"io.kubernetes.container.name",     /* CRI-O */
	"io.podman.annotations.name",       /* where somebody sets it */
};

static int refuse(const struct policy_error *error)
{
	complain("the container's policy: %s", error->text);
	return -EINVAL;
}

static void note(struct found *found, const char *what, const char *value)
{
	size_t used = strlen(found->summary);

	snprintf(found->summary + used, sizeof(found->summary) - used, "%s%s%s",
		 used ? ", " : "", what, value);
}

/* --- annotations --- */

static int by_name(const void *a, const void *b)
{
	return strverscmp(*(const char *const *)a, *(const char *const *)b);
}

static int add_rule(struct policy *policy, const char *key, const char *value)
{
	struct policy_error error;

	return policy_add_text(policy, key, value, strlen(value), &error) < 0
		       ? refuse(&error)
		       : 0;
}

static int add_publish(struct policy *policy, const char *key, const char *value)
{
	_cleanup_free_ char *words = strdup(value);
	struct policy_error error;
	char *rest = NULL;

	if (!words)
		return -ENOMEM;
	for (char *word = strtok_r(words, " \t\n,", &rest); word;
	     word = strtok_r(NULL, " \t\n,", &rest))
		if (policy_add_publish(policy, word, &error) < 0)
			return refuse(&error);
	return 0;
}

/* Those whose names begin with @prefix, in the order of their names. */
static int add_all(struct found *found, struct json_object *annotations,
		   const char *prefix,
		   int (*add)(struct policy *, const char *, const char *))
{
	const char *keys[ANNOTATIONS_MAX];
	size_t n = 0;
	int r = 0;

	if (!json_object_is_type(annotations, json_type_object))
		return 0;
	json_object_object_foreach(annotations, key, value)
	{
		(void)value;
		if (strncmp(key, prefix, strlen(prefix)) != 0)
			continue;
		if (n == ANNOTATIONS_MAX) {
			complain("too many annotations %s*", prefix);
			return -E2BIG;
		}
		keys[n++] = key;
	}
	qsort(keys, n, sizeof(keys[0]), by_name);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const char *text = json_part_text(annotations, keys[i]);

		r = add(found->policy, keys[i], text ? text : "");
		note(found, keys[i], "");
	}
	return r;
}

/* --- files --- */

static bool is_file_name(const char *name)
{
	return name && *name && *name != '.' && !strchr(name, '/') &&
	       strlen(name) <= NAME_MAX;
}

/* Return: 0; -ENOENT without a line. */
static int add_file(struct found *found, const struct settings *settings,
		    const char *name)
{
	_cleanup_free_ char *text = NULL;
	struct policy_error error;
	char path[PATH_MAX];
	size_t size;
	int r;

	if (snprintf(path, sizeof(path), "%s/%s", settings->policies, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	r = policy_file_read(path, &text, &size);
	if (r == -ENOENT)
		return r;
	if (r < 0) {
		complain("%s: %s", path, policy_file_error(r));
		return r;
	}
	note(found, "file ", name);
	return policy_add_text(found->policy, path, text, size, &error) < 0
		       ? refuse(&error)
		       : 0;
}

static int add_files(struct found *found, struct json_object *annotations,
		     const struct docker *docker, const char *id,
		     const struct settings *settings)
{
	const char *told = json_part_text(annotations, POLICY_KEY);
	int r = -ENOENT;

	if (told) {
		if (is_file_name(told))
			r = add_file(found, settings, told);
		if (r == -ENOENT)
			complain("there is no policy '%s' in %s", told,
				 settings->policies);
		return r;
	}
	if (is_file_name(id))
		r = add_file(found, settings, id);
	if (r == -ENOENT && is_file_name(docker->name))
		r = add_file(found, settings, docker->name);
	for (size_t i = 0; r == -ENOENT && i < ARRAY_SIZE(name_keys); i++) {
		const char *name = json_part_text(annotations, name_keys[i]);

		if (is_file_name(name))
			r = add_file(found, settings, name);
	}
	return r == -ENOENT ? 0 : r;
}

/* --- Docker's --- */

/* Annotations, and the labels that none of them stands for. Return: the caller's. */
static struct json_object *merge(struct json_object *annotations,
				 const struct docker *docker)
{
	struct json_object *merged = json_object_new_object();

	if (!merged)
		return NULL;
	if (json_object_is_type(docker->labels, json_type_object)) {
		json_object_object_foreach(docker->labels, key, value)
			json_object_object_add(merged, key, json_object_get(value));
	}
	if (json_object_is_type(annotations, json_type_object)) {
		json_object_object_foreach(annotations, name, text)
			json_object_object_add(merged, name, json_object_get(text));
	}
	return merged;
}

/* Without a lender of the host's sockets they stay where they are. */
static int add_kit_ports(struct found *found, const struct docker *docker)
{
	struct policy_error error;
	int n;

	if (!kit_is_there() || !outside_is_lent())
		return 0;
	n = kit_publish(docker, found->policy, &error);
	if (n < 0)
		return n == -EINVAL ? refuse(&error) : n;
	if (n)
		note(found, "published ports", "");
	found->has_kit = n > 0;
	return 0;
}

static int add_ports(struct found *found, const struct docker *docker,
		     enum publish publish)
{
	_cleanup_free_ char *text = NULL;
	struct policy_error error;
	int r;

	if (!docker->n_ports || publish == PUBLISH_NO ||
	    (publish == PUBLISH_POLICY && !*found->summary))
		return 0;
	if (outside_is_inside())
		return add_kit_ports(found, docker);
	r = ports_policy(docker, &text);
	if (r < 0)
		return r;
	note(found, "published ports", "");
	found->has_ports = true;
	return policy_add_text(found->policy, "published ports", text, strlen(text),
			       &error) < 0
		       ? refuse(&error)
		       : 0;
}

/* --- the environment --- */

/* What an image says may lead to endpoints that somebody else has defined, with graftd or
 * in a file: it is they who say for whom those are. */
static int check_names(const struct policy *policy, size_t from)
{
	for (size_t i = from; i < policy_n_rules(policy); i++)
		if (policy_rule(policy, i)->target == POLICY_HOST) {
			complain(
				"GRAFT_CONV_PAIRS of a container may name endpoints, and "
				"not host; `environment yes` in the configuration lets "
				"it");
			return -EPERM;
		}
	return 0;
}

static int add_environment(struct found *found, struct json_object *config,
			   enum environment environment)
{
	struct json_object *env = json_part(json_part(config, "process"), "env");
	size_t n = json_part_length(env);
	size_t n_before = policy_n_rules(found->policy);
	const char *value = NULL;
	struct policy_error error;

	for (size_t i = 0; i < n; i++) {
		const char *text =
			json_object_get_string(json_object_array_get_idx(env, i));

		if (text && !strncmp(text, VARIABLE, strlen(VARIABLE)))
			value = text + strlen(VARIABLE);
	}
	if (!value || !*value)
		return 0;
	note(found, "GRAFT_CONV_PAIRS", "");
	if (policy_add_variable(found->policy, POLICY_CONV_PAIRS, value, &error) < 0)
		return refuse(&error);
	return environment == ENVIRONMENT_YES ? 0 : check_names(found->policy, n_before);
}

static int add_sources(struct found *found, struct json_object *annotations,
		       const struct docker *docker, const char *id,
		       const struct settings *settings)
{
	int r = add_all(found, annotations, RULE_PREFIX, add_rule);

	if (r == 0)
		r = add_files(found, annotations, docker, id, settings);
	if (r == 0)
		r = add_all(found, annotations, PUBLISH_PREFIX, add_publish);
	return r < 0 ? r : add_ports(found, docker, settings->publish);
}

/* The one that holds a pod's namespaces, which runs nothing of the pod's. */
static bool is_sandbox(struct json_object *annotations)
{
	static const char *const keys[] = {
		"io.kubernetes.cri.container-type", /* containerd's CRI */
		"io.kubernetes.cri-o.ContainerType" /* CRI-O */
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *type = json_part_text(annotations, keys[i]);

		if (type && !strcmp(type, "sandbox"))
			return true;
	}
	return false;
}

int find_policy(struct json_object *config, const char *id, const struct docker *docker,
		const struct settings *settings, struct found *ret)
{
	struct json_object *annotations = json_part(config, "annotations");
	struct policy_error error;
	struct found found = { .policy = NULL };
	int r;

	if (is_sandbox(annotations))
		return 0;
	annotations = merge(annotations, docker);
	found.policy = policy_new();
	r = found.policy && annotations ? 0 : -ENOMEM;
	if (r == 0) {
		policy_allow_named(found.policy);
		r = add_sources(&found, annotations, docker, id, settings);
	}
	json_object_put(annotations);
	if (r == 0 && settings->environment != ENVIRONMENT_NO)
		r = add_environment(&found, config, settings->environment);
	if (r == 0 && *found.summary && policy_seal(found.policy, &error) < 0)
		r = refuse(&error);
	if (r < 0 || !*found.summary)
		found.policy = policy_free(found.policy);
	if (r == 0)
		*ret = found;
	return r;
}

/* --- what must not be --- */

/* Is there a namespace that is of @type, or where that is NULL, one of a process's? */
static bool has_namespace(struct json_object *config, const char *wanted)
{
	struct json_object *list = json_part(json_part(config, "linux"), "namespaces");
	size_t n = json_part_length(list);

	for (size_t i = 0; i < n; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const char *type = json_part_text(one, "type"),
			   *path = json_part_text(one, "path");

		if (wanted && type && !strcmp(type, wanted))
			return true;
		if (!wanted && path && !strncmp(path, "/proc/", strlen("/proc/")))
			return true;
	}
	return false;
}

bool find_looks_outside(struct json_object *config)
{
	struct json_object *hooks = json_part(config, "hooks");

	if (json_object_is_type(hooks, json_type_object) &&
	    json_object_object_length(hooks))
		return true;
	return has_namespace(config, NULL);
}

static bool has_capability(struct json_object *config, const char *wanted)
{
	struct json_object *sets =
		json_part(json_part(config, "process"), "capabilities");

	if (!json_object_is_type(sets, json_type_object))
		return false;
	json_object_object_foreach(sets, name, set)
	{
		size_t n = json_part_length(set);

		(void)name;
		for (size_t i = 0; i < n; i++) {
			const char *text =
				json_object_get_string(json_object_array_get_idx(set, i));

			if (text && !strcmp(text, wanted))
				return true;
		}
	}
	return false;
}

const char *find_danger(struct json_object *config)
{
	if (has_namespace(config, "user"))
		return NULL;
	if (has_capability(config, "CAP_NET_ADMIN"))
		return "CAP_NET_ADMIN, which a grafted socket would make one over the "
		       "host's network";
	if (has_capability(config, "CAP_SYS_ADMIN"))
		return "CAP_SYS_ADMIN, with which a container enters any namespace";
	return NULL;
}
