/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft revoke: takes back what a cgroup's policy let through, and destroys the sockets
 * that came of it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "ctl/command.h"
#include "ctl/json.h"
#include "ctl/table.h"
#include "intercept/cgroup/cgroup.h"
#include "run/judged.h"

#define PEER_TEXT_MAX PATH_TEXT_MAX /* more than any address takes */

enum {
	OPTION_RULE = 0x200,
	OPTION_ENDPOINT,
	OPTION_DRY_RUN,
	OPTION_JSON,
};

struct request {
	struct cgroup_choice choice;
	int verbosity;
	bool is_json;
};

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: graft revoke [OPTION...] CGROUP\n\n"
		"Has the rules of CGROUP's policy that let something through deny from now\n"
		"on, and destroys the sockets that were made by them, in CGROUP and the\n"
		"cgroups below it, wherever they are now. Needs root.\n\n"
		"      --rule N|LINE    that rule only, by its number in `graft stat`, or as\n"
		"                       it is written there\n"
		"      --endpoint NAME  the rules with that endpoint only\n"
		"      --dry-run        list the sockets, and leave everything as it is\n"
		"      --json           the same for programs\n"
		"  -v, --verbose        list the sockets; twice: say more\n"
		"  -h, --help           show this help\n\n"
		"Exit status: 0 it is done, 1 it could not be, 2 bad usage.\n");
}

/* --- what came of it --- */

static const char *const fates[] = {
	[CGROUP_LIVES] = "lives",
	[CGROUP_DESTROYED] = "destroyed",
	[CGROUP_SILENCED] = "silenced",
};

static const char *protocol_name(const struct cgroup_socket *socket)
{
	if (socket->type)
		return "unix";
	switch (socket->protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	default:
		return "other";
	}
}

static const char *state_name(const struct cgroup_socket *socket)
{
	switch (socket->state) {
	case TCP_ESTABLISHED:
		return "connected";
	case TCP_SYN_SENT:
		return "connecting";
	case TCP_LISTEN:
		return "listening";
	case TCP_CLOSE:
		return socket->type ? "connecting" : "bound";
	default:
		return "closing";
	}
}

static const char *print_spot(const struct sockaddr_in6 *address, char *text, size_t size)
{
	const struct sockaddr_in *in = (const void *)address;
	bool is_v6 = address->sin6_family == AF_INET6;
	char host[INET6_ADDRSTRLEN];

	if (!address->sin6_port)
		return "*";
	inet_ntop(address->sin6_family,
		  is_v6 ? (const void *)&address->sin6_addr : (const void *)&in->sin_addr,
		  host, sizeof(host));
	snprintf(text, size, is_v6 ? "[%s]:%u" : "%s:%u", host,
		 ntohs(address->sin6_port));
	return text;
}

/* Of a UNIX socket the path it asked for. */
static const char *print_peer(const struct cgroup_socket *socket,
			      char text[PEER_TEXT_MAX])
{
	if (!socket->type)
		return print_spot(&socket->peer, text, PEER_TEXT_MAX);
	text_path(socket->asked, text);
	return text;
}

