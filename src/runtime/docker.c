/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the files are is said by the mounts of config.json: dockerd keeps the container's
 * /etc/hosts, /etc/hostname and /etc/resolv.conf beside them.
 *
 *	ROOT/containers/ID/hosts, hostconfig.json, config.v2.json
 *	ROOT/image/DRIVER/imagedb/content/sha256/HEX	the image, with its own labels
 *
 * A label of config.v2.json is of whoever started the container or of the image, and
 * nothing tells which. So it is heard when the image can be read and does not have it,
 * with that value; else somebody would get a policy by having his image started.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/number.h"
#include "runtime/docker.h"
#include "runtime/json_part.h"

#define CONFIG       "config.v2.json"
#define HOST_CONFIG  "hostconfig.json"
#define LABEL_PREFIX "graft."
#define FILE_MAX     (4u << 20)
#define HEX_SIZE     64
#define SHA256       "sha256:"

/* --- files --- */

static bool is_roots(const struct stat *st)
{
	return st->st_uid == 0 && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/* Return: NULL: it is not there, or not as dockerd would have it. */
static struct json_object *read_json(int directory, const char *name)
{
	_cleanup_fd_ int fd =
		openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	struct json_object *object;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !is_roots(&st) ||
	    st.st_size > FILE_MAX)
		return NULL;
	text = malloc((size_t)st.st_size + 1);
	n = text ? fd_read_all(fd, text, (size_t)st.st_size) : -ENOMEM;
	if (n < 0)
		return NULL;
	text[n] = '\0';
	object = json_tokener_parse(text);
	if (json_object_is_type(object, json_type_object))
		return object;
	json_object_put(object);
	return NULL;
}

static int open_directory(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && is_roots(&st) ? fd_steal(&fd) : -1;
}

/* Is @source NAME in a directory of the container's id? Then @directory is that. */
static bool is_in_directory(const char *source, const char *name, const char *id,
			    char directory[PATH_MAX])
{
	size_t size = strlen(source), name_size = strlen(name), id_size = strlen(id);

	if (*source != '/' || size >= PATH_MAX || size < name_size + id_size + 2 ||
	    strcmp(source + size - name_size, name) != 0)
		return false;
	size -= name_size + 1;
	snprintf(directory, PATH_MAX, "%.*s", (int)size, source);
	return source[size] == '/' && directory[size - id_size - 1] == '/' &&
	       !strcmp(directory + size - id_size, id);
}

static int find_directory(struct json_object *config, const char *id, char path[PATH_MAX])
{
	static const char *const names[] = { "hosts", "hostname", "resolv.conf" };
	struct json_object *mounts = json_part(config, "mounts");
	size_t n = json_part_length(mounts);

	for (size_t i = 0; i < n; i++) {
		struct json_object *mount = json_object_array_get_idx(mounts, i);
		const char *source = json_part_text(mount, "source");
		const char *destination = json_part_text(mount, "destination");

		for (size_t k = 0; source && destination && k < ARRAY_SIZE(names); k++)
			if (!strncmp(destination, "/etc/", 5) &&
			    !strcmp(destination + 5, names[k]) &&
			    is_in_directory(source, names[k], id, path))
				return open_directory(path);
	}
	return -1;
}

struct json_object *docker_read_config(const struct docker *docker)
{
	return read_json(docker->directory, CONFIG);
}

/* --- labels --- */

static bool is_hex(const char *text)
{
	for (size_t i = 0; i < HEX_SIZE; i++)
		if (!isxdigit((unsigned char)text[i]))
			return false;
	return text[HEX_SIZE] == '\0';
}

/* Return: NULL: it cannot be read. */
static struct json_object *read_image(const struct docker *docker, const char *path)
{
	const char *digest = json_part_text(docker->config, "Image");
	const char *driver = json_part_text(docker->config, "Driver");
	_cleanup_fd_ int fd = -1;
	char store[PATH_MAX];
	struct json_object *image;

