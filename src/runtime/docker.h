/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What Docker knows of a container, and config.json does not say: the files that dockerd
 * keeps of it, in a directory of the container's id.
 *
 *	hostconfig.json		published ports, as they were asked for
 *	config.v2.json		name, image, labels; while it runs, the ports it has
 *
 * dockerd itself cannot be asked: it holds the container's lock until it has started.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

#define DOCKER_PORTS_MAX 1024 /* published ports of one container that are looked at */

/* Of the container. */
struct docker_port {
	uint16_t number;
	bool is_udp;
};

static inline bool docker_port_is(struct docker_port a, struct docker_port b)
{
	return a.number == b.number && a.is_udp == b.is_udp;
}

struct docker {
	int directory; /* dockerd's of this container; -1: there is none */
	struct json_object *config, *host_config;
	const char *name, *image; /* of the above; NULL: not known */
	/* Those with names that begin with "graft.", of whoever started the container. */
	struct json_object *labels;
	bool has_foreign_labels; /* others were there, and are not heard */
	struct docker_port ports[DOCKER_PORTS_MAX];
	size_t n_ports;
};

/* Whose labels are heard. */
enum labels {
	LABELS_NO,
	LABELS_OWN, /* those that the image does not bring */
	LABELS_YES,
};

/*
 * Looks for container @id of the config.json @config. Files that somebody else than root
 * could have written are not looked at. Never fails: without Docker ret->directory is
 * -1.
 * docker_release() in either case.
 */
void docker_find(struct json_object *config, const char *id, enum labels labels,
		 struct docker *ret);
void docker_release(struct docker *docker);

/* "80/tcp". Return: false: it is none. */
bool docker_parse_port(const char *text, struct docker_port *ret);
/* Reads config.v2.json anew. Return: the caller's, or NULL. */
struct json_object *docker_read_config(const struct docker *docker);
