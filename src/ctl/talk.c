/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "broker/client.h"
#include "ctl/module.h"
#include "ctl/talk.h"
#include "policy/policy.h"

static const char *path_of(const struct talk *talk)
{
	return talk->path ? talk->path : broker_path();
}

const char *talk_with(const struct talk *talk)
{
	return talk->module ? "the module af_graft" : "graftd";
}

static bool is_module_there(void)
{
	struct module *module = NULL;
	bool is_there = module_open(&module) == 0 && module;

	module_close(module);
	return is_there;
}

static void tell_absent(const struct talk *talk)
{
	const char *path = path_of(talk);

	if (talk->is_for_graftd && is_module_there())
		fprintf(stderr,
			"%s: this is for graftd, which does not answer at %s; the module "
			"af_graft has no configuration\n",
			talk->command, path);
	else
		fprintf(stderr,
			"graft: graftd does not answer at %s: is it running? (systemctl "
			"start graftd)\n",
			path);
}

int talk_tell(const struct talk *talk, int r)
{
	const char *path = path_of(talk);

	if (talk->module) {
		fprintf(stderr, "graft: cannot talk to the module af_graft: %s\n",
			strerror(-r));
		return r;
	}
	switch (-r) {
	case ENOENT:
	case ECONNREFUSED:
		tell_absent(talk);
		break;
	case EACCES:
	case EPERM:
		fprintf(stderr, "graft: %s: you may not connect to graftd there\n", path);
		break;
	case ENAMETOOLONG:
	case EINVAL:
		fprintf(stderr, "graft: '%s' is not a path a socket can have\n", path);
		break;
	case ETIMEDOUT:
	case EAGAIN:
		fprintf(stderr, "graft: graftd at %s did not answer within %d seconds\n",
			path, BROKER_PATIENCE_MS / 1000);
		break;
	case ECONNRESET:
	case EPIPE:
		fprintf(stderr, "graft: graftd at %s ended the conversation\n", path);
		break;
	case EPROTONOSUPPORT:
	case EBADMSG:
	case EPROTO:
	case EPROTOTYPE:
		fprintf(stderr,
			"graft: what answers at %s is not a graftd of this version\n",
			path);
		break;
	default:
		fprintf(stderr, "graft: cannot talk to graftd at %s: %s\n", path,
			strerror(-r));
		break;
	}
	return r;
}

/* Connects to the module when it is there and nothing speaks for graftd. Return: 0 or
 * -errno, not told. */
static int open_module(struct talk *talk)
{
	const char *said = secure_getenv("GRAFT_SOCKET");

	if (talk->is_for_graftd || talk->path || (said && *said))
		return 0;
	return module_open(&talk->module);
}

/* Return: 0 or -errno, not told. */
static int connect_to(struct talk *talk)
{
	int r = open_module(talk);

	if (r < 0 || talk->module)
		return r;
	talk->fd = broker_open(path_of(talk));
	if (talk->fd >= 0)
		return 0;
	r = talk->fd;
	talk->fd = -1;
	return r;
}

int talk_open(struct talk *talk)
{
	int r = connect_to(talk);

	return r < 0 ? talk_tell(talk, r) : 0;
}

void talk_close(struct talk *talk)
{
	talk->fd = fd_close(talk->fd);
	module_close(talk->module);
	talk->module = NULL;
}

int talk_send(const struct talk *talk, const struct wire_message *message)
{
	int r = talk->module ? module_send(talk->module, message)
			     : broker_send(talk->fd, message, NULL, 0);

	return r < 0 ? talk_tell(talk, r) : 0;
}

int talk_receive(const struct talk *talk, struct wire_message *ret)
{
	size_t n_fds;
	int r = talk->module ? module_receive(talk->module, ret)
			     : broker_receive(talk->fd, ret, BROKER_PATIENCE_MS, NULL, 0,
					      &n_fds);

	return r < 0 ? talk_tell(talk, r) : 0;
}

