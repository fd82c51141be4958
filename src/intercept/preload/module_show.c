/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "intercept/preload/memory.h"
#include "intercept/preload/module.h"

atomic_int module_foreign;

void module_translate(union address *asked)
{
	int family = atomic_load_explicit(&module_foreign, memory_order_relaxed);

	if (family && asked->any.sa_family == AF_GRAFT)
		asked->any.sa_family = (sa_family_t)family;
}

void module_show_name(struct sockaddr *address, const socklen_t *len)
{
	const sa_family_t family = AF_GRAFT;
	sa_family_t there;
	socklen_t size;

	if (address && memory_read(&size, len, sizeof(size)) == 0 &&
	    size >= sizeof(there) && memory_read(&there, address, sizeof(there)) == 0 &&
	    there == (sa_family_t)atomic_load(&module_foreign))
		memory_write(address, &family, sizeof(family));
}
