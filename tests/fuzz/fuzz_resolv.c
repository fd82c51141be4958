/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "run/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_server servers[DNS_SERVERS_MAX];
	size_t n = dns_parse_resolv((const char *)data, size, servers);

	if (n > DNS_SERVERS_MAX)
		abort();
	for (size_t i = 0; i < n; i++)
		if (servers[i].address.ss_family != AF_INET &&
		    servers[i].address.ss_family != AF_INET6)
			abort();
	return 0;
}
