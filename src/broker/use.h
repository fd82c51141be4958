/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an endpoint is used for: who is bound to it, and the socket that is kept for it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/asked.h"
#include "broker/registry.h"

struct graftd;
struct granted;
struct record;

#define USE_STORE_NAME_SIZE 32

/*
 * Makes the socket that was asked for, or takes the one that is kept, and notes what
 * became of it. Return: the descriptor, the caller's, with @ret and @ret_path as
 * grant_make() sets them; or -errno.
 */
int use_grant(struct asked *asked, struct wire_grant *ret, int *ret_path);
void use_count_denied(struct entry *entry);

/* Those noted of @entry in graftd's own namespace, newest first; wire/places.h. Their
 * netns and life are the caller's to set. */
void use_granted(const struct entry *entry, struct granted *ret);

/* What is known, as far as the kernel agrees: state, port, counts. */
void use_show(struct graftd *graftd, const struct entry *entry,
	      struct wire_endpoint *ret);
/* Return: whether @ret is what the journal is to hold of it. */
bool use_record(const struct entry *entry, struct record *ret);

/* Gives up everything, the kept socket too. */
void use_release(struct graftd *graftd, struct entry *entry);
/* What @from has becomes @to's. */
void use_move(struct entry *to, struct entry *from);

/* From the journal. */
void use_restore(struct entry *entry, const struct record *record);
/* Return: whether the journal said that a socket is kept for it, and under which name. */
bool use_wants_held(const struct entry *entry, char name[USE_STORE_NAME_SIZE]);
/* That socket is back, and taken over on success. Return: 0 or -errno. */
int use_restore_held(struct graftd *graftd, struct entry *entry, int socket);
/* Everything that is kept goes to the store. */
void use_store_all(struct graftd *graftd);
