/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What parses must print, and written again parse to the same message.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct wire_message message, back;
	char again[WIRE_MAX], text[64];
	ssize_t n;

	if (wire_parse(data, size, &message) < 0)
		return 0;
	if (strlen((wire_print(&message, text, sizeof(text)), text)) >= sizeof(text))
		abort();
	n = wire_write(&message, again, sizeof(again));
	if (n < 0 || wire_parse(again, (size_t)n, &back) < 0 ||
	    memcmp(&message, &back, sizeof(back)) != 0)
		abort();
	return 0;
}
