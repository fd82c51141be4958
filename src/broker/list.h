/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A ring of links that their owners embed; a link that is in no ring points at itself.
 */
#pragma once

#include <stdbool.h>

struct link {
	struct link *previous, *next;
};

static inline void link_init(struct link *link)
{
	link->previous = link->next = link;
}

static inline bool link_is_alone(const struct link *link)
{
	return link->next == link;
}

static inline void link_leave(struct link *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	link_init(link);
}

/* Puts @link, from wherever it was, at the end of @ring. */
static inline void link_join(struct link *link, struct link *ring)
{
	link_leave(link);
	link->previous = ring->previous;
	link->next = ring;
	ring->previous->next = link;
	ring->previous = link;
}
