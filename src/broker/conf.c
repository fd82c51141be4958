/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines of our own are read here, and blanked out in a copy of the text; what is left is
 * given to the parser of policies as a whole, so that its messages have the right line.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/address.h"
#include "base/fd.h"
#include "broker/conf.h"

#define CONFIG_MAX (256u << 20)
#define WORDS_MAX  32
#define SHOWN_MAX  60

struct part {
	const char *text;
	size_t size;
	unsigned int column;
};

/* What is printed of it: arguments of "%.*s". */
#define SHOWN(p) (int)((p)->size > SHOWN_MAX ? SHOWN_MAX : (p)->size), (p)->text

struct line {
	struct part words[WORDS_MAX];
	size_t n_words;
	const char *start, *end;
	unsigned int number;
};

struct reader {
	struct conf *config;
	const char *source;
	policy_on_error *on_error;
	void *context;
	int n_errors;
};

static int complain(struct reader *reader, const struct line *line,
		    const struct part *part, const char *format, ...) _printf_(4, 5);

/* Return: 0: reading goes on. */
static int complain(struct reader *reader, const struct line *line,
		    const struct part *part, const char *format, ...)
{
	struct policy_error error;
	unsigned int column =
		part ? part->column : (unsigned int)(line->end - line->start) + 1;
	int n = snprintf(error.text, sizeof(error.text), "%s:%u:%u: ", reader->source,
			 line->number, column);
	va_list args;

	if (n > 0 && n < (int)sizeof(error.text)) {
		va_start(args, format);
		vsnprintf(error.text + n, sizeof(error.text) - (size_t)n, format, args);
		va_end(args);
	}
	reader->on_error(reader->context, &error);
	reader->n_errors++;
	return 0;
}

static bool part_is(const struct part *part, const char *word)
{
	return part->size == strlen(word) && memcmp(part->text, word, part->size) == 0;
}

static bool is_setting(const struct part *part)
{
	for (int i = 0; i < POLICY_N_SETTINGS; i++)
		if (part_is(part, policy_setting_name((enum policy_setting)i)))
			return true;
	return false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Words up to a comment; what is beyond WORDS_MAX is left in the last one. */
static void split(struct line *line)
{
	const char *at = line->start;

	line->n_words = 0;
	for (;;) {
		struct part *word = &line->words[line->n_words];

		while (at < line->end && is_blank(*at))
			at++;
		if (at == line->end || *at == '#')
			return;
		word->text = at;
		word->column = (unsigned int)(at - line->start) + 1;
		if (line->n_words == WORDS_MAX - 1)
			at = line->end;
		while (at < line->end && !is_blank(*at))
			at++;
		word->size = (size_t)(at - word->text);
		line->n_words++;
		if (line->n_words == WORDS_MAX)
			return;
	}
}

static bool take_number(const char *text, size_t size, uint32_t *ret)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
		value = value * 10 + (uint64_t)(text[i] - '0');
		if (value >= UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)value;
	return size != 0;
}

static int read_quota(struct reader *reader, const struct line *line)
{
	struct conf *config = reader->config;
	const struct part *words = line->words;
	struct conf_quota quota = { .max = QUOTA_UNLIMITED }, *quotas;
	int kind;

	if (line->n_words < 3)
		return complain(reader, line, NULL, "expected quota KIND N [uid=N]");
	kind = quota_kind_from_name(words[1].text, words[1].size);
	if (kind < 0)
		return complain(reader, line, &words[1],
				"'%.*s' is not counted; expected endpoints, connections, "
				"held, supplies or watchers",
				SHOWN(&words[1]));
	if (!part_is(&words[2], "unlimited") &&
	    !take_number(words[2].text, words[2].size, &quota.max))
		return complain(reader, line, &words[2],
				"'%.*s' is not a number (or unlimited)",
				SHOWN(&words[2]));
	quota.has_uid = line->n_words > 3;
	if (quota.has_uid &&
	    (words[3].size < 4 || memcmp(words[3].text, "uid=", 4) != 0 ||
	     !take_number(words[3].text + 4, words[3].size - 4, &quota.uid)))
		return complain(reader, line, &words[3], "'%.*s' is not uid=N",
				SHOWN(&words[3]));
	if (line->n_words > 4)
		return complain(reader, line, &words[4], "'%.*s' is one word too many",
				SHOWN(&words[4]));
	quota.kind = (enum quota_kind)kind;
	quotas = reallocarray(config->quotas, config->n_quotas + 1, sizeof(*quotas));
	if (!quotas)
		return -ENOMEM;
	config->quotas = quotas;
	quotas[config->n_quotas++] = quota;
	return 0;
}

