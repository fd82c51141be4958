/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The number that changes whenever something in the registry does, where clients can read
 * it without asking.
 */
#pragma once

#include <stdint.h>

struct page;

/* In the file "page" of directory @dir, made if need be. Return: 0 or -errno. */
int page_new(struct page **ret, int dir);
struct page *page_free(struct page *page);
/* Return: the number now; never 0. */
uint64_t page_generation(const struct page *page);
void page_bump(struct page *page);
/* Return: a descriptor that can be mapped for reading alone; the page's. */
int page_fd(const struct page *page);
