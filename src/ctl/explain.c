/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft explain: what one call would become under a policy, and why, without making it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "ctl/command.h"
#include "policy/module_name.h"
#include "policy/policy.h"
#include "run/options.h"
#include "run/plan.h"

enum {
	OPTION_V6ONLY = 0x200,
	OPTION_BOUND,
	OPTION_JSON,
};

struct request {
	struct policy_options policy;
	struct policy_query query;
	bool v6only;
	bool bound; /* take everything `bound` as bound */
	bool json;
};

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: graft explain [OPTION...] bind|connect tcp|udp ADDR:PORT\n"
		"       graft explain [OPTION...] connect unix PATH\n\n"
		"Says what a call would become, and why. An IPv6 ADDR stands in brackets;\n"
		"PATH is what the program writes, or @NAME in the abstract namespace.\n\n"
		"  --policy FILE        a policy file\n"
		"  --rule LINE          one line of a policy\n"
		"  -p, --publish [IP:]HOSTPORT:PORT[/udp]\n"
		"  -i, --ingress ADDR:PORT[-PORT]=TARGET\n"
		"  -e, --egress [tcp:|udp:]PREFIX/LEN=TARGET\n"
		"  --v6only             the socket is IPV6_V6ONLY\n"
		"  --bound              the program is bound to every 'bound' endpoint\n"
		"  --json               for programs\n"
		"  --help               show this help\n\n"
		"Exit status: 0 allowed, 1 denied, 2 misuse or a bad policy.\n");
}

static bool always_bound(void *context, const struct endpoint *endpoint)
{
	return true;
}

/* ADDR:PORT, [ADDR]:PORT. */
static int parse_address_port(const char *text, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret_address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_address;
	const char *colon = strrchr(text, ':');
	char address[INET6_ADDRSTRLEN + 2];
	unsigned long port;
	size_t len;
	char *end;

	if (!colon || colon[1] < '0' || colon[1] > '9')
		return -EINVAL;
	port = strtoul(colon + 1, &end, 10);
	len = (size_t)(colon - text);
	if (*end || port > 65535 || len == 0 || len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (address[0] != '[') {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		return inet_pton(AF_INET, address, &in->sin_addr) == 1 ? 0 : -EINVAL;
	}
	if (address[len - 1] != ']')
		return -EINVAL;
	address[len - 1] = '\0';
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons((uint16_t)port);
	return inet_pton(AF_INET6, address + 1, &in6->sin6_addr) == 1 ? 0 : -EINVAL;
}

static int parse_path(const char *text, struct policy_query *query)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&query->address;
	size_t len = strlen(text);

	if (query->op != POLICY_CONNECT) {
		fprintf(stderr,
			"graft explain: no rule is for bind to a UNIX path, as the "
			"kernel has no hook for it\n");
		return -EINVAL;
	}
	if (!len || len > sizeof(un->sun_path)) {
		fprintf(stderr,
			"graft explain: '%s' is not a path of 1 to %zu bytes, nor an "
			"abstract @NAME\n",
			text, sizeof(un->sun_path));
		return -EINVAL;
	}
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, text, len);
	if (text[0] == '@')
		un->sun_path[0] = '\0';
	query->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	query->family = AF_UNIX;
	return 0;
}

static int parse_call(struct request *request, char **words, int n_words)
{
	struct policy_query *query = &request->query;

	if (n_words != 3) {
		usage(stderr);
		return -EINVAL;
	}
	if (!strcmp(words[0], "bind")) {
		query->op = POLICY_BIND;
	} else if (!strcmp(words[0], "connect")) {
		query->op = POLICY_CONNECT;
	} else {
		fprintf(stderr, "graft explain: '%s' is neither bind nor connect\n",
			words[0]);
		return -EINVAL;
	}
	if (!strcmp(words[1], "tcp")) {
		query->proto = POLICY_TCP;
	} else if (!strcmp(words[1], "udp")) {
		query->proto = POLICY_UDP;
	} else if (!strcmp(words[1], "unix")) {
		return parse_path(words[2], query);
	} else {
		fprintf(stderr, "graft explain: '%s' is not tcp, udp or unix\n",
			words[1]);
		return -EINVAL;
	}
	if (parse_address_port(words[2], &query->address) < 0) {
		fprintf(stderr,
			"graft explain: '%s' is not ADDR:PORT (an IPv6 ADDR stands in "
			"brackets)\n",
			words[2]);
		return -EINVAL;
	}
	query->family = query->address.ss_family;
	query->v6only = request->v6only && query->family == AF_INET6;
	return 0;
}

