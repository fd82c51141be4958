/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of this folder share and nobody else sees.
 */
#pragma once

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "policy/policy.h"

#define POLICY_NONE UINT32_MAX

/* ids 0, 1, 2 ... by hash, in chains; the last one added can be taken back. */
struct chains {
	uint32_t *heads;
	uint32_t n_heads;
	uint32_t *next;
	uint32_t *hashes;
	uint32_t n;
	uint32_t room;
};

int chains_add(struct chains *chains, uint32_t hash);
void chains_cut(struct chains *chains, uint32_t n);
void chains_deinit(struct chains *chains);
uint32_t chains_first(const struct chains *chains, uint32_t hash);
uint32_t chains_next(const struct chains *chains, uint32_t id);

uint32_t hash_bytes(const void *data, size_t size, uint32_t seed);

/* Who is judged first. */
enum rule_rank {
	RANK_GIVEN,  /* in the order given */
	RANK_EGRESS, /* the longest prefix first */
	RANK_LAST,
};

struct rule_slot {
	struct rule rule;
	unsigned int target_column; /* of TARGET's name, for messages */
	enum rule_rank rank;
	bool dropped; /* to be left out when the policy is sealed */
};

struct policy_index;
struct path_index;

/* What judging a call reads of a rule and its endpoint: half a cache line. */
struct outcome {
	uint8_t target; /* enum policy_target */
	uint8_t group;  /* enum rule_group */
	uint8_t kind;   /* enum endpoint_kind */
	bool wildcard;
	uint16_t port;
	int16_t deny_errno;
	const struct endpoint *endpoint; /* or NULL */
	union {
		struct in_addr v4;
		struct in6_addr v6;
		const char *path;
	};
};

/* No source: no line gives it. */
struct given_setting {
	unsigned int value;
	struct policy_origin origin;
};

struct policy {
	struct endpoint *endpoints;
	size_t n_endpoints, endpoints_room;
	struct chains names;

	struct rule_slot *rules;
	size_t n_rules, rules_room;
	struct chains egress; /* id -> egress_rules[id] -> rules[] */
	uint32_t *egress_rules;
	size_t egress_room;

	struct given_setting settings[POLICY_N_SETTINGS];

	char **sources;
	size_t n_sources, sources_room;

	bool allows_named, allows_paths;
	bool has_ranks; /* other than RANK_GIVEN */
	bool sealed;
	struct policy_index *index[2]; /* by enum policy_op */
	struct path_index *paths;
	struct outcome *outcomes; /* by rule, after policy_seal */
};

/* A point to go back to when a call that adds several things fails. */
struct policy_mark {
	size_t n_endpoints, n_rules;
	uint32_t n_egress;
	struct given_setting settings[POLICY_N_SETTINGS];
};

struct policy_mark policy_mark(const struct policy *policy);
void policy_rollback(struct policy *policy, const struct policy_mark *mark);

/* Leaves out the rules that are marked so. */
void policy_drop_rules(struct policy *policy);

/* Remembers a copy of @source for the policy's life. NULL: no memory. */
const char *policy_keep_source(struct policy *policy, const char *source);

/* Take over what @endpoint or @slot own, on success only. */
int policy_take_endpoint(struct policy *policy, struct endpoint *endpoint,
			 struct policy_error *error);
int policy_take_rule(struct policy *policy, struct rule_slot *slot,
		     struct policy_error *error);
int policy_take_setting(struct policy *policy, enum policy_setting setting,
			const struct given_setting *given, struct policy_error *error);
/* For what comes after the seal. Return: -EINVAL. */
int fail_sealed(struct policy_error *error);
int policy_room(void **array, size_t *room, size_t n, size_t item);

bool endpoint_is_wildcard(const struct endpoint *endpoint);

/* "SOURCE:LINE:COLUMN: sentence" in @error. Return: -EINVAL. */
int policy_fail(struct policy_error *error, const struct policy_origin *at,
		const char *format, ...) _printf_(3, 4);

/* Part of a line; not NUL-terminated. */
struct word {
	const char *text;
	size_t len;
	unsigned int column;
};

bool word_is(const struct word *word, const char *text);
/* printf arguments of "%.*s", cut so that a message stays one readable line. */
#define WORD_MAX_SHOWN 60
#define WORD(w)        (int)((w)->len > WORD_MAX_SHOWN ? WORD_MAX_SHOWN : (w)->len), (w)->text
static inline struct word word_from(const struct word *word, size_t from, size_t len)
{
	return (struct word){ word->text + from, len,
			      word->column ? word->column + (unsigned int)from : 0 };
}

/* @at with the column of @word. */
struct policy_origin origin_at(const struct policy_origin *at, const struct word *word);