const char *talk_error_text(const struct wire_error *error)
{
	return error->text[0] ? error->text : strerror((int)error->number);
}

void talk_refused(const char *place, const char *name, const struct wire_error *error)
{
	const char *text = talk_error_text(error);
	bool names_it = strstr(text, name) != NULL;

	fprintf(stderr, "%s: %s%s%s\n", place, names_it ? "" : name, names_it ? "" : ": ",
		text);
}

int talk_ask(const struct talk *talk, const struct wire_message *ask,
	     struct wire_error *ret_error)
{
	struct wire_message answer;
	int r = talk_send(talk, ask);

	if (r == 0)
		r = talk_receive(talk, &answer);
	if (r < 0)
		return r;
	if (answer.type == WIRE_BYE)
		return 0;
	if (answer.type != WIRE_ERROR)
		return talk_tell(talk, -EPROTO);
	*ret_error = answer.error;
	return 1;
}

static int walk_refused(const struct talk *talk, const struct wire_error *error)
{
	fprintf(stderr, "%s: %s\n", talk->command, talk_error_text(error));
	return -EREMOTEIO;
}

/* What graftd tells of one endpoint. Return: as talk_walk(). */
static int take_line(const struct talk *talk, const struct wire_endpoint *told,
		     talk_take *take, void *context)
{
	struct policy_error problem;
	struct endpoint endpoint;
	int r = endpoint_parse(&endpoint, talk->command, told->line, strlen(told->line),
			       &problem);

	if (r < 0) {
		if (r == -EINVAL)
			fprintf(stderr, "%s\n", problem.text);
		else
			fprintf(stderr, "%s: out of memory\n", talk->command);
		return r;
	}
	r = take(context, told, &endpoint);
	endpoint_release(&endpoint);
	return r;
}

static int walk_graftd(const struct talk *talk, talk_take *take, void *context)
{
	struct wire_message message = { .type = WIRE_ASK_ENDPOINTS };
	int r = talk_send(talk, &message);

	while (r == 0) {
		r = talk_receive(talk, &message);
		if (r < 0)
			return r;
		if (message.type == WIRE_BYE)
			return 0;
		if (message.type == WIRE_ERROR)
			return walk_refused(talk, &message.error);
		if (message.type != WIRE_ENDPOINT)
			return talk_tell(talk, -EPROTO);
		r = take_line(talk, &message.endpoint, take, context);
	}
	return r;
}

int talk_walk(const struct talk *talk, talk_take *take, void *context)
{
	struct wire_error error;
	int r, taken = 0;

	if (!talk->module)
		return walk_graftd(talk, take, context);
	r = module_walk(talk->module, take, context, &taken, &error);
	if (r > 0)
		return walk_refused(talk, &error);
	return r < 0 ? talk_tell(talk, r) : taken;
}

int talk_watch(struct talk *talk)
{
	const struct wire_message ask = { .type = WIRE_WATCH };
	int r = connect_to(talk);

	if (r == 0)
		r = talk->module ? module_watch(talk->module)
				 : broker_send(talk->fd, &ask, NULL, 0);
	if (r < 0)
		talk_close(talk);
	return r;
}

int talk_next(const struct talk *talk, struct wire_message *ret)
{
	struct pollfd ready = { talk->fd, POLLIN, 0 };
	size_t n_fds;

	if (talk->module)
		return module_next(talk->module, ret);
	if (poll(&ready, 1, -1) < 0)
		return -errno;
	return broker_receive(talk->fd, ret, BROKER_PATIENCE_MS, NULL, 0, &n_fds);
}

bool talk_is_name(const struct talk *talk, const char *name)
{
	if (*name && strlen(name) <= POLICY_NAME_MAX)
		return true;
	fprintf(stderr, "%s: '%.80s' is not a name: those have 1 to %d characters\n",
		talk->command, name, POLICY_NAME_MAX);
	return false;
}
