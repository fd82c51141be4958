/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Maps are found by their pins and kept open. Programs come by `graft attach` and `graft
 * run`, which say so: until then a change of the registry costs nothing here. One name
 * after the other is written; a call meets the old or the new place.
 *
 * A place is never taken out of its map: who was bound to it finds it again when it comes
 * back where it was.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "broker/binders.h"
#include "broker/graftd.h"
#include "broker/places.h"
#include "broker/registry.h"
#include "broker/use.h"
#include "policy/policy.h"
#include "wire/places.h"

#define TAGS_MAX 16

/* Of one build of the programs. */
struct tag {
	int names, places, binders, granted;
};

struct places {
	const char *pins;
	size_t n;
	struct tag tags[TAGS_MAX];
};

struct places *places_new(const char *pins)
{
	struct places *places = calloc(1, sizeof(*places));

	if (places)
		places->pins = pins;
	return places;
}

static void close_tag(struct tag *tag)
{
	tag->names = fd_close(tag->names);
	tag->places = fd_close(tag->places);
	tag->binders = fd_close(tag->binders);
	tag->granted = fd_close(tag->granted);
}

static void forget(struct places *places)
{
	while (places->n)
		close_tag(&places->tags[--places->n]);
}

struct places *places_free(struct places *places)
{
	if (places)
		forget(places);
	free(places);
	return NULL;
}

/* --- finding the maps --- */

/* Another build's may be of another shape. */
static int open_map(const char *directory, const char *name, size_t key, size_t value)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);
	char path[128];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory, name) >=
	    sizeof(path))
		return -1;
	fd = bpf_obj_get(path);
	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
	    info.key_size == key && info.value_size == value)
		return fd;
	return fd_close(fd);
}

static bool open_tag(const char *directory, struct tag *ret)
{
	const size_t number = sizeof(uint32_t);
	struct tag tag = {
		.names = open_map(directory, PLACES_NAMES_MAP,
				  sizeof(struct endpoint_key), number),
		.places = open_map(directory, PLACES_PLACES_MAP, number,
				   sizeof(struct place)),
		.binders = open_map(directory, PLACES_BINDERS_MAP, number,
				    sizeof(struct endpoint_value)),
		.granted = open_map(directory, PLACES_GRANTED_MAP, number,
				    sizeof(struct granted)),
	};

	*ret = tag;
	if (tag.names >= 0 && tag.places >= 0 && tag.binders >= 0 && tag.granted >= 0)
		return true;
	close_tag(ret);
	return false;
}

static void find(struct places *places)
{
	DIR *pins = opendir(places->pins);
	struct dirent *file;
	char path[128];

	forget(places);
	if (!pins)
		return;
	while (places->n < TAGS_MAX && (file = readdir(pins)))
		if (file->d_name[0] != '.' &&
		    (size_t)snprintf(path, sizeof(path), "%s/%s", places->pins,
				     file->d_name) < sizeof(path) &&
		    open_tag(path, &places->tags[places->n]))
			places->n++;
	closedir(pins);
}

/* --- telling --- */

static bool number_of(const struct tag *tag, const char *name, uint32_t *ret)
{
	struct endpoint_key key = { .slot = 0 };

	memcpy(key.name, name, strnlen(name, sizeof(key.name) - 1));
	return bpf_map_lookup_elem(tag->names, &key, ret) == 0;
}

/* Of the host's table, in the namespace graftd is in. */
static bool is_host(const struct graftd *graftd, const struct entry *entry)
{
	return entry->table->netns == graftd->self.netns;
}

static void read_place(const struct entry *entry, struct place *ret)
{
	struct endpoint endpoint;

	*ret = (struct place){ .state = PLACE_ELSEWHERE };
	if (endpoint_parse(&endpoint, NULL, entry->line, entry->line_size, NULL) < 0)
		return;
	if (endpoint.netns.kind == NETNS_DEFAULT) {
		ret->at.port = htons(endpoint.port);
		if (endpoint.kind == ENDPOINT_IPV4) {
			ret->state = PLACE_HERE;
			ret->at.family = AF_INET;
			memcpy(ret->at.address, &endpoint.v4, sizeof(endpoint.v4));
		} else if (endpoint.kind == ENDPOINT_IPV6) {
			ret->state = PLACE_HERE;
			ret->at.family = AF_INET6;
			memcpy(ret->at.address, &endpoint.v6, sizeof(endpoint.v6));
		}
	}
	endpoint_release(&endpoint);
}

