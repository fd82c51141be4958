#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <getopt.h>
#include "policy/policy.h"
#include "run/options.h"
int policy_options_take(struct policy_options *o, int option, const char *a)
{
	struct policy_error e = {""}; int r;
	if (!o->policy) o->policy = policy_new();
	switch (option) {
	case 'p': r = policy_add_publish(o->policy, a, &e); break;
	case 'i': r = policy_add_ingress(o->policy, a, &e); break;
	case 'e': r = policy_add_egress(o->policy, a, &e); break;
	case POLICY_OPTION_RULE: r = policy_add_text(o->policy, "--rule", a, strlen(a), &e); break;
	case POLICY_OPTION_POLICY: { static char b[1<<20]; FILE *f = fopen(a, "re"); size_t n; if (!f) return -EINVAL; n = fread(b,1,sizeof b,f); fclose(f); r = policy_add_text(o->policy, a, b, n, &e); break; }
	default: return 0;
	}
	if (r < 0) { fprintf(stderr, "graft: %s\n", e.text); return -EINVAL; }
	return 1;
}
int policy_options_finish(struct policy_options *o)
{
	struct policy_error e = {""};
	const char *p = getenv("GRAFT_CONV_PAIRS");
	if (!o->policy) o->policy = policy_new();
	if ((p && policy_add_conv_pairs(o->policy, p, &e) < 0) || policy_seal(o->policy, &e) < 0) { fprintf(stderr, "graft: %s\n", e.text); return -EINVAL; }
	return 0;
}
