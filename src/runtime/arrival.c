/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "base/fd.h"
#include "runtime/arrival.h"

#define PIECE 16384

void arrival_init(struct arrival *arrival)
{
	*arrival = (struct arrival){ .text = NULL };
}

void arrival_deinit(struct arrival *arrival)
{
	free(arrival->text);
	for (size_t i = 0; i < arrival->n_fds; i++)
		fd_close(arrival->fds[i]);
	arrival_init(arrival);
}

static int make_room(struct arrival *arrival)
{
	char *bigger;

	if (arrival->size > ARRIVAL_MAX)
		return -EMSGSIZE;
	bigger = realloc(arrival->text, arrival->size + PIECE + 1);
	if (!bigger)
		return -ENOMEM;
	arrival->text = bigger;
	return 0;
}

/* runc keeps the connection as long as it lives, so its end is not to be waited for. */
static bool is_whole(const struct arrival *arrival)
{
	struct json_object *state =
		arrival->n_fds ? json_tokener_parse(arrival->text) : NULL;
	bool is = json_object_is_type(state, json_type_object);

	json_object_put(state);
	return is;
}

int arrival_read(struct arrival *arrival, int via)
{
	for (;;) {
		size_t n_fds = 0;
		int r = make_room(arrival);
		ssize_t n;

		if (r < 0)
			return r;
		n = fd_receive(via, arrival->text + arrival->size, PIECE,
			       arrival->fds + arrival->n_fds,
			       ARRIVAL_FDS_MAX - arrival->n_fds, &n_fds);
		if (n == -EAGAIN)
			return is_whole(arrival);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return 1;
		arrival->n_fds += n_fds;
		arrival->size += (size_t)n;
		arrival->text[arrival->size] = '\0';
	}
}

static int find_listener(struct arrival *arrival, struct json_object *state)
{
	struct json_object *names = json_object_object_get(state, "fds");
	size_t n = json_object_is_type(names, json_type_array)
			   ? json_object_array_length(names)
			   : 0;

	for (size_t i = 0; i < n && i < arrival->n_fds; i++) {
		const char *name =
			json_object_get_string(json_object_array_get_idx(names, i));

		if (name && !strcmp(name, "seccompFd"))
			return fd_steal(&arrival->fds[i]);
	}
	return -EPROTO;
}

int arrival_parse(struct arrival *arrival, const char *metadata, struct arrived *ret)
{
	struct json_object *state =
		arrival->text ? json_tokener_parse(arrival->text) : NULL;
	const char *told;
	int pid, r = -EPROTO;

	if (!json_object_is_type(state, json_type_object)) {
		json_object_put(state);
		return -EPROTO;
	}
	told = json_object_get_string(json_object_object_get(state, "metadata"));
	pid = json_object_get_int(json_object_object_get(state, "pid"));
	if (told && !strcmp(told, metadata) && pid >= 0)
		r = find_listener(arrival, state);
	json_object_put(state);
	if (r < 0)
		return r;
	ret->listener = r;
	ret->pid = pid;
	return 0;
}
