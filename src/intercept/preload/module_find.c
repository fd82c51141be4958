/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the module knows of an endpoint, asked over generic netlink: one socket for each
 * question, so that threads and forked children do not meet. There is no library between,
 * for it would be loaded into every program.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "intercept/preload/kernel.h"
#include "intercept/preload/module.h"
#include "policy/policy.h"

#define ANSWER_SIZE 8192

struct question {
	struct nlmsghdr head;
	struct genlmsghdr genl;
	struct nlattr attribute;
	char text[20];
};

struct answer {
	_Alignas(struct nlmsghdr) char bytes[ANSWER_SIZE];
	const char *at, *end; /* its attributes */
};

/* The number that the kernel gave the netlink family; it may change with the module. */
static atomic_int netlink_family;

/* --- messages --- */

static void fill(struct question *question, int family, uint8_t command,
		 uint16_t attribute, const char *text)
{
	size_t size = strlen(text) + 1;

	*question = (struct question){
		.head = { .nlmsg_len = (uint32_t)(offsetof(struct question, text) +
						  NLMSG_ALIGN(size)),
			  .nlmsg_type = (uint16_t)family,
			  .nlmsg_flags = NLM_F_REQUEST },
		.genl = { .cmd = command, .version = AF_GRAFT_GENL_VERSION },
		.attribute = { .nla_len = (uint16_t)(NLA_HDRLEN + size),
			       .nla_type = attribute },
	};
	memcpy(question->text, text, size);
}

static int read_answer(struct answer *answer, size_t size)
{
	const struct nlmsghdr *head = (const struct nlmsghdr *)answer->bytes;
	const struct nlmsgerr *error = NLMSG_DATA(head);

	if (!NLMSG_OK(head, size))
		return -EBADMSG;
	if (head->nlmsg_type == NLMSG_ERROR)
		return error->error < 0 ? error->error : -ENOENT;
	if (head->nlmsg_len < NLMSG_LENGTH(GENL_HDRLEN))
		return -EBADMSG;
	answer->at = (const char *)NLMSG_DATA(head) + GENL_HDRLEN;
	answer->end = answer->bytes + head->nlmsg_len;
	return 0;
}

