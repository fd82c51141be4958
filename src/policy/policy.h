/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy of one command, container or cgroup: endpoints and ordered rules. Pure
 * data: nothing in this folder opens a file, a socket or a clock.
 *
 *	endpoint NAME (ipv4|ipv6) ADDR:PORT|ADDR:dynamic [netns REF] [OPTION...]
 *	endpoint NAME unix PATH [netns REF] [OPTION...]
 *	OPTION := hold | share | bound | (owner|binder|connector) WHO
 *	WHO := any | COND[,COND...]   COND := uid=N | gid=N | netns=REF | cgroup=PATH
 *	(bind|connect) (tcp|udp|any) ADDR[/LEN][:PORT[-PORT]] = TARGET
 *	connect unix PATH[*] = TARGET
 *	connect unix * = TARGET
 *	TARGET := NAME | host | own | deny[:ERRNO] | from NAME
 *	shortcut (on|off)
 *	loopback (host|own)
 *
 * IPv6 addresses stand in brackets, with the prefix length inside or outside of them
 * ("[2001:db8::/32]:443" prints back as written here). '#' starts a comment. REF is a
 * pid, a name under /run/netns, or a path holding '/'. An owner may bind and connect, a
 * binder and a connector one of them; all of the conditions of one WHO must hold, and one
 * WHO of several is enough. Who may use an endpoint without any is its keeper's to say.
 * "shortcut" and "loopback" are settings, for all of the policy wherever the line stands:
 * twice is an error unless it says the same.
 *
 * Life: policy_new, any number of policy_add_*, one policy_seal (names are resolved, the
 * index is built), then it is read-only and may be used from any thread.
 *
 * How a call is judged (policy_resolve)
 *
 *  - The first rule, in order, that matches operation, protocol, address and port wins;
 *    without one the verdict is POLICY_OWN.
 *  - An IPv4-mapped address is judged as the IPv4 address it holds. A rule written with
 *    a mapped prefix is stored as its IPv4 form.
 *  - bind to [::] by a socket that is not IPV6_V6ONLY also binds 0.0.0.0, so rules on
 *    either match it.
 *  - connect to 0.0.0.0 or [::] means loopback, as in the kernel, and is judged as
 *    127.0.0.1 or [::1] (0.0.0.0 mapped: 127.0.0.1).
 *  - Loopback guard: 127.0.0.0/8 and [::1] are matched by a rule whose target leaves the
 *    program's own stack (host, NAME, from NAME) only when the rule's own prefix lies
 *    within loopback: "0.0.0.0/0 = host" never opens the host's loopback.
 *  - A rule whose endpoint cannot serve the socket is passed over: an ipv6 endpoint for
 *    an AF_INET socket, an ipv4 one for an IPV6_V6ONLY socket, a unix one for anything
 *    but SOCK_STREAM (tcp) and SOCK_DGRAM (udp). An ipv4 endpoint for a dual-stack
 *    AF_INET6 socket comes out as its IPv4-mapped address.
 *  - One exception: an AF_INET socket can connect to a wildcard ipv6 endpoint, [::]:PORT,
 *    where a dual-stack server listens for both; it comes out as 127.0.0.1:PORT.
 *  - A rule naming a `bound` endpoint in connect is for the caller to pass over while
 *    nothing of its own is bound there (policy_resolve's @is_bound).
 *
 * A connect, or datagram, of an AF_UNIX socket is judged by the rules on UNIX paths, and
 * by no others: the first one whose PATH is what the program wrote, byte for byte, or its
 * beginning where a '*' follows. Nothing is resolved: neither links nor "..". One engine
 * alone judges those, so a policy takes such rules where policy_allow_paths() says so.
 *
 * What no socket could use is refused when it is read or sealed: a rule on an IPv4
 * address to an ipv6 endpoint (but for connect and the exception above), "from" in a
 * bind rule, with a unix endpoint or one of the other family, and connect to exactly
 * 0.0.0.0 or [::], which is judged as loopback. NAME is of letters, digits, '_', '-' and
 * '.', begins with none of the last two, and is not a target word. PATH is absolute, or
 * "@NAME" for the abstract namespace. A rule on one leads to a unix endpoint of the
 * policy, of no other namespace and not `bound`, or nowhere else. `deny` alone is
 * deny:EACCES.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum policy_op {
	POLICY_BIND,
	POLICY_CONNECT, /* also each datagram sent with an address */
};

/* A bit mask. Sockets that are neither (ICMP, SCTP ...) are POLICY_OTHER and matched by
 * "any" rules alone. */
enum policy_proto {
	POLICY_TCP = 1 << 0,
	POLICY_UDP = 1 << 1,
	POLICY_OTHER = 1 << 2,
	POLICY_ANY = POLICY_TCP | POLICY_UDP | POLICY_OTHER,
};

enum endpoint_kind {
	ENDPOINT_IPV4,
	ENDPOINT_IPV6,
	ENDPOINT_UNIX,
	/* A namespace, no address: af_graft's alone, and in no policy. */
	ENDPOINT_ANY,
	/* Not defined here: the registry knows it, and is asked at each call. */
	ENDPOINT_NAMED,
};

enum netns_kind {
	NETNS_DEFAULT, /* the host's: where the supervisor or broker lives */
	NETNS_PID,
	NETNS_NAME,
	NETNS_PATH,
};

enum endpoint_option {
	ENDPOINT_HOLD = 1 << 0,
	ENDPOINT_SHARE = 1 << 1,
	/* Connect reaches it only while this run is bound there. */
	ENDPOINT_BOUND = 1 << 2,
};

/* Each has two or more values, of which 0 is what it is when no line says otherwise. */
enum policy_setting {
	POLICY_SHORTCUT, /* off, on: connections to policies of this host go past TCP */
	POLICY_LOOPBACK, /* host, own: whose 127.0.0.0/8 and [::1] are, without a rule */
	POLICY_N_SETTINGS,
};

enum policy_switch {
	POLICY_OFF,
	POLICY_ON,
};

enum policy_loopback {
	POLICY_LOOPBACK_HOST,
	POLICY_LOOPBACK_OWN,
};

/* Where a line came from: "p.conf", 3, 1 or "-p 8080:80", 0, 0. */
struct policy_origin {
	const char *source;
	unsigned int line;
	unsigned int column;
};

struct netns_ref {
	enum netns_kind kind;
	int pid;
	char *text; /* name or path */
};

enum access_use {
	ACCESS_BIND = 1 << 0,
	ACCESS_CONNECT = 1 << 1,
};

/* One "owner", "binder" or "connector". Conditions that are not given hold. */
struct access {
	unsigned int uses; /* mask of access_use */
	bool has_uid, has_gid;
	uint32_t uid, gid;
	struct netns_ref netns; /* NETNS_DEFAULT: not given */
	char *cgroup;           /* absolute, as in /proc/PID/cgroup; or NULL */
};

#define ACCESS_MAX 16 /* of one endpoint */

struct endpoint {
	char *name;
	enum endpoint_kind kind;
	union {
		struct in_addr v4;
		struct in6_addr v6;
		char *path;
	};
	uint32_t zone; /* interface of a link-local address, or 0; af_graft's alone */
	uint16_t port; /* host byte order */
	bool dynamic;
	struct netns_ref netns;
	unsigned int options;
	struct access *access;
	size_t n_access;
	uint32_t index; /* position in the policy */
	struct policy_origin origin;
};

enum policy_target {
	POLICY_OWN,
	POLICY_HOST,
	POLICY_ENDPOINT,
	POLICY_FROM, /* keep the destination, take the endpoint as the source */
	POLICY_DENY,
};

struct rule {
	enum policy_op op;
	unsigned int proto;      /* mask; 0: AF_UNIX */
	int family;              /* AF_INET, AF_INET6 or AF_UNIX */
	struct in6_addr address; /* AF_INET: the first four bytes */
	uint8_t prefix;
	uint16_t port_low, port_high; /* 0-65535 when the rule names no port */
	char *path;                   /* AF_UNIX: as written, without the '*' */
	bool is_beginning;            /* there was one */
	enum policy_target target;
	char *endpoint_name;             /* ENDPOINT, FROM */
	const struct endpoint *endpoint; /* after policy_seal */
	int deny_errno;
	uint32_t index;
	struct policy_origin origin;
};

/* What was wrong, ready to print as one line: "p.conf:3:14: port 70000 is not in
 * 0-65535". */
struct policy_error {
	char text[256];
};

struct policy;

/* Limits on what one policy may hold; beyond them policy_add_* fails with -E2BIG. */
#define POLICY_ENDPOINTS_MAX 1000000
#define POLICY_RULES_MAX     1000000
#define POLICY_NAME_MAX      63

/*
 * All of these return 0, or -EINVAL with a sentence in @error for bad input, -ENOMEM,
 * -E2BIG. On failure the policy is as before the call. @error may be NULL.
 */
struct policy *policy_new(void);
struct policy *policy_free(struct policy *policy);
void policy_freep(struct policy **policy);

/* From now on, and before any rule is added: a name that no endpoint has when the policy
 * is sealed becomes an endpoint of kind ENDPOINT_NAMED instead of an error. A rule to one
 * is never passed over; its verdict has the address asked for. */
void policy_allow_named(struct policy *policy);

/* Likewise: rules on UNIX paths, which are an error when the policy is sealed without. */
void policy_allow_paths(struct policy *policy);

/* @text need not be NUL-terminated; @source names it in messages. */
int policy_add_text(struct policy *policy, const char *source, const char *text,
		    size_t size, struct policy_error *error);

/* Tells of one thing that is wrong. */
typedef void policy_on_error(void *context, const struct policy_error *error);

/*
 * As policy_add_text and policy_seal, but they go on after an error and tell of every
 * one; what is right is added, and the seal is put on only if nothing is wrong with the
 * names. Return: the number of errors, or -ENOMEM, -E2BIG.
 */
int policy_check_text(struct policy *policy, const char *source, const char *text,
		      size_t size, policy_on_error *on_error, void *context);
int policy_check_seal(struct policy *policy, policy_on_error *on_error, void *context);
/* As policy_check_seal, but rules that are wrong are left out and the seal is put on, so
 * that what was told of are the rules left out. */
int policy_seal_rest(struct policy *policy, policy_on_error *on_error, void *context);

/* [IP:]HOSTPORT[-HOSTPORT]:PORT[-PORT][/tcp|/udp], or PORT alone for a dynamic host
 * port; an IPv6 IP stands in brackets. */
int policy_add_publish(struct policy *policy, const char *text,
		       struct policy_error *error);
/* ADDR:PORT[-PORT]=TARGET, the older `-i`; the last ':' splits address and port. */
int policy_add_ingress(struct policy *policy, const char *text,
		       struct policy_error *error);
/* [tcp:|udp:]PREFIX/LEN=TARGET, the older `-e`: longest prefix first whatever the order
 * given, tcp and udp before any; an endpoint as target is the source to use (from NAME).
 */
int policy_add_egress(struct policy *policy, const char *text,
		      struct policy_error *error);
/*
 * The notations of the environment: pairs with blanks between them. As `-i` and `-e` they
 * take every TARGET, not only the name of an endpoint.
 */
enum policy_variable {
	/* GRAFT_CONV_PAIRS, "ADDR:PORT=EP ADDR:PORT=EP ...": both bind and connect. A
	 * wildcard ADDR is reached by connect to loopback. */
	POLICY_CONV_PAIRS,
	/* GRAFT_INGRESS_CONVERT, "ADDR:PORT[-PORT]=EP ...": as policy_add_ingress. */
	POLICY_INGRESS_CONVERT,
	/* GRAFT_EGRESS_CONVERT, "PREFIX/LEN=EP ...": as policy_add_egress. */
	POLICY_EGRESS_CONVERT,
	/* GRAFT_BBCONN, "EP": everything outside loopback that no other rule is for is
	 * connected from EP, if EP is of the same family. */
	POLICY_BBCONN,
	POLICY_N_VARIABLES,
};

/* "GRAFT_CONV_PAIRS". */
const char *policy_variable_name(enum policy_variable variable);
int policy_add_variable(struct policy *policy, enum policy_variable variable,
			const char *text, struct policy_error *error);
/*
 * The same, but a pair that is wrong is told of and left out, and the others are added.
 * Return: the number of pairs left out, or -ENOMEM, -E2BIG. With policy_check_text and
 * policy_seal_rest it makes a policy of whatever is right.
 */
int policy_check_variable(struct policy *policy, enum policy_variable variable,
			  const char *text, policy_on_error *on_error, void *context);
/* policy_add_variable by name. */
int policy_add_conv_pairs(struct policy *policy, const char *text,
			  struct policy_error *error);
int policy_add_ingress_convert(struct policy *policy, const char *text,
			       struct policy_error *error);
int policy_add_egress_convert(struct policy *policy, const char *text,
			      struct policy_error *error);
int policy_add_bbconn(struct policy *policy, const char *text,
		      struct policy_error *error);
int policy_seal(struct policy *policy, struct policy_error *error);

/*
 * One endpoint by itself, as a registry keeps it: "NAME ipv4 ADDR:PORT ...", which is the
 * line of a policy file without its first word, or the words of `graft add`:
 *
 *	NAME type (ipv4|ipv6) [addr ADDR] [port PORT|dynamic] [netns REF] [OPTION...]
 *	NAME type unix path PATH [netns REF] [OPTION...]
 *	NAME type any [netns REF] [OPTION...]
 *
 * where no addr is any, a link-local one may have a zone (fe80::1%2, the number of an
 * interface), no port and port 0 are dynamic, and type, addr, port and path may
 * be cut down to their first letters. The words stand in any order, addr after type. A
 * comment may follow, but a '#' within a word is an error.
 *
 * @source, which may be NULL and is not copied, names @text in messages and as the
 * origin. Return: 0; -EINVAL, -ENOMEM. endpoint_release() on success.
 */
int endpoint_parse(struct endpoint *ret, const char *source, const char *text,
		   size_t size, struct policy_error *error);
void endpoint_release(struct endpoint *endpoint);
/* Return: what @endpoint has that only the module af_graft keeps, in words, or NULL. */
const char *endpoint_is_for_module(const struct endpoint *endpoint);
/* The one-line form of `ip graft show`, options after it; without newline, and with the
 * blank at the end that it always had. Return: the whole length. */
size_t endpoint_print_graft(const struct endpoint *endpoint, char *text, size_t size);

/* The policy in its own file format, sorted as judged, with the settings that lines give
 * in front. Caller frees. NULL: no memory. */
char *policy_print(const struct policy *policy);
/* One rule or endpoint as its line, without newline, cut at @size. Return: length. */
size_t policy_print_rule(const struct rule *rule, char *text, size_t size);
size_t policy_print_endpoint(const struct endpoint *endpoint, char *text, size_t size);
/* A setting and its value, likewise. */
size_t policy_print_setting(const struct policy *policy, enum policy_setting setting,
			    char *text, size_t size);
/* "p.conf:3" or "-p 8080:80". Return: length. */
size_t policy_print_origin(const struct policy_origin *origin, char *text, size_t size);

size_t policy_n_rules(const struct policy *policy);
size_t policy_n_endpoints(const struct policy *policy);
const struct rule *policy_rule(const struct policy *policy, size_t index);
const struct endpoint *policy_endpoint(const struct policy *policy, size_t index);
const struct endpoint *policy_find_endpoint(const struct policy *policy,
					    const char *name);

/* Return: the value. @ret_origin, which may be NULL: the line that says so, or NULL. */
unsigned int policy_setting(const struct policy *policy, enum policy_setting setting,
			    const struct policy_origin **ret_origin);
/* "shortcut". */
const char *policy_setting_name(enum policy_setting setting);
/* "on"; NULL: there is no such value. */
const char *policy_setting_word(enum policy_setting setting, unsigned int value);

/* What a program asks for. @address: AF_INET or AF_INET6; or AF_UNIX, then with its
 * length, and @proto is of no account. */
struct policy_query {
	enum policy_op op;
	enum policy_proto proto; /* one bit */
	int family;              /* of the socket */
	bool v6only;             /* of the socket; AF_INET6 only */
	struct sockaddr_storage address;
	socklen_t address_len; /* AF_UNIX */
};

enum policy_reason {
	POLICY_R_RULE,    /* @rule decided */
	POLICY_R_DEFAULT, /* no rule matched */
	/* Loopback, and no rule or only ones passed over, by the guard first. */
	POLICY_R_LOOPBACK,
	/* No rule, after passing over one whose endpoint cannot serve. */
	POLICY_R_UNSERVABLE,
	/* No rule, after passing over one with a `bound` endpoint. */
	POLICY_R_UNBOUND,
};

struct policy_verdict {
	enum policy_target target;
	enum policy_reason reason;
	/* The one that decided. Without one: the first that was passed over, which is the
	 * one @reason speaks of, or NULL if there was none. */
	const struct rule *rule;
	const struct endpoint *endpoint; /* ENDPOINT, FROM */
	int deny_errno;                  /* DENY; positive */
	/*
	 * The address to use in the verdict's stack, valid for the socket's family, or
	 * AF_UNIX. OWN and HOST: the address asked for. ENDPOINT: the endpoint's (a
	 * wildcard one becomes loopback in connect; a dynamic port is 0 and the caller
	 * knows which port it became). FROM: the address to bind first.
	 */
	struct sockaddr_storage address;
	socklen_t address_len;
};

/* Tells whether this run is bound to @endpoint now. */
typedef bool policy_is_bound(void *context, const struct endpoint *endpoint);

/*
 * Judges @query. @is_bound may be NULL (nothing is bound). Does not allocate; its cost
 * does not grow with the number of rules.
 */
void policy_resolve(const struct policy *policy, const struct policy_query *query,
		    policy_is_bound *is_bound, void *context,
		    struct policy_verdict *ret_verdict);

/* The verdict for a socket of @family as if a rule had said "= NAME". */
void policy_endpoint_verdict(const struct endpoint *endpoint, enum policy_op op,
			     int family, struct policy_verdict *ret_verdict);

/* One sentence: why @verdict came out as it did. Return: length of what fitted. */
size_t policy_explain(const struct policy_query *query,
		      const struct policy_verdict *verdict, char *text, size_t size);

/*
 * What an engine must be ready for: masks of policy_proto for which some rule can move a
 * socket out of the program's own stack (host, endpoint, from) or deny it.
 */
struct policy_reach {
	unsigned int bind_leaves;
	unsigned int connect_leaves;
	/* The same without rules naming `bound` endpoints, which serve a program that
	 * talks to itself. */
	unsigned int connect_roams;
	unsigned int denies;
	bool has_unix;      /* a rule can end in a UNIX socket */
	bool has_netns;     /* or in a namespace other than the host's */
	bool has_endpoints; /* there are any, in rules or not */
	bool has_paths;     /* rules on UNIX paths, which nothing else here speaks of */
	/* Protocols whose connect to an arbitrary outside address (neither loopback nor
	 * link-local) ends in the host's stack: the best guess at socket() time. */
	unsigned int default_host_v4;
	unsigned int default_host_v6;
};

void policy_get_reach(const struct policy *policy, struct policy_reach *ret_reach);

/*
 * Does anything that a program can ask for have to be in a network namespace of its own?
 * Not where loopback is the policy's own, every other address and port is connected to as
 * a rule says, and endpoints are addresses of the host's stack.
 * Return: NULL, or the first thing that does, in words.
 */
const char *policy_needs_namespace(const struct policy *policy);
