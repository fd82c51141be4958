/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft-runtime in the configuration of a container engine: what the commands ask, and
 * what the engines share. Each of them changes one file of its own, and replaces it as a
 * whole, so that an engine that reads it meanwhile reads one of both.
 */
#pragma once

#include <limits.h>

struct json_object;

enum install_what { INSTALL, UNINSTALL, STATUS };

struct install {
	enum install_what what;
	const char *engine; /* as status says it */
	const char *path;   /* of the file */
	char runtime[PATH_MAX];
	struct json_object *json; /* status: an array to add to, instead of a line */
};

/* Each does @install->what and says what it did. Return: an exit status. */
int install_containerd(struct install *install);
int install_docker(struct install *install);
int install_nerdctl(struct install *install);
int install_podman(struct install *install);

#define INSTALL_CONTAINERD "/etc/containerd/config.toml"
#define INSTALL_DOCKER     "/etc/docker/daemon.json"
#define INSTALL_PODMAN     "/etc/containers/containers.conf.d/graft.conf"
/* An ordinary user's, below his $XDG_CONFIG_HOME. */
#define INSTALL_OWN_DOCKER "docker/daemon.json"
#define INSTALL_OWN_PODMAN "containers/containers.conf.d/graft.conf"

/* One line with the file's name. Return: 1. */
int install_complain(const struct install *install, const char *sentence);
/* Sets install->runtime where nobody has said which. Return: 0, or 1 after one line. */
int install_find_runtime(struct install *install);
/* @is: what is registered; NULL: nothing. Return: 0 when that can be executed, else 1. */
int install_status(const struct install *install, const char *is);

/* Return: 0, *ret is the caller's; -ENOENT; -EFBIG; -errno. */
int install_read(const char *path, char **ret);
/* Those that are missing above @path. Return: 0 or -errno. */
int install_make_directories(const char *path);
/* A link stays one: what it names is replaced. Return: 0 or -errno. */
int install_replace(const char *path, const char *text);
