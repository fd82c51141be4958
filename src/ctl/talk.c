/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/client.h"
#include "ctl/talk.h"
#include "policy/policy.h"

static const char *path_of(const struct talk *talk)
{
	return talk->path ? talk->path : broker_path();
}

int talk_tell(const struct talk *talk, int r)
{
	const char *path = path_of(talk);

	switch (-r) {
	case ENOENT:
	case ECONNREFUSED:
		fprintf(stderr,
			"graft: graftd does not answer at %s: is it running? (systemctl "
			"start graftd)\n",
			path);
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

int talk_open(struct talk *talk)
{
	talk->fd = broker_open(path_of(talk));
	if (talk->fd < 0) {
		int r = talk->fd;

		talk->fd = -1;
		return talk_tell(talk, r);
	}
	return 0;
}

int talk_send(const struct talk *talk, const struct wire_message *message)
{
	int r = broker_send(talk->fd, message, NULL, 0);

	return r < 0 ? talk_tell(talk, r) : 0;
}

int talk_receive(const struct talk *talk, struct wire_message *ret)
{
	size_t n_fds;
	int r = broker_receive(talk->fd, ret, BROKER_PATIENCE_MS, NULL, 0, &n_fds);

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

int talk_walk(const struct talk *talk, enum wire_type ask, talk_take *take, void *context)
{
	struct wire_message message = { .type = ask };
	int r = talk_send(talk, &message);

	while (r == 0) {
		r = talk_receive(talk, &message);
		if (r < 0)
			return r;
		if (message.type == WIRE_BYE)
			return 0;
		if (message.type == WIRE_ERROR) {
			fprintf(stderr, "%s: %s\n", talk->command,
				talk_error_text(&message.error));
			return -EREMOTEIO;
		}
		if (message.type != WIRE_ENDPOINT)
			return talk_tell(talk, -EPROTO);
		r = take(context, &message.endpoint);
	}
	return r;
}

bool talk_is_name(const struct talk *talk, const char *name)
{
	if (*name && strlen(name) <= POLICY_NAME_MAX)
		return true;
	fprintf(stderr, "%s: '%.80s' is not a name: those have 1 to %d characters\n",
		talk->command, name, POLICY_NAME_MAX);
	return false;
}