/* address.c: pieces of ADDR[/LEN][:PORT[-PORT]]. @at is where the line starts. */
int parse_address(const struct word *word, const struct policy_origin *at,
		  int *ret_family, struct in6_addr *ret_address,
		  struct policy_error *error);
int parse_length(const struct word *word, const struct policy_origin *at, int family,
		 uint8_t *ret_prefix, struct policy_error *error);
int parse_port(const struct word *word, const struct policy_origin *at,
	       uint16_t *ret_port, struct policy_error *error);
int parse_ports(const struct word *word, const struct policy_origin *at,
		uint16_t *ret_low, uint16_t *ret_high, struct policy_error *error);
/* An IPv4-mapped prefix becomes its IPv4 form; bits set beyond the prefix are an error.
 */
int check_prefix(const struct word *word, const struct policy_origin *at,
		 struct rule *rule, struct policy_error *error);
int parse_selector(const struct word *word, const struct policy_origin *at,
		   struct rule *rule, struct policy_error *error);
void mask_address(int family, struct in6_addr *address, unsigned int prefix);
/* Without '[' and ']' around it. */
struct word strip_brackets(const struct word *word);
/* Decimal digits alone, at most @max; larger numbers come out as max + 1. */
bool parse_number(const struct word *word, uint64_t max, uint64_t *ret);
bool is_any_address(int family, const struct in6_addr *address);

/* endpoint.c, rule.c */
bool name_is_valid(const struct word *word);
int parse_target(struct rule_slot *slot, const struct word *word, bool from,
		 const struct policy_origin *at, struct policy_error *error);
/* Checks a complete rule, whose endpoint (if any) is known. */
int check_rule(const struct rule_slot *slot, struct policy_error *error);
/* path.c: PATH[*] of a rule. */
int parse_path(const struct word *word, const struct policy_origin *at, struct rule *rule,
	       struct policy_error *error);
/* Where the target of @slot stands. */
struct policy_origin target_origin(const struct rule_slot *slot);
/* What "deny" alone fails with. */
#define DENY_DEFAULT EACCES

bool rule_leaves(const struct rule *rule);
int errno_from_name(const struct word *word);
const char *errno_name(int number);

/* What text of an endpoint may be as long as. */
#define NETNS_TEXT_MAX  1023
#define CGROUP_TEXT_MAX 1023

/* The words of one line, in order. */
struct scanner {
	struct policy_origin at;
	const char *line, *next, *end;
	bool split_equals; /* '=' is a word of its own */
};

/* Whom to tell of errors, and how many there were. */
struct reporter {
	policy_on_error *on_error;
	void *context;
	int n_errors;
	bool drops; /* what is wrong is left out */
};

/* Tells of @error if @r is -EINVAL and there is a reporter. Return: 0 if so, else @r. */
int report(struct reporter *reporter, int r, const struct policy_error *error);

/* Return: 1 a word, 0 the end of the line, -EINVAL. */
int scan_word(struct scanner *scanner, struct word *ret_word, struct policy_error *error);
/* Any line of the format; @at without a line number for lines of our own making. */
int parse_one_line(struct policy *policy, const struct policy_origin *at,
		   const char *line, size_t len, struct policy_error *error);
int parse_endpoint_line(struct policy *policy, struct scanner *scanner,
			struct policy_error *error);
/* What follows the name there. */
int parse_endpoint(struct endpoint *endpoint, struct scanner *scanner,
		   struct policy_error *error);
int parse_rule_line(struct policy *policy, struct scanner *scanner, enum policy_op op,
		    struct policy_error *error);

/* setting.c. Return: an enum policy_setting, or -1. */
int find_setting(const struct word *word);
int parse_setting_line(struct policy *policy, struct scanner *scanner,
		       enum policy_setting setting, struct policy_error *error);

/* Parts of an endpoint. Each takes an empty word as missing. */
int parse_endpoint_name(struct endpoint *endpoint, const struct word *word,
			const struct policy_origin *at, struct policy_error *error);
int parse_endpoint_kind(struct endpoint *endpoint, const struct word *word,
			const struct policy_origin *at, struct policy_error *error);
int parse_endpoint_path(struct endpoint *endpoint, const struct word *word,
			const struct policy_origin *at, struct policy_error *error);
int parse_endpoint_address(struct endpoint *endpoint, const struct word *address,
			   const struct policy_origin *at, struct policy_error *error);
int parse_netns(struct netns_ref *netns, const struct word *word,
		const struct policy_origin *at, struct policy_error *error);
/* netns, hold, owner ...: @word, and the one after it if it takes one. */
int parse_endpoint_option(struct endpoint *endpoint, struct scanner *scanner,
			  const struct word *word, struct policy_error *error);

