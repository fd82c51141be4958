/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The half of the DNS forwarder that happens before the program starts: which servers
 * there are, and sockets on their addresses in the program's network namespace.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "base/fd.h"
#include "run/dns.h"

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

/* RTM_NEWADDR and its answer. */
struct address_request {
	struct nlmsghdr head;
	struct ifaddrmsg address;
	struct rtattr attribute;
	struct in6_addr value;
};

static size_t fill_request(struct address_request *request,
			   const struct dns_server *server)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&server->address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&server->address;
	bool is_v4 = server->address.ss_family == AF_INET;
	size_t size = is_v4 ? sizeof(v4->sin_addr) : sizeof(v6->sin6_addr);

	memset(request, 0, sizeof(*request));
	request->head.nlmsg_type = RTM_NEWADDR;
	request->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	request->head.nlmsg_len =
		(uint32_t)(offsetof(struct address_request, value) + size);
	request->address.ifa_family = (uint8_t)server->address.ss_family;
	request->address.ifa_prefixlen = (uint8_t)(size * 8);
	request->address.ifa_flags = is_v4 ? 0 : IFA_F_NODAD;
	request->address.ifa_scope = RT_SCOPE_HOST;
	request->address.ifa_index = if_nametoindex("lo");
	request->attribute.rta_type = IFA_LOCAL;
	request->attribute.rta_len = (uint16_t)RTA_LENGTH(size);
	memcpy(&request->value,
	       is_v4 ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr, size);
	return request->head.nlmsg_len;
}

static int add_address(const struct dns_server *server)
{
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct address_request request;
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[256];
	} answer;
	size_t size = fill_request(&request, server);
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (send(fd, &request, size, 0) < 0)
		return -errno;
	n = recv(fd, &answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(answer.head) + sizeof(answer.error) ||
	    answer.head.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error == -EEXIST ? 0 : answer.error.error;
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
		int r = is_loopback(&servers[i]) ? 0 : add_address(&servers[i]);

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