static size_t format_address(const struct policy_verdict *verdict, char *text,
			     size_t size)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&verdict->address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&verdict->address;
	const struct sockaddr_un *un = (const struct sockaddr_un *)&verdict->address;
	char address[INET6_ADDRSTRLEN];

	switch (verdict->address.ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &in->sin_addr, address, sizeof(address));
		return (size_t)snprintf(text, size, "%s:%u", address,
					ntohs(in->sin_port));
	case AF_INET6:
		inet_ntop(AF_INET6, &in6->sin6_addr, address, sizeof(address));
		return (size_t)snprintf(text, size, "[%s]:%u", address,
					ntohs(in6->sin6_port));
	}
	return (size_t)snprintf(text, size, "%s%.*s", un->sun_path[0] ? "" : "@",
				(int)(verdict->address_len -
				      offsetof(struct sockaddr_un, sun_path)) -
					!un->sun_path[0],
				un->sun_path + !un->sun_path[0]);
}

static const char *const target_names[] = {
	[POLICY_OWN] = "own",   [POLICY_HOST] = "host", [POLICY_ENDPOINT] = "endpoint",
	[POLICY_FROM] = "from", [POLICY_DENY] = "deny",
};

static const char *const reason_names[] = {
	[POLICY_R_RULE] = "rule",         [POLICY_R_DEFAULT] = "default",
	[POLICY_R_LOOPBACK] = "loopback", [POLICY_R_UNSERVABLE] = "unservable",
	[POLICY_R_UNBOUND] = "unbound",
};

static const char *proto_name(const struct policy_query *query)
{
	if (query->family == AF_UNIX)
		return "unix";
	return query->proto == POLICY_TCP ? "tcp" : "udp";
}

static void add_string(struct json_object *to, const char *key, const char *value)
{
	json_object_object_add(to, key, value ? json_object_new_string(value) : NULL);
}

static void add_rule(struct json_object *to, const struct policy_verdict *verdict)
{
	const struct rule *rule = verdict->rule;
	char line[512], origin[512];

	if (!rule)
		return;
	policy_print_rule(rule, line, sizeof(line));
	policy_print_origin(&rule->origin, origin, sizeof(origin));
	add_string(to, verdict->reason == POLICY_R_RULE ? "rule" : "passed_over", line);
	add_string(to, "origin", origin);
}

/* Whether graftd's registry alone knows what becomes of the call. */
static bool is_registered(const struct policy_verdict *verdict)
{
	return verdict->endpoint && verdict->endpoint->kind == ENDPOINT_NAMED;
}

/* Where the kernel module would have the socket. Return: NULL: where it was made. */
static const char *place_of(const struct policy_verdict *verdict,
			    char name[MODULE_NAME_SIZE])
{
	switch (verdict->target) {
	case POLICY_OWN:
	case POLICY_DENY:
		return NULL;
	case POLICY_HOST:
		return MODULE_HOST;
	case POLICY_FROM:
	case POLICY_ENDPOINT:
		break;
	}
	if (!verdict->endpoint || is_registered(verdict))
		return verdict->endpoint ? verdict->endpoint->name : NULL;
	module_name(verdict->endpoint, name);
	return name;
}

static struct json_object *settings_of(const struct policy *policy)
{
	struct json_object *settings = json_object_new_object();

	for (int i = 0; i < POLICY_N_SETTINGS; i++) {
		enum policy_setting setting = (enum policy_setting)i;

		add_string(settings, policy_setting_name(setting),
			   policy_setting_word(setting,
					       policy_setting(policy, setting, NULL)));
	}
	return settings;
}

/* What a run needs at least. @traps, which are the notify engine's, may be empty. */
struct needs {
	bool is_cgroup; /* and no other engine */
	const char *traps[PLAN_TRAPS_MAX];
	size_t n_traps;
};