/* The clause is read as that of an endpoint made up for it. */
static int read_stack(struct reader *reader, const struct line *line)
{
	static const char made_up[] = "stack-host ipv4 0.0.0.0:dynamic ";
	struct conf *config = reader->config;
	struct policy_error error = { "" };
	struct endpoint *hosts;
	const struct part *owner = &line->words[2];
	const struct part *last = &line->words[line->n_words - 1];
	char text[1024];
	size_t size;
	int n, r;

	if (line->n_words < 4 || !part_is(&line->words[1], "host"))
		return complain(reader, line, line->n_words > 1 ? &line->words[1] : NULL,
				"expected stack host owner WHO");
	size = (size_t)(last->text + last->size - owner->text);
	n = snprintf(text, sizeof(text), "%s%.*s", made_up, (int)size, owner->text);
	if (n >= (int)sizeof(text))
		return complain(reader, line, owner, "the line is too long");
	hosts = reallocarray(config->hosts, config->n_hosts + 1, sizeof(*hosts));
	if (!hosts)
		return -ENOMEM;
	config->hosts = hosts;
	r = endpoint_parse(&hosts[config->n_hosts], NULL, text, (size_t)n, &error);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return complain(reader, line, owner, "%s", error.text);
	config->n_hosts++;
	if (!hosts[config->n_hosts - 1].n_access)
		return complain(reader, line, owner, "expected owner WHO");
	return 0;
}

static bool parse_loopback(const struct part *part, struct wire_address *ret)
{
	union address address = { .any.sa_family = AF_INET };
	const char *colon = memrchr(part->text, ':', part->size);
	size_t size = colon ? (size_t)(colon - part->text) : 0;
	const char *start = part->text;
	char host[INET6_ADDRSTRLEN + 1];
	uint32_t port;

	if (!colon || !take_number(colon + 1, part->size - size - 1, &port) ||
	    port == 0 || port > UINT16_MAX)
		return false;
	if (size > 2 && *start == '[' && start[size - 1] == ']') {
		address.any.sa_family = AF_INET6;
		start++;
		size -= 2;
	}
	if (size >= sizeof(host))
		return false;
	memcpy(host, start, size);
	host[size] = '\0';
	if (inet_pton(address.any.sa_family, host,
		      address.any.sa_family == AF_INET
			      ? (void *)&address.v4.sin_addr
			      : (void *)&address.v6.sin6_addr) != 1)
		return false;
	address_set_port(&address, (uint16_t)port);
	if (address_is_wildcard(&address) || !address_is_loopback(&address))
		return false;
	ret->address = address.storage;
	ret->len = address.any.sa_family == AF_INET ? sizeof(address.v4)
						    : sizeof(address.v6);
	return true;
}

