/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "broker/client.h"
#include "intercept/cgroup/cgroup.h"
#include "policy/policy.h"
#include "run/dns.h"
#include "run/judged.h"
#include "run/registry.h"
#include "run/shortcut.h"

static int check_root(void)
{
	if (geteuid() == 0)
		return 0;
	log_error("BPF programs on cgroups take root");
	return -EPERM;
}

int run_judged_check(const struct policy *policy)
{
	struct policy_error error;
	int r = cgroup_check(policy, &error);

	if (r < 0)
		log_error("%s", error.text);
	if (r == 0)
		r = check_root();
	if (r == 0 && run_shortcut_is_on(policy))
		run_shortcut_check();
	return r;
}

/* graftd says where the endpoints are that the policy only names. */
static void place(int link, const char *name)
{
	struct wire_message message = { .type = WIRE_PLACE };
	int r;

	wire_set_text(message.del.name, sizeof(message.del.name), name);
	r = broker_send(link, &message, NULL, 0);
	if (r == 0)
		r = broker_receive(link, &message, BROKER_PATIENCE_MS, NULL, 0, NULL);
	if (r < 0)
		log_warning("graftd does not say where endpoint '%s' is: %s", name,
			    strerror(-r));
	else if (message.type == WIRE_ERROR)
		log_warning("graftd: %s: calls for it fail", message.error.text);
}

static void place_all(const struct policy *policy)
{
	int link = -1;

	for (size_t i = 0; i < policy_n_endpoints(policy); i++) {
		const struct endpoint *endpoint = policy_endpoint(policy, i);

		if (endpoint->kind != ENDPOINT_NAMED)
			continue;
		if (link < 0)
			link = broker_open(NULL);
		if (link < 0) {
			registry_check(policy);
			return;
		}
		place(link, endpoint->name);
	}
	fd_close(link);
}

static int attach(struct cgroup_programs *programs, int cgroup,
		  const struct policy *policy, unsigned int flags)
{
	int r = cgroup_name_endpoints(programs, policy);

	if (r == 0) {
		place_all(policy);
		r = cgroup_attach(programs, cgroup, policy, flags);
	}
	if (r == -ENOSPC)
		log_error("no more cgroups can have a policy: detach one, or remove one");
	else if (r < 0)
		log_error("cannot put the policy on the cgroup: %s", strerror(-r));
	return r;
}

int run_judged_new(struct scope *ret, pid_t run, const struct policy *policy)
{
	struct cgroup_programs *programs;
	struct scope scope;
	int r = cgroup_programs_open(&programs, NULL);

	if (r < 0)
		return r;
	r = scope_new(&scope, run);
	if (r == 0) {
		r = attach(programs, scope.cgroup, policy, 0);
		if (r < 0)
			scope_remove(&scope);
	}
	cgroup_programs_free(programs);
	if (r == 0)
		*ret = scope;
	return r;
}