static int ask(const struct question *question, struct answer *answer)
{
	_cleanup_fd_ int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	ssize_t n;

	if (fd < 0 || send(fd, question, question->head.nlmsg_len, 0) < 0)
		return -errno;
	do {
		n = recv(fd, answer->bytes, sizeof(answer->bytes), 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : read_answer(answer, (size_t)n);
}

/* Return: the next attribute between *@at and @end, or NULL. */
static const struct nlattr *next(const char **at, const char *end)
{
	const struct nlattr *attribute = (const struct nlattr *)*at;

	if (end - *at < NLA_HDRLEN || attribute->nla_len < NLA_HDRLEN ||
	    attribute->nla_len > end - *at)
		return NULL;
	*at += NLA_ALIGN(attribute->nla_len);
	return attribute;
}

static int type_of(const struct nlattr *attribute)
{
	return attribute->nla_type & NLA_TYPE_MASK;
}

static const char *data_of(const struct nlattr *attribute)
{
	return (const char *)attribute + NLA_HDRLEN;
}

/* As many bytes as there are, and as @ret has room for. */
static size_t take(const struct nlattr *attribute, void *ret, size_t room)
{
	size_t size = (size_t)(attribute->nla_len - NLA_HDRLEN);

	if (size > room)
		size = room;
	memcpy(ret, data_of(attribute), size);
	return size;
}

static int find_family(void)
{
	const struct nlattr *attribute;
	struct question question;
	struct answer answer;
	uint16_t number = 0;
	int r;

	fill(&question, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME,
	     AF_GRAFT_GENL_NAME);
	question.genl.version = 1;
	r = ask(&question, &answer);
	if (r < 0)
		return r;
	while ((attribute = next(&answer.at, answer.end)))
		if (type_of(attribute) == CTRL_ATTR_FAMILY_ID)
			take(attribute, &number, sizeof(number));
	return number ? number : -ENOENT;
}

/* --- endpoints --- */

struct found {
	struct module_place place;
	struct in6_addr address;
	uint16_t port, bound; /* network order */
	uint32_t scope;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	size_t path_size;
};

static void take_netns(const struct nlattr *nested, struct found *found)
{
	const char *at = data_of(nested), *end = (const char *)nested + nested->nla_len;
	const struct nlattr *attribute;

	while ((attribute = next(&at, end)))
		if (type_of(attribute) == GRAFT_NETNS_A_COOKIE)
			take(attribute, &found->place.netns, sizeof(found->place.netns));
}

static void take_attribute(const struct nlattr *attribute, struct found *found)
{
	struct module_place *place = &found->place;
	uint16_t family;

	switch (type_of(attribute)) {
	case GRAFT_A_FAMILY:
		take(attribute, &family, sizeof(family));
		place->family = family;
		break;
	case GRAFT_A_ADDRESS:
		take(attribute, &found->address, sizeof(found->address));
		break;
	case GRAFT_A_PORT:
		take(attribute, &found->port, sizeof(found->port));
		break;
	case GRAFT_A_BOUND:
		take(attribute, &found->bound, sizeof(found->bound));
		break;
	case GRAFT_A_SCOPE:
		take(attribute, &found->scope, sizeof(found->scope));
		break;
	case GRAFT_A_PATH:
		found->path_size = take(attribute, found->path, sizeof(found->path));
		break;
	case GRAFT_A_NETNS:
		take_netns(attribute, found);
		break;
	case GRAFT_A_SOCKETS:
		take(attribute, &place->n_sockets, sizeof(place->n_sockets));
		break;
	}
}

static void set_address(struct found *found)
{
	struct module_place *place = &found->place;
	union address *address = &place->address;

	address->any.sa_family = (sa_family_t)place->family;
	switch (place->family) {
	case AF_INET:
		memcpy(&address->v4.sin_addr, &found->address, 4);
		place->size = sizeof(address->v4);
		break;
	case AF_INET6:
		address->v6.sin6_addr = found->address;
		address->v6.sin6_scope_id = found->scope;
		place->size = sizeof(address->v6);
		break;
	case AF_UNIX:
		memcpy(address->un.sun_path, found->path, found->path_size);
		place->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
					  found->path_size + (found->path[0] != '\0'));
		return;
	default:
		return;
	}
	address_set_port(address, ntohs(found->port ? found->port : found->bound));
}

static int ask_endpoint(const char *name, struct answer *answer)
{
	int family = atomic_load_explicit(&netlink_family, memory_order_relaxed);
	struct question question;

	if (family == 0)
		family = find_family();
	if (family < 0)
		return family;
	atomic_store_explicit(&netlink_family, family, memory_order_relaxed);
	fill(&question, family, GRAFT_CMD_ENDPOINT_GET, GRAFT_A_NAME, name);
	return ask(&question, answer);
}

int module_find(const char *name, struct module_place *ret)
{
	const struct nlattr *attribute;
	struct found found = { 0 };
	struct answer answer;
	int saved = errno, r;

	if (!module_has_room(name))
		return -ENOENT;
	r = ask_endpoint(name, &answer);
	errno = saved;
	if (r < 0) {
		atomic_store(&netlink_family, 0);
		return -ENOENT;
	}
	while ((attribute = next(&answer.at, answer.end)))
		take_attribute(attribute, &found);
	set_address(&found);
	*ret = found.place;
	return 0;
}

static void take_peer(int fd, struct module_place *ret)
{
	socklen_t size = sizeof(ret->address);

	ret->family = kernel_option(fd, SO_DOMAIN, AF_UNSPEC);
	ret->netns = kernel_cookie(fd, SO_NETNS_COOKIE);
	if (getpeername(fd, &ret->address.any, &size) == 0)
		ret->size = size;
}

/* connect() of datagrams tells nobody. */
static int try_connect(const char *name, int type, struct module_place *ret)
{
	_cleanup_fd_ int fd = module_socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -ENOENT;
	r = module_connect(fd, name);
	if (r == -ENOENT || r == -EINVAL)
		return -ENOENT;
	*ret = (struct module_place){ .family = AF_UNSPEC };
	if (r == 0)
		take_peer(fd, ret);
	else if (r == -EPROTOTYPE && type != SOCK_DGRAM)
		ret->family = AF_UNIX;
	return 0;
}

int module_find_any(const char *name, int type, struct module_place *ret)
{
	int saved = errno, r = module_find(name, ret);

	if (r == -ENOENT && module_has_room(name))
		r = try_connect(name, type, ret);
	errno = saved;
	return r;
}

bool module_is_bound(const struct endpoint *endpoint)
{
	char name[MODULE_NAME_SIZE];
	struct module_place place;

	module_name(endpoint, name);
	return module_find(name, &place) == 0 && place.n_sockets > 0;
}
