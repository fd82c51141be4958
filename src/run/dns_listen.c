/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The half of the DNS forwarder that happens before the program starts: which servers
 * there are, and sockets on their addresses in the program's network namespace.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "base/fd.h"
#include "run/dns.h"
#include "run/loopback.h"

#define DNS_PORT        53
#define DNS_BACKLOG     32
#define DNS_ADDRESS_MAX 64 /* longer words are no address */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Reads one address word. Return: whether it was one. */
static bool parse_address(const char *word, size_t size, struct dns_server *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->address;
	char text[DNS_ADDRESS_MAX];
	char *scope;

	if (size == 0 || size >= sizeof(text) || memchr(word, '\0', size))
		return false;
	memcpy(text, word, size);
	text[size] = '\0';
	memset(ret, 0, sizeof(*ret));
	if (inet_aton(text, &v4->sin_addr)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(DNS_PORT);
		if (v4->sin_addr.s_addr == htonl(INADDR_ANY))
			v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		ret->len = sizeof(*v4);
		return true;
	}
	scope = strchr(text, '%');
	if (scope)
		*scope = '\0';
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
		return false;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(DNS_PORT);
	if (IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
		v6->sin6_addr = in6addr_loopback;
	ret->len = sizeof(*v6);
	return true;
}

/* The address word of a nameserver line, or NULL. */
static const char *nameserver_word(const char *line, const char *end, size_t *ret_size)
{
	static const char key[] = "nameserver";
	const size_t key_len = sizeof(key) - 1;
	const char *word;

	if ((size_t)(end - line) <= key_len || memcmp(line, key, key_len) != 0 ||
	    !is_blank(line[key_len]))
		return NULL;
	for (line += key_len; line < end && is_blank(*line); line++)
		;
	for (word = line; line < end && !is_blank(*line) && *line != '#' && *line != ';';
	     line++)
		;
	*ret_size = (size_t)(line - word);
	return word;
}

static bool is_same(const struct dns_server *a, const struct dns_server *b)
{
	return a->len == b->len && memcmp(&a->address, &b->address, a->len) == 0;
}

size_t dns_parse_resolv(const char *text, size_t size, struct dns_server *ret_servers)
{
	const char *end = text + size;
	size_t n = 0;

	while (text < end && n < DNS_SERVERS_MAX) {
		const char *line_end = memchr(text, '\n', (size_t)(end - text));
		struct dns_server server;
		size_t word_size, i;
		const char *word;

		if (!line_end)
			line_end = end;
		word = nameserver_word(text, line_end, &word_size);
		text = line_end < end ? line_end + 1 : end;
		if (!word || !parse_address(word, word_size, &server))
			continue;
		for (i = 0; i < n; i++)
			if (is_same(&server, &ret_servers[i]))
				break;
		if (i == n)
			ret_servers[n++] = server;
	}
	return n;
}

static bool is_loopback(const struct dns_server *server)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&server->address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&server->address;

	if (server->address.ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

size_t dns_keep_loopback(struct dns_server *servers, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (is_loopback(&servers[i]))
			servers[kept++] = servers[i];
	return kept;
}

static int open_socket(const struct dns_server *server, int type)
{
	static const int one = 1;
	int family = server->address.ss_family;
	_cleanup_fd_ int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&server->address, server->len) < 0)
		return -errno;
	if (type == SOCK_STREAM && listen(fd, DNS_BACKLOG) < 0)
		return -errno;
	return fd_steal(&fd);
}

int dns_open(const struct dns_server *servers, size_t n, int (*ret_fds)[2])
{
	static const int types[2] = { SOCK_DGRAM, SOCK_STREAM };
	int first_error = 0;
	size_t n_made = 0;

	for (size_t i = 0; i < n; i++) {
		const struct sockaddr *address =
			(const struct sockaddr *)&servers[i].address;
		int r = is_loopback(&servers[i]) ? 0 : loopback_add(address);

		for (size_t j = 0; j < 2; j++) {
			int fd = r < 0 ? r : open_socket(&servers[i], types[j]);

			ret_fds[i][j] = fd >= 0 ? fd : -1;
			if (fd >= 0)
				n_made++;
			else if (!first_error)
				first_error = fd;
		}
	}
	return n_made ? 0 : first_error;
}
