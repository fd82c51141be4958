/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "broker/change.h"
#include "broker/conf.h"
#include "broker/exporter.h"
#include "broker/graftd.h"
#include "broker/metrics.h"
#include "broker/notify.h"
#include "broker/page.h"
#include "broker/registry.h"
#include "broker/reload.h"
#include "broker/watch.h"

struct complaints {
	char *text;
	size_t size;
	int n;
};

static void complain(void *context, const struct policy_error *error)
{
	struct complaints *complaints = context;

	log_error("%s", error->text);
	if (!complaints->n++)
		snprintf(complaints->text, complaints->size, "%s", error->text);
}

static int apply_quotas(struct quota *quota, const struct conf *config)
{
	int r = 0;

	quota_reset(quota);
	for (size_t i = 0; i < config->n_quotas && r == 0; i++) {
		const struct conf_quota *q = &config->quotas[i];

		if (q->has_uid)
			r = quota_set(quota, q->uid, q->kind, q->max);
		else
			quota_set_default(quota, q->kind, q->max);
	}
	return r;
}

/* A socket that stays where it is is not opened anew. */
static int open_exporter(struct graftd *graftd, const struct conf *config,
			 struct exporter **ret, bool *ret_is_new)
{
	const struct wire_address *new = &config->metrics;
	const struct wire_address *old = graftd->config ? &graftd->config->metrics : NULL;

	*ret = NULL;
	*ret_is_new = true;
	if (graftd->exporter && old &&
	    old->len == new->len &&memcmp(&old->address, &new->address, new->len) == 0)
		*ret_is_new = false;
	else if (new->len)
		return exporter_new(ret, graftd, new);
	return 0;
}

/* From here on there is no way back. */
static void apply(struct graftd *graftd, struct conf *config)
{
	int r = apply_quotas(graftd->quota, config);

	if (r == 0)
		r = change_file(graftd, config->policy);
	if (r < 0)
		log_error("not all of the configuration holds: %s", strerror(-r));
	/* The registry has the endpoints now. */
	config->policy = policy_free(config->policy);
	conf_free(graftd->config);
	graftd->config = config;
	page_bump(graftd->page);
	watch_tell(graftd, "reload", NULL, NULL, NULL);
}

int reload(struct graftd *graftd, char *text, size_t size)
{
	struct complaints complaints = { .text = text, .size = size };
	const char *path = graftd->config_path;
	struct exporter *exporter;
	struct conf *config;
	bool is_new;
	int r = conf_load(&config, path, complain, &complaints);

	if (r == -ENOENT && graftd->config_is_optional)
		r = conf_parse(&config, path, "", 0, complain, &complaints);
	if (r > 0)
		return -EINVAL;
	if (r < 0) {
		snprintf(text, size, "%s: %s", path, strerror(-r));
		log_error("%s", text);
		return r;
	}
	r = open_exporter(graftd, config, &exporter, &is_new);
	if (r < 0) {
		conf_free(config);
		snprintf(text, size, "%s: cannot open the socket for metrics: %s", path,
			 strerror(-r));
		log_error("%s", text);
		return r;
	}
	apply(graftd, config);
	if (is_new) {
		exporter_free(graftd->exporter);
		graftd->exporter = exporter;
	}
	metrics_count(graftd->metrics, METRICS_RELOADS);
	return 0;
}

int reload_ready(struct graftd *graftd, char *text, size_t size)
{
	int r;

	notify_reloading();
	r = reload(graftd, text, size);
	notify_ready(registry_n(graftd->registry));
	return r;
}