static void show_socket(const struct cgroup_socket *socket, bool is_dry)
{
	char local[80], peer[PEER_TEXT_MAX];

	printf("%s %s, %s, %s - %s, by rule %zu\n",
	       is_dry ? "would destroy" : fates[socket->fate], protocol_name(socket),
	       state_name(socket), print_spot(&socket->local, local, sizeof(local)),
	       print_peer(socket, peer), socket->rule);
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static size_t count(const struct cgroup_revoked *revoked, enum cgroup_fate fate)
{
	size_t n = 0;

	for (size_t i = 0; i < revoked->n_sockets; i++)
		n += revoked->sockets[i]->fate == fate;
	return n;
}

static void show_lines(const struct request *request,
		       const struct cgroup_revoked *revoked)
{
	size_t n_rules = revoked->n_rules, n = revoked->n_sockets;
	size_t n_silenced = count(revoked, CGROUP_SILENCED);
	size_t n_living = revoked->n_living;
	bool is_dry = request->choice.is_dry;

	if (is_dry || request->verbosity)
		for (size_t i = 0; i < n; i++)
			show_socket(revoked->sockets[i], is_dry);
	n -= n_silenced + n_living;
	printf("%zu rule%s %srevoked, %zu socket%s %sdestroyed", n_rules, plural(n_rules),
	       is_dry ? "would be " : "", n, plural(n), is_dry ? "would be " : "");
	if (n_silenced)
		printf(", %zu silenced", n_silenced);
	if (n_living)
		printf(", %zu live%s", n_living, n_living == 1 ? "s" : "");
	printf("\n");
}

static struct json_object *socket_object(const struct cgroup_socket *socket, bool is_dry)
{
	struct json_object *object = json_object_new_object();
	char text[PEER_TEXT_MAX];

	json_object_object_add(object, "protocol", json_text(protocol_name(socket)));
	json_object_object_add(object, "state", json_text(state_name(socket)));
	json_object_object_add(object, "local",
			       json_text(print_spot(&socket->local, text, sizeof(text))));
	json_object_object_add(object, "peer",
			       socket->peer.sin6_port || socket->type
				       ? json_text(print_peer(socket, text))
				       : NULL);
	json_object_object_add(object, "netns", json_object_new_uint64(socket->netns));
	json_object_object_add(object, "cookie", json_object_new_uint64(socket->cookie));
	json_object_object_add(object, "rule", json_object_new_uint64(socket->rule));
	json_object_object_add(object, "fate",
			       is_dry ? NULL : json_text(fates[socket->fate]));
	return object;
}

static int show_json(const struct request *request, const struct cgroup_revoked *revoked)
{
	struct json_object *object = json_object_new_object();
	struct json_object *sockets = json_object_new_array();

	for (size_t i = 0; i < revoked->n_sockets; i++)
		json_object_array_add(sockets, socket_object(revoked->sockets[i],
							     request->choice.is_dry));
	json_object_object_add(object, "dry_run",
			       json_object_new_boolean(request->choice.is_dry));
	json_object_object_add(object, "rules", json_object_new_uint64(revoked->n_rules));
	json_object_object_add(object, "sockets", sockets);
	return json_show(object);
}

/* --- what is asked for --- */

/* Return: 0, or -EINVAL after one line. */
static int take_rule(struct cgroup_choice *choice, const char *text)
{
	char *end;

	errno = 0;
	choice->rule = strtoul(text, &end, 10);
	if (end != text && !*end && choice->rule && !errno && text[0] != '-')
		return 0;
	choice->rule = 0;
	choice->line = text;
	if (strchr(text, '='))
		return 0;
	fprintf(stderr,
		"graft revoke: --rule %s: neither the number of a rule nor a rule\n",
		text);
	return -EINVAL;
}

/* Return: 0, 1 when help was shown, or -EINVAL. */
static int parse(struct request *request, int argc, char **argv)
{
	static const struct option options[] = {
		{ "rule", required_argument, NULL, OPTION_RULE },
		{ "endpoint", required_argument, NULL, OPTION_ENDPOINT },
		{ "dry-run", no_argument, NULL, OPTION_DRY_RUN },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option, n_chosen = 0;

	while ((option = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
		switch (option) {
		case OPTION_RULE:
			n_chosen++;
			if (take_rule(&request->choice, optarg) < 0)
				return -EINVAL;
			break;
		case OPTION_ENDPOINT:
			n_chosen++;
			request->choice.endpoint = optarg;
			break;
		case OPTION_DRY_RUN:
			request->choice.is_dry = true;
			break;
		case OPTION_JSON:
			request->is_json = true;
			break;
		case 'v':
			request->verbosity++;
			break;
		case 'h':
			usage(stdout);
			return 1;
		default:
			return -EINVAL;
		}
	}
	if (n_chosen <= 1 && argc - optind == 1)
		return 0;
	fprintf(stderr, "graft revoke: %s\n",
		n_chosen > 1 ? "one --rule or --endpoint at a time" : "name one CGROUP");
	return -EINVAL;
}

int command_revoke(int argc, char **argv)
{
	struct cgroup_revoked revoked;
	struct request request = { 0 };
	int r = parse(&request, argc, argv), status = 0;

	if (r != 0)
		return r > 0 ? 0 : EXIT_MISUSE;
	log_init(STDERR_FILENO,
		 request.verbosity >= 2 ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
		 "graft revoke");
	if (run_judged_revoke(argv[optind], &request.choice, &revoked) < 0)
		return 1;
	if (request.is_json)
		status = show_json(&request, &revoked);
	else
		show_lines(&request, &revoked);
	cgroup_revoked_release(&revoked);
	return status;
}