static int read_metrics(struct reader *reader, const struct line *line)
{
	struct wire_address *metrics = &reader->config->metrics;
	struct sockaddr_un *un = (struct sockaddr_un *)&metrics->address;
	const struct part *words = line->words;

	if (metrics->len)
		return complain(reader, line, &words[0], "metrics are given twice");
	if (line->n_words == 3 && part_is(&words[1], "unix")) {
		if (words[2].text[0] != '/' || words[2].size >= sizeof(un->sun_path))
			return complain(reader, line, &words[2],
					"'%.*s' is not an absolute path that a UNIX "
					"socket takes",
					SHOWN(&words[2]));
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, words[2].text, words[2].size);
		metrics->len = sizeof(*un);
		return 0;
	}
	if (line->n_words != 2)
		return complain(reader, line, NULL,
				"expected metrics unix PATH, or metrics ADDR:PORT");
	if (!parse_loopback(&words[1], metrics))
		return complain(reader, line, &words[1],
				"'%.*s' is not a loopback ADDR:PORT", SHOWN(&words[1]));
	return 0;
}

static const struct {
	const char *word;
	int (*read)(struct reader *reader, const struct line *line);
} kinds[] = {
	{ "metrics", read_metrics },
	{ "quota", read_quota },
	{ "stack", read_stack },
};

/* Return: 1 when it is ours, 0 when it is for the policy parser, or -errno. */
static int read_line(struct reader *reader, const struct line *line)
{
	const struct part *first = &line->words[0];

	if (!line->n_words || part_is(first, "endpoint"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (part_is(first, kinds[i].word)) {
			int r = kinds[i].read(reader, line);

			return r < 0 ? r : 1;
		}
	}
	if (part_is(first, "bind") || part_is(first, "connect"))
		complain(reader, line, first,
			 "rules belong to the policy of a run, not to graftd");
	else if (is_setting(first))
		complain(reader, line, first,
			 "settings belong to the policy of a run, not to graftd");
	else
		complain(reader, line, first,
			 "'%.*s' is not known; expected endpoint, stack, quota or metrics",
			 SHOWN(first));
	return 1;
}

static int read_lines(struct reader *reader, char *text, size_t size)
{
	struct line line = { .number = 1 };
	char *at = text, *end = text + size;

	for (; at < end; line.number++) {
		char *newline = memchr(at, '\n', (size_t)(end - at));
		int r;

		line.start = at;
		line.end = newline ? newline : end;
		split(&line);
		r = read_line(reader, &line);
		if (r < 0)
			return r;
		if (r > 0)
			memset(at, ' ', (size_t)(line.end - at));
		at += line.end - at + 1;
	}
	return 0;
}

static int read_text(struct reader *reader, char *text, size_t size)
{
	struct conf *config = reader->config;
	int r = read_lines(reader, text, size);

	if (r < 0)
		return r;
	r = policy_check_text(config->policy, reader->source, text, size,
			      reader->on_error, reader->context);
	if (r < 0)
		return r;
	reader->n_errors += r;
	r = policy_check_seal(config->policy, reader->on_error, reader->context);
	if (r < 0)
		return r;
	return reader->n_errors + r;
}

int conf_parse(struct conf **ret, const char *source, const char *text, size_t size,
	       policy_on_error *on_error, void *context)
{
	struct reader reader = { .source = source,
				 .on_error = on_error,
				 .context = context };
	_cleanup_free_ char *copy = malloc(size + 1);
	struct conf *config = calloc(1, sizeof(*config));
	int r = -ENOMEM;

	if (config)
		config->policy = policy_new();
	if (copy && config && config->policy) {
		memcpy(copy, text, size);
		reader.config = config;
		r = read_text(&reader, copy, size);
	}
	if (r) {
		conf_free(config);
		return r;
	}
	*ret = config;
	return 0;
}

int conf_load(struct conf **ret, const char *path, policy_on_error *on_error,
	      void *context)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > CONFIG_MAX)
		return -E2BIG;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = fd_read_all(fd, text, (size_t)st.st_size);
	if (n < 0)
		return (int)n;
	return conf_parse(ret, path, text, (size_t)n, on_error, context);
}

struct conf *conf_free(struct conf *config)
{
	if (!config)
		return NULL;
	policy_free(config->policy);
	for (size_t i = 0; i < config->n_hosts; i++)
		endpoint_release(&config->hosts[i]);
	free(config->hosts);
	free(config->quotas);
	free(config);
	return NULL;
}