/* One that is not judged would be the program's. */
static bool hands_sockets_down(void)
{
	DIR *numbers = opendir("/proc/self/fd");
	const struct dirent *entry;
	bool found = false;

	while (!found && numbers && (entry = readdir(numbers))) {
		int fd = (int)strtol(entry->d_name, NULL, 10), domain = 0;
		socklen_t size = sizeof(domain);

		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
		    (domain == AF_INET || domain == AF_INET6))
			found = !(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	if (numbers)
		closedir(numbers);
	return found || !numbers;
}

/* Why not, in words; or NULL. */
static const char *refusal_of(const struct policy *policy)
{
	const char *need = policy_needs_namespace(policy);

	if (need)
		return need;
	if (!process_is_real_root())
		return "it takes root";
	return hands_sockets_down() ? "an open socket is handed to the program" : NULL;
}

/* A cgroup for the run, and one for threads. Return: 0, or -errno after one line. */
static int make_sockets(struct scope *ret, struct cgroup_programs *programs, pid_t run,
			const struct policy *policy)
{
	struct scope scope;
	int r = scope_new(&scope, run);

	if (r < 0)
		return r;
	r = scope_add_sockets(&scope);
	if (r < 0)
		log_error("cannot make a cgroup for threads: %s", strerror(-r));
	if (r == 0)
		r = attach(programs, scope.sockets, policy, CGROUP_ISOLATED);
	if (r < 0)
		scope_remove(&scope);
	else
		*ret = scope;
	return r;
}

bool run_judged_choose(struct scope *ret, struct cgroup_programs **ret_programs,
		       pid_t run, const struct policy *policy)
{
	const char *refusal = refusal_of(policy);
	struct cgroup_programs *programs = NULL;
	int r;

	if (refusal) {
		log_info("the supervisor judges calls, not the kernel: %s", refusal);
		return false;
	}
	r = cgroup_programs_open(&programs, NULL);
	if (r == 0)
		r = make_sockets(ret, programs, run, policy);
	if (r < 0) {
		cgroup_programs_free(programs);
		log_warning("the supervisor judges calls, as the kernel cannot");
		return false;
	}
	log_info("the kernel judges the sockets; the supervisor makes them");
	*ret_programs = programs;
	return true;
}

struct judged_dns {
	const struct scope *scope;
	const struct dns_server *servers;
	size_t n_servers;
	int (*fds)[2];
	int r;
};

static void *open_dns(void *context)
{
	struct judged_dns *dns = context;

	dns->r = scope_join_sockets(dns->scope);
	if (dns->r == 0)
		dns->r = dns_open(dns->servers, dns->n_servers, dns->fds);
	return NULL;
}

void run_judged_dns(const struct scope *scope, struct dns_server *servers,
		    size_t *n_servers, int (*fds)[2])
{
	struct judged_dns dns = { .scope = scope, .servers = servers, .fds = fds };
	pthread_t thread;

	dns.n_servers = *n_servers = dns_keep_loopback(servers, *n_servers);
	if (!*n_servers)
		return;
	/* A thread of its own: those that forward are not judged. */
	dns.r = -pthread_create(&thread, NULL, open_dns, &dns);
	if (dns.r == 0)
		pthread_join(thread, NULL);
	if (dns.r < 0)
		log_info("names will not resolve by the resolver's addresses: %s",
			 strerror(-dns.r));
}

/* --- cgroups that are there --- */

static int open_cgroup(const char *name)
{
	char mount[4096], path[8192];
	struct statfs fs;
	int fd, r;

	/* Below where the hierarchy is mounted that would be all of it. */
	if (!*name) {
		log_error("the name of the cgroup is empty");
		return -EINVAL;
	}
	fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
		return fd;
	fd_close(fd);
	r = scope_mount(mount, sizeof(mount));
	if (r < 0) {
		log_error("no hierarchy of cgroup v2 is mounted");
		return r;
	}
	snprintf(path, sizeof(path), "%s/%s", mount, name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : fd;
	if (r < 0)
		log_error("%s: no cgroup: neither a directory of cgroup v2 nor one below "
			  "%s",
			  name, mount);
	return r;
}

/* What @cgroup and the programs are opened for. */
struct place {
	struct cgroup_programs *programs;
	int cgroup;
};

static int place_open(struct place *ret, const char *cgroup)
{
	int r = check_root();

	ret->cgroup = r < 0 ? r : open_cgroup(cgroup);
	if (ret->cgroup < 0)
		return ret->cgroup;
	r = cgroup_programs_open(&ret->programs, NULL);
	if (r < 0)
		fd_close(ret->cgroup);
	return r;
}

static void place_close(struct place *place)
{
	cgroup_programs_free(place->programs);
	fd_close(place->cgroup);
}

int run_judged_attach(const char *cgroup, const struct policy *policy, unsigned int flags)
{
	struct place place;
	int r = run_judged_check(policy);

	if (r == 0)
		r = place_open(&place, cgroup);
	if (r < 0)
		return r;
	r = attach(place.programs, place.cgroup, policy, flags);
	place_close(&place);
	return r;
}

static int tell(const char *cgroup, int r)
{
	if (r == -ENOENT)
		log_error("%s: has no policy of graft's", cgroup);
	else if (r < 0)
		log_error("%s: %s", cgroup, strerror(-r));
	return r;
}

int run_judged_detach(const char *cgroup)
{
	struct place place;
	int r = place_open(&place, cgroup);

	if (r < 0)
		return r;
	r = tell(cgroup, cgroup_detach(place.programs, place.cgroup));
	place_close(&place);
	return r;
}

int run_judged_count(const char *cgroup, struct cgroup_counters *ret)
{
	struct place place;
	int r = place_open(&place, cgroup);

	if (r < 0)
		return r;
	r = tell(cgroup, cgroup_count(place.programs, place.cgroup, ret));
	place_close(&place);
	return r;
}

int run_judged_trace(const char *cgroup, const struct cgroup_trace_filter *filter,
		     struct cgroup_tracer **ret)
{
	struct cgroup_trace_filter wanted = *filter;
	struct cgroup_programs *programs;
	_cleanup_fd_ int place = -1;
	int r = check_root();

	if (r == 0 && cgroup)
		r = place = open_cgroup(cgroup);
	if (r >= 0)
		r = cgroup_programs_open(&programs, NULL);
	if (r < 0)
		return r;
	wanted.cgroup = place;
	r = cgroup_trace_open(ret, programs, &wanted);
	if (r == -EBUSY)
		log_error("others trace already, and there are no more rings");
	else if (r < 0)
		log_error("cannot trace: %s", strerror(-r));
	if (r < 0)
		cgroup_programs_free(programs);
	return r;
}

int run_judged_revoke(const char *cgroup, const struct cgroup_choice *choice,
		      struct cgroup_revoked *ret)
{
	struct place place;
	int r = place_open(&place, cgroup);

	if (r < 0)
		return r;
	r = cgroup_revoke(place.programs, place.cgroup, choice, ret);
	place_close(&place);
	if (r == -ESRCH && choice->endpoint)
		log_error("%s: no rule of its policy has an endpoint '%s'", cgroup,
			  choice->endpoint);
	else if (r == -ESRCH)
		log_error("%s: its policy has no such rule; `graft stat` lists them",
			  cgroup);
	else if (r == -EBUSY)
		log_error("%s: its policy denies nothing: it was attached with --audit",
			  cgroup);
	else
		tell(cgroup, r);
	if (r == 0 && ret->n_living)
		log_warning(
			"%zu UNIX socket%s, of which no process has a descriptor to be "
			"had, still live%s: revoke again when one has",
			ret->n_living, ret->n_living == 1 ? "" : "s",
			ret->n_living == 1 ? "s" : "");
	if (r == 0 && ret->cannot_destroy)
		log_warning("this kernel cannot destroy every socket "
			    "(CONFIG_INET_DIAG_DESTROY): what is left hears nothing any "
			    "more, and is refused its next call");
	return r;
}