/* @wanted->life is set here. */
static void set_place(const struct tag *tag, uint32_t number, struct place *wanted)
{
	struct place old = { .life = 0 };

	if (bpf_map_lookup_elem(tag->places, &number, &old) == 0 &&
	    wanted->state == PLACE_UNKNOWN)
		wanted->at = old.at;
	wanted->life = old.life + (memcmp(&old.at, &wanted->at, sizeof(old.at)) != 0);
	if (bpf_map_update_elem(tag->places, &number, wanted, BPF_ANY) < 0)
		log_limited(LOG_LEVEL_WARNING,
			    "cannot tell the cgroup engine where an endpoint is: %s",
			    strerror(errno));
}

static void set_granted(const struct graftd *graftd, const struct tag *tag,
			uint32_t number, const struct entry *entry)
{
	struct granted granted = { .n = 0 };
	struct place place;

	if (bpf_map_lookup_elem(tag->places, &number, &place) < 0)
		return;
	use_granted(entry, &granted);
	for (uint32_t i = 0; i < granted.n; i++) {
		granted.of[i].netns = graftd->self.netns;
		granted.of[i].life = place.life;
	}
	if (granted.n)
		bpf_map_update_elem(tag->granted, &number, &granted, BPF_ANY);
	else
		bpf_map_delete_elem(tag->granted, &number);
}

static void set(const struct graftd *graftd, const struct tag *tag, uint32_t number,
		const struct entry *entry)
{
	struct place place = { .state = PLACE_UNKNOWN };

	if (entry)
		read_place(entry, &place);
	set_place(tag, number, &place);
	if (place.state == PLACE_HERE && !place.at.port)
		set_granted(graftd, tag, number, entry);
	else
		bpf_map_delete_elem(tag->granted, &number);
}

static const struct entry *find_entry(const struct graftd *graftd, const char *name)
{
	return registry_find(graftd->registry, graftd->self.netns, name);
}

/* Wherever programs know it by @name; @entry NULL: it is not there. */
static void set_name(const struct graftd *graftd, const char *name,
		     const struct entry *entry)
{
	const struct places *places = graftd->places;
	uint32_t number;

	for (size_t i = 0; i < places->n; i++)
		if (number_of(&places->tags[i], name, &number))
			set(graftd, &places->tags[i], number, entry);
}

static void set_entry(const struct graftd *graftd, const struct entry *entry,
		      bool is_there)
{
	char name[64];

	if (!graftd->places || !graftd->places->n || !is_host(graftd, entry))
		return;
	entry_name(entry, name);
	set_name(graftd, name, is_there ? entry : NULL);
}

void places_set(struct graftd *graftd, const struct entry *entry)
{
	set_entry(graftd, entry, true);
}

void places_del(struct graftd *graftd, const struct entry *entry)
{
	set_entry(graftd, entry, false);
}

int places_tell(struct graftd *graftd, const char *name)
{
	const struct entry *entry = find_entry(graftd, name);

	find(graftd->places);
	set_name(graftd, name, entry);
	return entry ? 0 : -ENOENT;
}

void places_sync(struct graftd *graftd)
{
	struct places *places = graftd->places;

	if (graftd->self.uid != 0)
		return;
	find(places);
	for (size_t i = 0; i < places->n; i++) {
		const struct tag *tag = &places->tags[i];
		struct endpoint_key key;
		void *at = NULL;
		uint32_t number;

		while (bpf_map_get_next_key(tag->names, at, &key) == 0) {
			at = &key;
			key.name[sizeof(key.name) - 1] = '\0';
			if (key.slot == 0 &&
			    bpf_map_lookup_elem(tag->names, &key, &number) == 0)
				set(graftd, tag, number, find_entry(graftd, key.name));
		}
	}
}

/* --- asking --- */

static uint16_t port_in(const struct graftd *graftd, const struct tag *tag,
			uint32_t number, uint32_t proto)
{
	struct endpoint_value value;
	struct place place;

	if (bpf_map_lookup_elem(tag->places, &number, &place) < 0 ||
	    bpf_map_lookup_elem_flags(tag->binders, &number, &value, BPF_F_LOCK) < 0)
		return 0;
	for (uint32_t i = 0; i < value.n && i < PLACES_BINDERS; i++) {
		const struct binder *binder = &value.of[i];

		if (binder->netns == graftd->self.netns && binder->proto == proto &&
		    binder->life == place.life)
			return ntohs(binder->at.port);
	}
	return 0;
}

uint16_t places_port(struct graftd *graftd, const struct entry *entry, uint32_t proto)
{
	const struct places *places = graftd->places;
	uint16_t port = 0;
	uint32_t number;
	char name[64];

	if (!places || !places->n || !is_host(graftd, entry))
		return 0;
	entry_name(entry, name);
	for (size_t i = 0; i < places->n && !port; i++)
		if (number_of(&places->tags[i], name, &number))
			port = port_in(graftd, &places->tags[i], number, proto);
	return port;
}
