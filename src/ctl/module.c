/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel does what a request says before it answers, so each request waits for that
 * at once, and what became of it is kept until it is asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/graft.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "broker/genl.h"
#include "ctl/module.h"
#include "ctl/module_attr.h"
#include "policy/policy.h"

#define NETNS_DIR    "/run/netns/"
#define REQUEST_SIZE 4096

struct module {
	struct genl genl;
	uint64_t netns;           /* cookie of ours */
	struct wire_error result; /* of the last request; number 0: it was done */
};

int module_open(struct module **ret)
{
	struct module *module = calloc(1, sizeof(*module));

	if (!module)
		return -ENOMEM;
	/* Whatever keeps us from netlink keeps us from the module. */
	if (genl_open(&module->genl, -1, AF_GRAFT_GENL_NAME, GRAFT_MCGRP_ENDPOINTS) <=
	    0) {
		module_close(module);
		module = NULL;
	} else {
		module->netns = genl_netns(&module->genl);
	}
	*ret = module;
	return 0;
}

void module_close(struct module *module)
{
	if (!module)
		return;
	genl_close(&module->genl);
	free(module);
}

/* --- requests ----------------------------------------------------------------------- */

_printf_(3, 4) static int fail(struct wire_error *error, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	error->number = (uint32_t)-r;
	return 1;
}

/* What the kernel has against @name, in the words of graftd where it has some. */
static void explain(const char *name, struct wire_error *error)
{
	switch (error->number) {
	case EEXIST:
		fail(error, -EEXIST, "there is an endpoint '%s' already", name);
		break;
	case ENOENT:
		fail(error, -ENOENT, "no endpoint '%s' here", name);
		break;
	case EPERM:
		if (!error->text[0])
			fail(error, -EPERM,
			     "needs CAP_NET_ADMIN over your network namespace");
		break;
	}
}

/* Return: 0, with a descriptor unless @netns needs none; 1 with @ret_error. */
static int open_netns(const struct netns_ref *netns, int *ret,
		      struct wire_error *ret_error)
{
	_cleanup_free_ char *path = NULL;

	if (netns->kind != NETNS_NAME && netns->kind != NETNS_PATH)
		return 0;
	if (asprintf(&path, "%s%s", netns->kind == NETNS_NAME ? NETNS_DIR : "",
		     netns->text) < 0)
		return fail(ret_error, -ENOMEM, "out of memory");
	*ret = open(path, O_RDONLY | O_CLOEXEC);
	if (*ret < 0)
		return fail(ret_error, -errno, "netns %.80s: %s", netns->text,
			    strerror(errno));
	return 0;
}

/* Return: 0; 1 refused, with @ret_error; -errno. */
static int add_endpoint(struct module *module, const struct endpoint *endpoint,
			struct wire_error *ret_error)
{
	_Alignas(NLMSG_ALIGNTO) char buffer[REQUEST_SIZE];
	_cleanup_fd_ int netns = -1;
	struct nlmsghdr *request;
	int r;

	if (module_check(endpoint, ret_error) < 0)
		return 1;
	r = open_netns(&endpoint->netns, &netns, ret_error);
	if (r != 0)
		return r;
	request = genl_begin(&module->genl, buffer, NLM_F_ACK, GRAFT_CMD_ENDPOINT_NEW);
	r = module_write(request, sizeof(buffer), endpoint, netns);
	if (r == 0)
		r = genl_ask(&module->genl, request, NULL, NULL, ret_error);
	if (r > 0)
		explain(endpoint->name, ret_error);
	return r;
}

static int add(struct module *module, const char *line, struct wire_error *ret_error)
{
	struct policy_error problem = { "" };
	struct endpoint endpoint;
	int r = endpoint_parse(&endpoint, NULL, line, strlen(line), &problem);

	if (r < 0)
		return fail(ret_error, r, "%s",
			    r == -EINVAL ? problem.text : strerror(-r));
	r = add_endpoint(module, &endpoint, ret_error);
	endpoint_release(&endpoint);
	return r;
}

static int del(struct module *module, const char *name, struct wire_error *ret_error)
{
	_Alignas(NLMSG_ALIGNTO) char buffer[REQUEST_SIZE];
	struct nlmsghdr *request;
	int r;

	/* The kernel has a message of its own for what cannot be a name at all. */
	if (strlen(name) > AF_GRAFT_EPNAME_MAX)
		return fail(ret_error, -ENOENT, "no endpoint '%s' here", name);
	request = genl_begin(&module->genl, buffer, NLM_F_ACK, GRAFT_CMD_ENDPOINT_DEL);
	mnl_attr_put_strz(request, GRAFT_A_NAME, name);
	r = genl_ask(&module->genl, request, NULL, NULL, ret_error);
	if (r > 0)
		explain(name, ret_error);
	return r;
}

int module_send(struct module *module, const struct wire_message *ask)
{
	struct wire_error *result = &module->result;
	int r;

	*result = (struct wire_error){ .number = 0 };
	switch (ask->type) {
	case WIRE_ADD:
		r = add(module, ask->add.line, result);
		break;
	case WIRE_DEL:
		r = del(module, ask->del.name, result);
		break;
	default:
		r = fail(result, -EOPNOTSUPP, "the module af_graft knows no %s",
			 wire_type_name(ask->type));
		break;
	}
	return r < 0 ? r : 0;
}

int module_receive(struct module *module, struct wire_message *ret)
{
	*ret = (struct wire_message){ .type = WIRE_BYE };
	if (module->result.number) {
		ret->type = WIRE_ERROR;
		ret->error = module->result;
	}
	return 0;
}

/* --- what there is, and what happens ------------------------------------------------ */

struct walk {
	const struct module *module;
	talk_take *take;
	void *context;
	int taken; /* what @take returned last */
};

static int take_endpoint(const struct nlmsghdr *message, void *context)
{
	struct walk *walk = context;
	struct wire_endpoint told;
	struct endpoint endpoint;
	int r = module_read(message, &told, &endpoint);

	if (r < 0)
		return r;
	told.netns = walk->module->netns;
	walk->taken = walk->take(walk->context, &told, &endpoint);
	endpoint_release(&endpoint);
	return walk->taken;
}

int module_walk(struct module *module, talk_take *take, void *context, int *ret_taken,
		struct wire_error *ret_error)
{
	_Alignas(NLMSG_ALIGNTO) char buffer[REQUEST_SIZE];
	struct walk walk = { module, take, context, 0 };
	const struct nlmsghdr *request =
		genl_begin(&module->genl, buffer, NLM_F_DUMP, GRAFT_CMD_ENDPOINT_GET);
	int r = genl_ask(&module->genl, request, take_endpoint, &walk, ret_error);

	*ret_taken = walk.taken;
	return walk.taken ? 0 : r;
}

int module_watch(struct module *module)
{
	return genl_join(&module->genl);
}

int module_next(struct module *module, struct wire_message *ret)
{
	const struct nlmsghdr *message;
	int r;

	do {
		r = genl_next(&module->genl, &message);
		if (r == 0)
			r = module_read_event(message, &ret->event);
	} while (r == 0);
	if (r == -ENOBUFS) {
		ret->type = WIRE_ERROR;
		fail(&ret->error, r, "too slow: events were lost");
		return 0;
	}
	if (r < 0)
		return r;
	ret->type = WIRE_EVENT;
	ret->event.netns = module->netns;
	return 0;
}
