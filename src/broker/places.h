/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registry and the BPF programs of the cgroup engine (wire/places.h): they learn
 * where the host's endpoints are and who was granted one; we learn who is bound to one
 * under a policy. Root's graftd only; where no programs are loaded nothing is done.
 */
#pragma once

#include <stdint.h>

struct entry;
struct graftd;
struct places;

/* @pins: the directory of wire/places.h; it stays. Return: NULL when there is no
 * memory. */
struct places *places_new(const char *pins);
struct places *places_free(struct places *places);

/* Programs that came since are found, and all they know by name is set right. */
void places_sync(struct graftd *graftd);
/* As places_sync(), of one name. Return: 0; -ENOENT: there is no such endpoint yet. */
int places_tell(struct graftd *graftd, const char *name);
/* @entry is there, as its line says, with those who were granted a socket bound to it; or
 * it is about to go. */
void places_set(struct graftd *graftd, const struct entry *entry);
void places_del(struct graftd *graftd, const struct entry *entry);

/* The port of one that is bound to @entry under a policy; @proto as in struct binder.
 * Return: it, or 0: none. */
uint16_t places_port(struct graftd *graftd, const struct entry *entry, uint32_t proto);
