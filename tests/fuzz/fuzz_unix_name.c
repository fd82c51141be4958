/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What parses is printed the same: one value, one spelling.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "intercept/preload/unix_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX }, again;
	struct unix_name name;
	socklen_t len = (socklen_t)(sizeof(address.sun_family) + size);

	if (size > sizeof(address.sun_path))
		return 0;
	memcpy(address.sun_path, data, size);
	if (unix_name_parse(&address, len, &name) < 0)
		return 0;
	if (unix_name_print(&name, &again) != len ||
	    memcmp(&address, &again, sizeof(again)) != 0)
		abort();
	return 0;
}