/* access.c: 0 if @word is none of owner, binder, connector. */
unsigned int access_uses(const struct word *word);
const char *access_name(unsigned int uses);
int parse_access(struct endpoint *endpoint, unsigned int uses, const struct word *word,
		 const struct policy_origin *at, struct policy_error *error);
void access_deinit(struct access *access);

/* notation.c, for the short notations. */
struct word word_of(const char *text);
/* Splits at the first or last @c. Return: whether there is one. */
bool split_first(const struct word *word, char c, struct word *before,
		 struct word *after);
bool split_last(const struct word *word, char c, struct word *before, struct word *after);
/* Remembers "@flag TEXT" as where things came from. */
int keep_origin(struct policy *policy, const char *flag, const struct word *text,
		struct policy_origin *ret_at);
/* Whether it fails or not, @slot owns nothing afterwards. */
int add_slot(struct policy *policy, struct rule_slot *slot, struct policy_error *error);
/* ADDR:PORT[-PORT]=TARGET. */
int parse_pair(const struct word *word, const struct policy_origin *at,
	       struct rule_slot *slot, struct policy_error *error);
/* @flag as for keep_origin. */
int add_ingress(struct policy *policy, const char *flag, const struct word *word,
		struct policy_error *error);
int add_egress(struct policy *policy, const char *flag, const struct word *word,
	       struct policy_error *error);
/* Says so in @error if @r is -ENOMEM. Return: @r. */
int no_memory(int r, struct policy_error *error);

/* A text being built in a fixed buffer; what does not fit is cut. */
struct out {
	char *text;
	size_t size;
	size_t len;   /* of what fitted */
	size_t whole; /* of everything */
};

void out_printf(struct out *out, const char *format, ...) _printf_(2, 3);
void out_address(struct out *out, int family, const void *address);
void out_sockaddr(struct out *out, const struct sockaddr_storage *address,
		  socklen_t address_len);

/*
 * index.c. A group is what must hold of the socket before a rule of it can be used.
 */
enum rule_group {
	GROUP_STAY,  /* own, deny: always, on loopback too */
	GROUP_HOST,  /* host, and endpoints that serve every socket */
	GROUP_IPV4,  /* not IPV6_V6ONLY */
	GROUP_IPV6,  /* AF_INET6 */
	GROUP_UNIX,  /* streams and datagrams */
	GROUP_BOUND, /* asked one by one */
	GROUP_ALL,   /* all of the above but GROUP_BOUND */
	GROUP_N,
};

/* NULL: no memory. Caller frees. */
struct outcome *outcomes_new(const struct policy *policy);

enum rule_group rule_group(const struct rule *rule);
/* Which sockets its endpoint serves, `bound` or not. */
enum rule_group endpoint_group(const struct rule *rule);

struct index_key {
	uint64_t high, low;
};

struct index_key index_key(int family, const struct in6_addr *address);
int index_new(const struct policy *policy, enum policy_op op,
	      struct policy_index **ret_index);
struct policy_index *index_free(struct policy_index *index);

/* Where an address falls; to be looked up once for any number of questions below. */
uint32_t index_locate(const struct policy_index *index, const struct index_key *key);
/* The least rule of @groups (a mask) that covers @port, if less than @best; else @best.
 */
uint32_t index_first(const struct policy_index *index, uint32_t place, unsigned int proto,
		     unsigned int groups, uint16_t port, uint32_t best);
/* The same among the rules that the loopback guard keeps away from @place. */
uint32_t index_first_guarded(const struct policy_index *index, uint32_t place,
			     unsigned int proto, unsigned int groups, uint16_t port,
			     uint32_t best);
/* The least rule of GROUP_BOUND greater than @after, or POLICY_NONE. */
uint32_t index_next_bound(const struct policy_index *index, uint32_t place,
			  unsigned int proto, uint16_t port, uint32_t after);

/*
 * path.c. A path as the kernel takes it, to be put in order: 108 bytes, as numbers of
 * four, the first byte uppermost; then how many it has.
 */
#define PATH_WORDS 28

struct path_key {
	uint32_t word[PATH_WORDS];
};

/* What the first rule is for is the same from one start to the next. */
struct path_index {
	struct path_key *starts; /* ascending; the first is that of all */
	uint32_t *rules;         /* the first one that matches there, or POLICY_NONE */
	uint32_t n, n_rules;
};

struct path_key path_key(const struct sockaddr_storage *address, socklen_t len);
/* -ENOMEM. path_index_free() on success. */
int path_index_new(const struct policy *policy, struct path_index **ret);
struct path_index *path_index_free(struct path_index *index);
uint32_t path_index_first(const struct path_index *index, const struct path_key *key);

/* Memory places looked at by this thread since it started: what tests measure instead
 * of time. */
extern _Thread_local uint64_t policy_n_probes;