static void show_json(const struct request *request, const struct policy_verdict *verdict,
		      const char *sentence, const struct needs *needs)
{
	struct json_object *top = json_object_new_object();
	struct json_object *list = json_object_new_array();
	char address[INET6_ADDRSTRLEN + sizeof(struct sockaddr_un)];
	char name[MODULE_NAME_SIZE];

	add_string(top, "op", request->query.op == POLICY_BIND ? "bind" : "connect");
	add_string(top, "proto", proto_name(&request->query));
	add_string(top, "verdict", target_names[verdict->target]);
	add_string(top, "reason", reason_names[verdict->reason]);
	add_rule(top, verdict);
	if (verdict->endpoint) {
		add_string(top, "endpoint", verdict->endpoint->name);
		json_object_object_add(top, "registry",
				       json_object_new_boolean(is_registered(verdict)));
	}
	if (verdict->target == POLICY_DENY) {
		json_object_object_add(top, "errno",
				       json_object_new_int(verdict->deny_errno));
	} else if (!is_registered(verdict)) {
		format_address(verdict, address, sizeof(address));
		add_string(top, "address", address);
	}
	add_string(top, "sentence", sentence);
	add_string(top, "engine",
		   needs->is_cgroup ? "cgroup"
		   : needs->n_traps ? "notify"
				    : NULL);
	add_string(top, "module_name", needs->is_cgroup ? NULL : place_of(verdict, name));
	for (size_t i = 0; i < needs->n_traps; i++)
		json_object_array_add(list, json_object_new_string(needs->traps[i]));
	json_object_object_add(top, "traps", list);
	json_object_object_add(top, "settings", settings_of(request->policy.policy));
	printf("%s\n",
	       json_object_to_json_string_ext(top,
					      JSON_C_TO_STRING_PRETTY |
						      JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(top);
}

/* How few calls a run of root's traps, and what stands in the way. */
static void show_judge(const struct policy *policy, const struct policy_reach *reach)
{
	const char *need = policy_needs_namespace(policy), *traps[PLAN_TRAPS_MAX];
	size_t n;

	if (policy_setting(policy, POLICY_LOOPBACK, NULL) != POLICY_LOOPBACK_OWN)
		return;
	if (need) {
		printf("engine notify as root: the same, as %s\n", need);
		return;
	}
	n = plan_traps(reach, true, traps);
	printf("engine notify as root: the kernel judges; traps");
	for (size_t i = 0; i < n; i++)
		printf(" %s", traps[i]);
	printf("\n");
}

static void show_text(const struct policy_verdict *verdict, const char *sentence,
		      const struct needs *needs)
{
	char name[MODULE_NAME_SIZE];
	const char *place = place_of(verdict, name);

	printf("%s\n", sentence);
	if (needs->is_cgroup) {
		printf("engine: cgroup, and no other, as there are rules on UNIX paths\n");
		return;
	}
	if (!needs->n_traps) {
		printf("engine: none needed; no rule moves or denies a socket\n");
		return;
	}
	printf("engine: notify; traps");
	for (size_t i = 0; i < needs->n_traps; i++)
		printf(" %s", needs->traps[i]);
	printf("\n");
	if (place)
		printf("engine af_graft, only if asked for, as it takes root and the "
		       "kernel module: at '%s'\n",
		       place);
}

static void show_settings(const struct policy *policy)
{
	char text[80], at[160];

	for (int i = 0; i < POLICY_N_SETTINGS; i++) {
		enum policy_setting setting = (enum policy_setting)i;
		const struct policy_origin *origin;

		policy_setting(policy, setting, &origin);
		if (!origin)
			continue;
		policy_print_setting(policy, setting, text, sizeof(text));
		policy_print_origin(origin, at, sizeof(at));
		printf("engine %s: '%s', by %s\n",
		       setting == POLICY_SHORTCUT ? "cgroup or notify, of root's"
						  : "cgroup, only if asked for",
		       text, at);
	}
}

static int explain(const struct request *request)
{
	const struct policy *policy = request->policy.policy;
	struct policy_verdict verdict;
	struct policy_reach reach;
	struct needs needs;
	char sentence[1024];

	policy_resolve(policy, &request->query, request->bound ? always_bound : NULL,
		       NULL, &verdict);
	policy_explain(&request->query, &verdict, sentence, sizeof(sentence));
	policy_get_reach(policy, &reach);
	needs.is_cgroup = reach.has_paths;
	needs.n_traps = reach.has_paths ? 0 : plan_traps(&reach, false, needs.traps);
	if (request->json) {
		show_json(request, &verdict, sentence, &needs);
	} else {
		show_text(&verdict, sentence, &needs);
		if (needs.n_traps)
			show_judge(policy, &reach);
		show_settings(policy);
	}
	return verdict.target == POLICY_DENY ? EXIT_FAILURE : 0;
}

/* Return: 0 go on, 1 done (help), -EINVAL. */
static int parse_options(struct request *request, int argc, char **argv)
{
	static const struct option options[] = {
		POLICY_OPTIONS_LONG,
		{ "v6only", no_argument, NULL, OPTION_V6ONLY },
		{ "bound", no_argument, NULL, OPTION_BOUND },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "help", no_argument, NULL, 'h' },
		{ NULL },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, POLICY_OPTIONS_SHORT "h", options, NULL)) !=
	       -1) {
		r = policy_options_take(&request->policy, c, optarg);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		switch (c) {
		case OPTION_V6ONLY:
			request->v6only = true;
			break;
		case OPTION_BOUND:
			request->bound = true;
			break;
		case OPTION_JSON:
			request->json = true;
			break;
		case 'h':
			usage(stdout);
			return 1;
		default:
			usage(stderr);
			return -EINVAL;
		}
	}
	request->policy.has_paths = true;
	r = policy_options_finish(&request->policy);
	return r < 0 ? r : parse_call(request, argv + optind, argc - optind);
}

int command_explain(int argc, char **argv)
{
	struct request request = { 0 };
	int r = parse_options(&request, argc, argv);

	if (r == 0)
		r = explain(&request);
	else
		r = r > 0 ? 0 : EXIT_MISUSE;
	policy_free(request.policy.policy);
	free(request.policy.waiting);
	return r;
}