	if (!digest || !driver || strncmp(digest, SHA256, strlen(SHA256)) != 0 ||
	    !is_hex(digest + strlen(SHA256)) || strchr(driver, '/') || *driver == '.' ||
	    snprintf(store, sizeof(store), "%s/../../image/%s/imagedb/content/sha256",
		     path, driver) >= PATH_MAX)
		return NULL;
	fd = open_directory(store);
	image = fd < 0 ? NULL : read_json(fd, digest + strlen(SHA256));
	return image;
}

/* @from: the image's own; NULL: not known. */
static void take_labels(struct docker *docker, struct json_object *all,
			struct json_object *from, bool is_known)
{
	if (!json_object_is_type(all, json_type_object))
		return;
	json_object_object_foreach(all, key, value)
	{
		const char *text = json_object_get_string(value);
		const char *images = json_part_text(from, key);

		if (!text || strncmp(key, LABEL_PREFIX, strlen(LABEL_PREFIX)) != 0)
			continue;
		if (is_known && !(images && !strcmp(images, text)))
			json_object_object_add(docker->labels, key,
					       json_object_new_string(text));
		else
			docker->has_foreign_labels = true;
	}
}

static void read_labels(struct docker *docker, const char *path, enum labels labels)
{
	struct json_object *all =
		json_part(json_part(docker->config, "Config"), "Labels");
	struct json_object *image = NULL;

	docker->labels = json_object_new_object();
	if (!docker->labels || labels == LABELS_NO)
		return;
	if (labels == LABELS_OWN)
		image = read_image(docker, path);
	take_labels(docker, all, json_part(json_part(image, "config"), "Labels"),
		    image || labels == LABELS_YES);
	json_object_put(image);
}

/* --- ports --- */

bool docker_parse_port(const char *text, struct docker_port *ret)
{
	uint64_t number;

	if (!number_take(&text, 10, &number) || !number || number > UINT16_MAX ||
	    (strcmp(text, "/tcp") != 0 && strcmp(text, "/udp") != 0))
		return false;
	*ret = (struct docker_port){ (uint16_t)number, text[1] == 'u' };
	return true;
}

static void take_port(struct docker *docker, const char *key)
{
	struct docker_port port;

	if (docker->n_ports == DOCKER_PORTS_MAX || !docker_parse_port(key, &port))
		return;
	for (size_t i = 0; i < docker->n_ports; i++)
		if (docker_port_is(docker->ports[i], port))
			return;
	docker->ports[docker->n_ports++] = port;
}

static void take_ports(struct docker *docker, struct json_object *ports)
{
	if (!json_object_is_type(ports, json_type_object))
		return;
	json_object_object_foreach(ports, key, value)
	{
		(void)value;
		take_port(docker, key);
	}
}

static void read_ports(struct docker *docker)
{
	take_ports(docker, json_part(docker->host_config, "PortBindings"));
	/* -P */
	if (json_object_get_boolean(json_part(docker->host_config, "PublishAllPorts")))
		take_ports(docker, json_part(json_part(docker->config, "Config"),
					     "ExposedPorts"));
}

void docker_find(struct json_object *config, const char *id, enum labels labels,
		 struct docker *ret)
{
	char path[PATH_MAX];

	*ret = (struct docker){ .directory = find_directory(config, id, path) };
	if (ret->directory < 0)
		return;
	ret->config = docker_read_config(ret);
	ret->host_config = read_json(ret->directory, HOST_CONFIG);
	if (!ret->config || !ret->host_config || !json_part_text(ret->config, "ID") ||
	    strcmp(json_part_text(ret->config, "ID"), id) != 0) {
		docker_release(ret);
		return;
	}
	ret->name = json_part_text(ret->config, "Name");
	if (ret->name && *ret->name == '/')
		ret->name++;
	ret->image = json_part_text(json_part(ret->config, "Config"), "Image");
	read_labels(ret, path, labels);
	read_ports(ret);
}

void docker_release(struct docker *docker)
{
	json_object_put(docker->config);
	json_object_put(docker->host_config);
	json_object_put(docker->labels);
	fd_close(docker->directory);
	*docker = (struct docker){ .directory = -1 };
}
