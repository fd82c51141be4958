/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "broker/change.h"
#include "broker/conf.h"
#include "broker/graftd.h"
#include "broker/page.h"
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
	struct conf *config;
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
	apply(graftd, config);
	return 0;
}
